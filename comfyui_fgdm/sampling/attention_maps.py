"""Cross-attention: written out, its layers as one, and where a word acts, the mask made of it (LEDITS++, mask M1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 16
"""Least side of the grid that masks are read from: that of the paper's 512-pixel pictures."""


@dataclass(frozen=True)
class Tokens:
    """positions: of the words in the text, without its start, end and padding. length: tokens of the text as encoded."""

    positions: tuple[int, ...]
    length: int


def grid_of(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Grid of the layers that halve the latents (height, width) log2(factor) times; halves are rounded up, as in the UNet."""
    return -(-size[0] // factor), -(-size[1] // factor)


def best_factor(size: tuple[int, int], factors: Sequence[int] = (1, 2, 4)) -> int:
    """Of the layers to read for latents (height, width): 4 as in the paper where that leaves CELLS cells a side, so for 512
    pixels of Stable Diffusion; less for smaller ones, whose grid would be too coarse. factors: those that have cross-attention.
    """
    fine = [factor for factor in factors if min(grid_of(size, factor)) >= CELLS and factor <= 4]
    return max(fine) if fine else min(factors)


def probabilities(q: Tensor, k: Tensor, heads: int, split: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(d)), B x heads x queries x keys, float32. q, k: B x tokens x (heads d), or B x heads x tokens x d
    where split."""
    if not split:
        q, k = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k))
    return torch.softmax(q.float() @ k.float().transpose(-1, -2) * q.shape[-1] ** -0.5, -1)


def written_out(q: Tensor, k: Tensor, v: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Attention with its weights: q, k, v B x tokens x (heads d) -> (output B x queries x (heads d), softmax B x queries x keys in
    single precision, mean of the heads). The gradient passes through both."""
    q, k, v = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (q, k, v))
    weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).float().softmax(-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2), weights.mean(1)


def combined_cross(maps: Sequence[Tensor], side: int) -> Tensor:
    """Mean of the layers at a common grid: B x side^2 x tokens, a distribution over the tokens for each cell.

    Layers of a larger grid are averaged down, smaller ones interpolated (bilinearly, as in eq. 7 of the paper); either is
    a convex combination of queries, so that what sums to one over the tokens still does.
    """
    return sum(queries_at(one, side) for one in maps) / len(maps)  # type: ignore[return-value]


def side_of(cells: int) -> int:
    """Of a square grid; ValueError for one that is none."""
    side = round(cells**0.5)
    if side * side != cells:
        raise ValueError(f"attention over {cells} cells, which are no square: train on square maps")
    return side


def resized(planes: Tensor, side: int) -> Tensor:
    """N x C x s x s to N x C x side x side: means of a whole number of cells where that is possible, else bilinear."""
    now = planes.shape[-1]
    if now == side:
        return planes
    if now % side == 0:
        return F.avg_pool2d(planes, now // side)
    return F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=False)


def queries_at(maps: Tensor, side: int) -> Tensor:
    """Maps B x queries x keys of a square grid at one of ``side`` cells a side: B x side^2 x keys."""
    now = side_of(maps.shape[1])
    if now == side:
        return maps
    return resized(maps.transpose(1, 2).unflatten(2, (now, now)), side).flatten(2).transpose(1, 2)


def token_map(attention: Tensor, tokens: Tokens) -> Tensor:
    """B x heads x queries x keys -> B x heads x queries, summed over the tokens. Texts of several lengths in one call are
    repeated to one length, so each copy of a token counts."""
    keys = attention.shape[-1]
    copies = keys // tokens.length if keys % tokens.length == 0 else 1
    places = [position + copy * tokens.length for copy in range(copies) for position in tokens.positions]
    return attention[..., places].sum(-1)


class AttentionMean:
    """The maps of one step, by condition: mean over the heads of all layers of one grid.

    size: of the latents (height, width). factor: of the grid. tokens: of the conditions to watch, by their number.
    """

    def __init__(self, size: tuple[int, int], factor: int, tokens: Mapping[int, Tokens]) -> None:
        self.grid = grid_of(size, factor)
        self.tokens = tokens
        self._sums: dict[int, Tensor] = {}
        self._heads: dict[int, int] = {}

    def add(self, q: Tensor, k: Tensor, heads: int, conditions: Sequence[int], split: bool = False) -> None:
        """The queries and keys of one layer; layers of another grid, and self-attention, are passed over.

        conditions: which condition each part of the batch belongs to. Where a text is as long as the grid has cells, the two
        kinds of attention cannot be told apart, and nothing is taken.
        """
        queries, keys = q.shape[-2], k.shape[-2]
        if queries != self.grid[0] * self.grid[1] or queries == keys or len(q) % len(conditions):
            return
        size = len(q) // len(conditions)
        for part, condition in enumerate(conditions):
            if condition not in self.tokens:
                continue
            own = slice(part * size, (part + 1) * size)
            found = token_map(probabilities(q[own], k[own], heads, split), self.tokens[condition]).sum(1)
            self._sums[condition] = self._sums.get(condition, 0) + found
            self._heads[condition] = self._heads.get(condition, 0) + heads

    def maps(self) -> dict[int, Tensor]:
        """B x grid height x grid width by condition; conditions of which nothing was seen are missing."""
        return {c: (sums / self._heads[c]).unflatten(-1, self.grid) for c, sums in self._sums.items()}


def attention_mask(maps: Tensor, threshold: float, size: tuple[int, int]) -> Tensor:
    """M1 of LEDITS++: maps B x gh x gw, blurred by 3 x 3 with exp(-d^2), where they reach their quantile ``threshold``;
    B x 1 x h x w of 0 and 1 for latents of ``size``."""
    line = torch.exp(-torch.tensor([1.0, 0.0, 1.0], device=maps.device, dtype=maps.dtype))
    kernel = torch.outer(line, line)
    edge = "reflect" if min(maps.shape[-2:]) > 1 else "replicate"
    padded = F.pad(maps[:, None], (1, 1, 1, 1), mode=edge)
    blurred = F.conv2d(padded, (kernel / kernel.sum())[None, None])
    return F.interpolate(above_quantile(blurred, threshold), size)


def above_quantile(values: Tensor, threshold: float) -> Tensor:
    """B x 1 x h x w -> 1 where a value reaches the quantile ``threshold`` (0..1) of its own item, else 0."""
    level = torch.quantile(values.float().flatten(1), threshold, dim=1).to(values.dtype)
    return (values >= level[:, None, None, None]).to(values.dtype)
