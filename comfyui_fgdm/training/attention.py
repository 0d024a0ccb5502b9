"""Attention maps of a UNet while it is trained: where a backbone puts them, and maps of several layers as one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from ..factors.unet_layers import AttentionMaps

__all__ = ["AttentionMaps", "combined_cross", "combined_own"]


def combined_cross(maps: Sequence[Tensor], side: int) -> Tensor:
    """Mean of the layers at a common grid: B x side^2 x tokens, a distribution over the tokens for each cell.

    Layers of a larger grid are averaged down, smaller ones interpolated (bilinearly, as in eq. 7 of the paper); either is
    a convex combination of queries, so that what sums to one over the tokens still does.
    """
    return sum(_queries(one, side) for one in maps) / len(maps)  # type: ignore[return-value]


def combined_own(maps: Sequence[Tensor], side: int) -> Tensor:
    """Mean of the self-attention of all layers at a common grid: B x side^2 x side^2, a distribution for each query.

    Queries as in ``combined_cross``. Keys of a larger grid are summed up (a cell attends to the four cells in it), keys of
    a smaller one interpolated and scaled back to sum to one.
    """
    return sum(_keys(_queries(one, side), side) for one in maps) / len(maps)  # type: ignore[return-value]


def _side(cells: int) -> int:
    side = round(cells**0.5)
    if side * side != cells:
        raise ValueError(f"attention over {cells} cells, which are no square: train on square maps")
    return side


def _resized(planes: Tensor, side: int) -> Tensor:
    """N x C x s x s to N x C x side x side: means of a whole number of cells where that is possible, else bilinear."""
    now = planes.shape[-1]
    if now == side:
        return planes
    if now % side == 0:
        return F.avg_pool2d(planes, now // side)
    return F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=False)


def _queries(maps: Tensor, side: int) -> Tensor:
    now = _side(maps.shape[1])
    if now == side:
        return maps
    return _resized(maps.transpose(1, 2).unflatten(2, (now, now)), side).flatten(2).transpose(1, 2)


def _keys(maps: Tensor, side: int) -> Tensor:
    now = _side(maps.shape[2])
    if now == side:
        return maps
    spread = _resized(maps.unflatten(2, (now, now)), side).flatten(2)
    return spread / spread.sum(2, keepdim=True)
