"""Attention maps of a UNet while it is trained: where a backbone puts them, and maps of several layers as one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..factors.unet_layers import AttentionMaps
from ..sampling.attention_maps import combined_cross, queries_at, resized, side_of

__all__ = ["AttentionMaps", "combined_cross", "combined_own"]


def combined_own(maps: Sequence[Tensor], side: int) -> Tensor:
    """Mean of the self-attention of all layers at a common grid: B x side^2 x side^2, a distribution for each query.

    Queries as in ``combined_cross``. Keys of a larger grid are summed up (a cell attends to the four cells in it), keys of
    a smaller one interpolated and scaled back to sum to one.
    """
    return sum(_keys(queries_at(one, side), side) for one in maps) / len(maps)  # type: ignore[return-value]


def _keys(maps: Tensor, side: int) -> Tensor:
    now = side_of(maps.shape[2])
    if now == side:
        return maps
    spread = resized(maps.unflatten(2, (now, now)), side).flatten(2)
    return spread / spread.sum(2, keepdim=True)
