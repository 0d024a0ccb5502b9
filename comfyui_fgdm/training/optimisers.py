"""Optimisers by name: AdamW, and Muon for weight matrices with AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = 32  # of a matrix's two sides, for Muon
_STEPS = (
    (3.4445, -4.7750, 2.0315),
) * 5  # coefficients of the Newton-Schulz iteration, tuned for few steps by Muon's author


class Optimiser(Enum):
    ADAMW = "adamw"
    MUON = "muon"


def orthogonal(matrix: Tensor) -> Tensor:
    """float32 like `matrix` (2-dimensional) with all singular values brought near to 1, about 0.7 to 1.2, by five steps of a
    Newton-Schulz iteration in bfloat16."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / (x.norm() + 1e-7)
    for a, b, c in _STEPS:
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x if wide else x.T).float()


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024): momentum, made orthogonal. Convolutions count as matrices, outputs x the rest.

    An update's root mean square is 0.2 lr whatever the shape (Liu et al., 2025), about what AdamW's is when its moments have
    settled; so rates of AdamW, or somewhat larger ones, are right.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"]).flatten(1)
                update = orthogonal(ahead) * (0.2 * max(ahead.shape) ** 0.5)
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.view_as(p), alpha=-group["lr"])


class Several:
    """Optimisers as one."""

    def __init__(self, *members: torch.optim.Optimizer) -> None:
        self.members = members

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for member in self.members for group in member.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for member in self.members:
            member.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        for member in self.members:
            member.step()

    def state_dict(self) -> dict[str, Any]:
        return {str(number): member.state_dict() for number, member in enumerate(self.members)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for number, member in enumerate(self.members):
            member.load_state_dict(state[str(number)])


def make(kind: Optimiser, model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer | Several:
    """An optimiser of the parameters of `model` that require a gradient. With Muon, embeddings, vectors and narrow matrices
    are AdamW's."""
    learned = [p for p in model.parameters() if p.requires_grad]
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    wide = [p for p in learned if p.ndim > 1 and id(p) not in tables and min(len(p), p[0].numel()) >= SMALLEST]
    if kind is Optimiser.ADAMW or not wide:
        return torch.optim.AdamW(learned, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
    taken = {id(p) for p in wide}
    rest = [p for p in learned if id(p) not in taken]
    adamw = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
    return Several(Muon(wide, lr, weight_decay=weight_decay), adamw)
