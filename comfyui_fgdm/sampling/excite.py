"""Attend-and-Excite (Chefer et al., arXiv 2301.13826): move the latents, step by step, until each wanted thing is attended to.

For each subject token the largest share that any cell gives it (of the prompt's tokens, after a blur) should be near 1; the loss
is how far the most neglected one is from that, and its gradient moves the latents before the step is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Attend = Callable[[Tensor], Tensor]
"""Latents 1 x C x h x w -> cross-attention of the prompt 1 x cells x tokens (a square of cells, the start token first)."""

SHARPNESS = 100.0  # of the softmax over tokens, as published
BLUR = 0.5  # standard deviation in cells


@dataclass(frozen=True)
class Excitement:
    """As published. size: of a move at the first step (at the last, its root of a half). until: share of the steps with moves.
    targets: at these shares of the steps, moves go on until every subject reaches the share that is named, at most ``most``."""

    size: float = 20.0
    until: float = 0.5
    targets: tuple[tuple[float, float], ...] = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
    most: int = 20


def shares(attention: Tensor, subjects: Sequence[int], length: int) -> Tensor:
    """The largest share of each subject token, 0..1 [subjects]. attention: 1 x cells x tokens; length: tokens of the prompt
    from the start token to before the end, so that the subjects are among 1 .. length - 1."""
    side = round(attention.shape[1] ** 0.5)
    sharp = (SHARPNESS * attention[0, :, 1:length]).softmax(-1)
    planes = sharp[:, [token - 1 for token in subjects]].T.reshape(len(subjects), 1, side, side)
    offsets = torch.arange(-1.0, 2.0, device=attention.device)
    line = torch.exp(-(offsets**2) / (2 * BLUR**2))
    kernel = torch.outer(line, line)
    padded = F.pad(planes, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, (kernel / kernel.sum())[None, None].to(planes.dtype)).flatten(1).amax(1)


def excited(
    x: Tensor,
    attend: Attend,
    subjects: Sequence[int],
    length: int,
    step: int,
    steps: int,
    how: Excitement = Excitement(),
) -> Tensor:
    """The latents 1 x C x h x w with which step ``step`` (from 0) of ``steps`` is to be taken; as given where nothing is
    to be moved. Each move costs one evaluation of the network and its gradient."""
    if not subjects or step >= round(how.until * steps):
        return x
    size = how.size * float(torch.linspace(1.0, 0.5, steps)[step]) ** 0.5

    def moved(x: Tensor, enough: float) -> Tensor | None:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            least = shares(attend(x), subjects, length).min()
            if float(least.detach()) >= enough:
                return None
            (gradient,) = torch.autograd.grad(1.0 - least, x)
        return (x - size * gradient).detach()

    target = next((share for at, share in how.targets if round(at * steps) == step), None)
    for _ in range(how.most if target is not None else 0):
        further = moved(x, target)  # type: ignore[arg-type]
        if further is None:
            break
        x = further
    further = moved(x, 1.0)
    return x if further is None else further
