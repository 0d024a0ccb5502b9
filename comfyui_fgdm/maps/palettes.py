"""Palettes: label maps (class indices) <-> map pictures (one colour a class).

A map that went through an autoencoder has noisy colours, so decoding takes the nearest colour, and void where
none is near. Shipped are the palettes of COCO-Stuff (183 colours of the PASCAL VOC colour map, the closest 32
levels apart), ADE20K, Cityscapes and CelebAMask-HQ; ``read_palette`` reads a user's own.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import torch
from torch.nn import functional as F

from .palette_file import Label as Label
from .palette_file import Palette, PaletteError
from .palette_file import read_palette as read_palette

DATA_DIR = Path(__file__).resolve().parents[1] / "data"
NAMES = ("ade20k150", "celebamask19", "cityscapes19", "coco183")

MARGIN = 48.0
"""Default void margin of ``decode`` in 8-bit levels: close to the corner of the +-28 box of the paper (28 * sqrt 3)."""

_STEPS = 16  # pixels are rounded to 1/16 of a level: all scores are then exact in float32, and ties are true ties
_SIDE = 32  # the look-up tables have _SIDE**3 cells
_CHUNK = 1 << 13  # pixels scored at once: the arrays stay in the processor's cache


class Rule(Enum):
    """How the colours of a map are read: by ``decode`` or by ``decode_official``."""

    NEAREST = "nearest"
    OFFICIAL = "official"


@functools.lru_cache(maxsize=len(NAMES))
def _shipped(name: str) -> Palette:
    return read_palette(DATA_DIR / f"{name}.json")


def get(name: str) -> Palette:
    """The shipped palette of that name; PaletteError naming them otherwise. Those of a user's own: ``library``."""
    if name not in NAMES:
        raise PaletteError(f"unknown palette {name!r}; known: {', '.join(NAMES)}")
    return _shipped(name)


COCO = get("coco183")


def colours(palette: Palette, classes: Sequence[int] | None = None) -> torch.Tensor:
    """Colours as float32 [K, 3] in 0..255, rows in the ascending order of ``palette.check(classes)``."""
    return torch.tensor([palette.labels[c].rgb for c in palette.check(classes)], dtype=torch.float32)


def encode(labels: torch.Tensor, palette: Palette = COCO) -> torch.Tensor:
    """Paint a label map: integer [..., H, W] -> float32 [..., H, W, 3] in 0..1.

    PaletteError if a value is not a label of the palette (255, used for "unlabelled" by many data sets, included).
    """
    if labels.is_floating_point() or labels.is_complex():
        raise PaletteError(f"labels must be integers, got {labels.dtype}")
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < len(palette)):
        raise PaletteError(
            f"labels must be in 0..{len(palette) - 1} for palette {palette.name!r}, "
            f"got values from {int(labels.min())} to {int(labels.max())}"
        )
    return (colours(palette) / 255.0).to(labels.device)[labels.long()]


def decode(
    images: torch.Tensor,
    palette: Palette = COCO,
    classes: Sequence[int] | None = None,
    margin: float | None = MARGIN,
) -> torch.Tensor:
    """Nearest colour: pictures [B, H, W, 3] in 0..1 -> labels int64 [B, H, W].

    classes: labels that may occur (None = all of the palette, void included). Pass the classes a factor was
        trained on: with fewer colours the nearest one is right more often.
    margin: a pixel farther than this from every allowed colour becomes ``palette.void``; Euclidean distance
        over the three channels in 8-bit levels; None or infinity = never.

    Exact, up to rounding the picture to 1/16 of a level: a pixel at equal distance from two colours gets the
    lower label; so does one of a colour that two labels share (in ADE20K, road and skyscraper: road, unless
    only skyscraper is among ``classes``). Values outside 0..1 are clamped, NaN reads as 0. PaletteError for a
    tensor of another shape.
    """
    _check_picture(images)
    chosen = palette.readable(classes)
    reach = float("inf") if margin is None else float(margin)
    if not reach >= 0:
        raise PaletteError(f"margin must be >= 0 levels, got {margin}")
    pixels = torch.nan_to_num(images.reshape(-1, 3).float(), nan=0.0).clamp(0.0, 1.0)
    sure, rivals, counts = (part.to(images.device) for part in _table(palette, chosen, reach))
    axes = (pixels * _SIDE).to(torch.int32).clamp_(max=_SIDE - 1)
    cells = (axes[:, 0] * _SIDE + axes[:, 1]) * _SIDE + axes[:, 2]
    flat = sure[cells].to(torch.int64)
    unsure = (flat < 0).nonzero().squeeze(1)
    count = counts[cells[unsure]]
    for least, most in ((1, 2), (3, 4), (5, rivals.shape[1])):  # most pixels lie between two colours
        some = unsure[(count >= least) & (count <= most)]
        flat[some] = _nearest(pixels[some], rivals[cells[some], :most], palette, reach)
    return flat.reshape(images.shape[:-1])


def decode_official(images: torch.Tensor, palette: Palette = COCO, reach: int = 28) -> torch.Tensor:
    """The rule of the FG-DM paper and release: pictures [B, H, W, 3] in 0..1 -> labels int64 [B, H, W].

    A colour matches when all three 8-bit channels are within ``reach`` levels of it; of several matches the
    highest label wins; none gives void. Kept for comparison with published numbers: COCO colours are 32
    apart, so an error of 4 levels is enough to change the class. Use ``decode`` for anything else.
    """
    _check_picture(images)
    levels = (torch.nan_to_num(images.reshape(-1, 3).float(), nan=0.0).clamp(0.0, 1.0) * 255.0).round().to(torch.int32)
    first = [[max(0, label.rgb[c] - reach) for label in palette.labels] for c in range(3)]
    after = [[min(256, label.rgb[c] + reach + 1) for label in palette.labels] for c in range(3)]
    starts = [sorted({0, *first[c], *after[c]} - {256}) for c in range(3)]  # of intervals in which all matches agree
    table = torch.full([len(s) for s in starts], palette.void)
    for k in range(len(palette)):  # ascending: a later match overwrites
        table[tuple(slice(bisect_left(s, f[k]), bisect_left(s, a[k])) for s, f, a in zip(starts, first, after))] = k
    interval = [torch.bucketize(torch.arange(256), torch.tensor(s), right=True) - 1 for s in starts]
    r, g, b = (interval[c].to(images.device)[levels[:, c]] for c in range(3))
    return table.to(images.device)[r, g, b].reshape(images.shape[:-1])


def _check_picture(images: torch.Tensor) -> None:
    if images.ndim != 4 or images.shape[-1] != 3 or not images.is_floating_point():
        raise PaletteError(
            f"expected float pictures [B, H, W, 3] with values in 0..1, got {images.dtype} {tuple(images.shape)}"
        )


def _nearest(pixels: torch.Tensor, rivals: torch.Tensor, palette: Palette, reach: float) -> torch.Tensor:
    """Pixels [P, 3] in 0..1 and the labels to choose from, ascending, int [P, M] -> labels int64 [P]."""
    table = colours(palette).to(pixels.device)
    out = torch.empty(len(pixels), dtype=torch.int64, device=pixels.device)
    for start in range(0, len(pixels), _CHUNK):
        part = (pixels[start : start + _CHUNK] * (255.0 * _STEPS)).round() / _STEPS
        labels = rivals[start : start + _CHUNK].long()
        options = table[labels]
        # |x - c|^2 = |x|^2 - (2 x.c - |c|^2): the largest bracket is the nearest colour, the first one on ties
        choice = (options * (2.0 * part[:, None] - options)).sum(2).argmax(1, keepdim=True)
        nearest = labels.gather(1, choice).squeeze(1)
        distance = (part - table[nearest]).square().sum(1)
        out[start : start + _CHUNK] = torch.where(distance <= reach * reach, nearest, palette.void)
    return out


@functools.lru_cache(maxsize=16)
def _table(palette: Palette, classes: tuple[int, ...], reach: float) -> tuple[torch.Tensor, ...]:
    """Three tables over the cells of the RGB cube: int16 [cells], the label of all points of a cell, or -1 where
    they differ; int16 [cells, M], the labels, ascending, that the points of a cell may have, and then repeats of
    the first; int16 [cells], how many these are.

    A cell is sure of label a if every point in it is nearer to a than to any other colour b. The difference of
    the squared distances is linear in the point, so its least value in the cell is its value at the centre less
    2 * half-width * |a - b|_1. The same for the void margin, with the nearest and the farthest point of the cell.
    """
    half = 255.0 / _SIDE / 2 + 1.0 / _STEPS
    axis = (torch.arange(_SIDE) + 0.5) * (255.0 / _SIDE)
    table, labels = colours(palette, classes), torch.tensor(classes, dtype=torch.int16)
    slack = 2.0 * half * torch.cdist(table, table, p=1.0)
    sure, rivals, counts = [], [], []
    none = torch.tensor(torch.iinfo(torch.int16).max, dtype=torch.int16)
    for part in torch.cartesian_prod(axis, axis, axis).split(_CHUNK):
        score = torch.addmm(-table.square().sum(1), part, table.T, alpha=2.0)
        best, nearest = score.max(1)
        possible = best[:, None] - score <= slack[nearest]  # the nearest itself always is
        counts.append(possible.sum(1).short())
        kept, first = score.masked_fill(~possible, -torch.inf).topk(int(counts[-1].max()), dim=1)
        ascending = torch.where(kept.isfinite(), labels[first], none).sort(1).values
        rivals.append(torch.where(ascending == none, ascending[:, :1], ascending))
        offset = (part - table[nearest]).abs()
        inside = (offset + half).square().sum(1) <= reach * reach
        outside = (offset - half).clamp(min=0).square().sum(1) > reach * reach
        label = torch.where(inside, labels[nearest], torch.tensor(palette.void, dtype=torch.int16))
        sure.append(label.where((inside | outside) & (counts[-1] == 1), torch.tensor(-1, dtype=torch.int16)))
    width = max(r.shape[1] for r in rivals)
    rivals = [F.pad(r.float(), (0, width - r.shape[1]), mode="replicate").short() for r in rivals]
    return torch.cat(sure), torch.cat(rivals), torch.cat(counts)
