"""Low-rank changes of a frozen network's weights, trained beside an adapter and kept in the same factor file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..factors.files import LoraPair, lora_delta


def _key(name: str) -> str:
    """A parameter's name as a key of a ParameterDict, which takes no dots."""
    return name.replace(".", "/")


class LowRank(nn.Module):
    """Low-rank changes of a frozen network's weights (by name), used through ``torch.func.functional_call``.

    One pair per convolution and linear weight with at least ``rank`` inputs and outputs; ``up`` starts at zero.
    skip: names that begin so are left as they are.
    """

    def __init__(self, frozen: Mapping[str, Tensor], rank: int, skip: tuple[str, ...] = ("time_embed",)) -> None:
        super().__init__()
        self.shapes = {
            name: p.shape
            for name, p in frozen.items()
            if p.ndim in (2, 4) and not name.startswith(skip) and min(p.shape[0], p[0].numel()) >= rank
        }
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, shape in self.shapes.items():
            key = _key(name)
            self.down[key] = nn.Parameter(torch.randn(rank, shape[1:].numel()) / shape[1:].numel() ** 0.5)
            self.up[key] = nn.Parameter(torch.zeros(shape[0], rank))

    @classmethod
    def of(cls, frozen: Mapping[str, Tensor], pairs: Mapping[str, LoraPair]) -> LowRank:
        """Those of a file, to be trained further. ValueError names a change of no weight, or of one of another shape."""
        made = cls({}, 1)
        for name, pair in pairs.items():
            if name not in frozen:
                raise ValueError(f"a low-rank change of {name!r}, which is no weight of the base")
            lora_delta(pair, frozen[name].shape)
            made.shapes[name] = frozen[name].shape
            made.down[_key(name)] = nn.Parameter(pair.down.float().clone())
            made.up[_key(name)] = nn.Parameter(pair.up.float().clone())
        return made

    def weights(self, frozen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name -> changed weight, differentiable in the low-rank factors."""
        return {
            name: frozen[name] + (self.up[_key(name)] @ self.down[_key(name)]).view(shape)
            for name, shape in self.shapes.items()
        }

    def pairs(self) -> dict[str, LoraPair]:
        """Weight key -> (down, up), as ``factors.files.save`` wants them."""
        return {name: LoraPair(self.down[_key(name)].detach(), self.up[_key(name)].detach()) for name in self.shapes}
