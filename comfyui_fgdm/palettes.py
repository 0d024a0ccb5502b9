"""Palettes: label maps (class indices) <-> map pictures (one colour a class).

The COCO palette has 183 colours of the PASCAL VOC colour map; the closest are 32 levels apart. A map that
went through an autoencoder has noisy colours, so decoding takes the nearest colour, and void where none is near.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

DATA_DIR = Path(__file__).parent / "data"

MARGIN = 48.0
"""Default void margin of ``decode`` in 8-bit levels: close to the corner of the +-28 box of the paper (28 * sqrt 3)."""

_STEPS = 16  # pixels are rounded to 1/16 of a level: all scores are then exact in float32, and ties are true ties
_SIDE = 32  # the look-up tables have _SIDE**3 cells
_CHUNK = 1 << 13  # pixels scored at once: the arrays stay in the processor's cache


class PaletteError(ValueError):
    """A label, class or picture that a palette cannot represent."""


@dataclass(frozen=True)
class Label:
    """One class: its index in label maps, its name, and its colour as three 8-bit levels."""

    index: int
    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Classes and colours of a family of maps.

    ``labels[i].index == i``. ``void`` is the label of pixels that belong to no class. ``retired`` are labels
    that have a colour but never occur in the data set, so no factor trained on it can draw them.
    """

    name: str
    labels: tuple[Label, ...]
    void: int
    retired: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def index(self, name: str) -> int:
        """Index of the class called ``name`` (letter case ignored); PaletteError if there is none."""
        wanted = name.strip().lower()
        for label in self.labels:
            if label.name == wanted:
                return label.index
        raise PaletteError(f"palette {self.name!r} has no class called {name!r}")

    def check(self, classes: Sequence[int] | None) -> tuple[int, ...]:
        """``classes`` as ascending label indices without repeats (None = all labels); PaletteError if one is unknown."""
        if classes is None:
            return tuple(range(len(self)))
        chosen = tuple(sorted({int(c) for c in classes}))
        bad = [c for c in chosen if not 0 <= c < len(self)]
        if bad or not chosen:
            what = f"labels {bad}" if bad else "an empty class list"
            raise PaletteError(f"palette {self.name!r} knows labels 0..{len(self) - 1}, got {what}")
        return chosen


def _read(path: Path) -> Palette:
    raw = json.loads(path.read_text(encoding="utf-8"))
    labels = tuple(Label(i, name, (rgb[0], rgb[1], rgb[2])) for i, (name, rgb) in enumerate(raw["labels"]))
    return Palette(raw["name"], labels, raw["void"], tuple(raw["retired"]))


COCO = _read(DATA_DIR / "coco183.json")
_PALETTES = {COCO.name: COCO}


def get(name: str) -> Palette:
    """The palette called ``name``, as written in a factor file; PaletteError naming the known ones otherwise."""
    if name not in _PALETTES:
        raise PaletteError(f"unknown palette {name!r}; known: {', '.join(sorted(_PALETTES))}")
    return _PALETTES[name]


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
    lower label. Values outside 0..1 are clamped, NaN reads as 0. PaletteError for a tensor of another shape.
    """
    _check_picture(images)
    chosen = palette.check(classes)
    reach = float("inf") if margin is None else float(margin)
    if not reach >= 0:
        raise PaletteError(f"margin must be >= 0 levels, got {margin}")
    pixels = torch.nan_to_num(images.reshape(-1, 3).float(), nan=0.0).clamp(0.0, 1.0)
    sure, rivals = (part.to(images.device) for part in _table(palette, chosen, reach))
    axes = (pixels * _SIDE).to(torch.int32).clamp_(max=_SIDE - 1)
    cells = (axes[:, 0] * _SIDE + axes[:, 1]) * _SIDE + axes[:, 2]
    flat = sure[cells].to(torch.int64)
    unsure = (flat < 0).nonzero().squeeze(1)
    if unsure.numel():
        flat[unsure] = _nearest(pixels[unsure], rivals[cells[unsure]], palette, reach)
    return flat.reshape(images.shape[:-1])


def decode_official(images: torch.Tensor, palette: Palette = COCO, reach: int = 28) -> torch.Tensor:
    """The rule of the FG-DM paper and release: pictures [B, H, W, 3] in 0..1 -> labels int64 [B, H, W].

    A colour matches when all three 8-bit channels are within ``reach`` levels of it; of several matches the
    highest label wins; none gives void. Kept for comparison with published numbers: COCO colours are 32
    apart, so an error of 4 levels is enough to change the class. Use ``decode`` for anything else.
    """
    _check_picture(images)
    levels = (torch.nan_to_num(images.reshape(-1, 3).float(), nan=0.0).clamp(0.0, 1.0) * 255.0).round().to(torch.int64)
    near = (torch.arange(256).view(1, 256, 1) - colours(palette).T.long().view(3, 1, -1)).abs() <= reach  # 3, 256, K
    sets, index = zip(*(torch.unique(near[c], dim=0, return_inverse=True) for c in range(3)), strict=True)
    match = sets[0][:, None, None] & sets[1][None, :, None] & sets[2][None, None, :]  # a, b, c, K
    last = (match * torch.arange(1, len(palette) + 1)).amax(-1) - 1
    table = torch.where(last < 0, palette.void, last).to(images.device)
    r, g, b = (index[c].to(images.device)[levels[:, c]] for c in range(3))
    return table[r, g, b].reshape(images.shape[:-1])


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
def _table(palette: Palette, classes: tuple[int, ...], reach: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tables over the cells of the RGB cube: int16 [cells], the label of all points of a cell, or -1 where
    they differ; and int16 [cells, M], the labels, ascending, that the points of a cell may have (padded by repeats).

    A cell is sure of label a if every point in it is nearer to a than to any other colour b. The difference of
    the squared distances is linear in the point, so its least value in the cell is its value at the centre less
    2 * half-width * |a - b|_1. The same for the void margin, with the nearest and the farthest point of the cell.
    """
    half = 255.0 / _SIDE / 2 + 1.0 / _STEPS
    axis = (torch.arange(_SIDE) + 0.5) * (255.0 / _SIDE)
    table, labels = colours(palette, classes), torch.tensor(classes, dtype=torch.int16)
    slack = 2.0 * half * torch.cdist(table, table, p=1.0)
    sure, rivals = [], []
    for part in torch.cartesian_prod(axis, axis, axis).split(_CHUNK):
        score = torch.addmm(-table.square().sum(1), part, table.T, alpha=2.0)
        best, nearest = score.max(1)
        possible = best[:, None] - score <= slack[nearest]  # the nearest itself always is
        most = int(possible.sum(1).max())
        first = score.topk(most, dim=1).indices
        rivals.append(labels[torch.where(possible.gather(1, first), first, nearest[:, None])].sort(1).values)
        offset = (part - table[nearest]).abs()
        inside = (offset + half).square().sum(1) <= reach * reach
        outside = (offset - half).clamp(min=0).square().sum(1) > reach * reach
        label = torch.where(inside, labels[nearest], torch.tensor(palette.void, dtype=torch.int16))
        sure.append(label.where((inside | outside) & (possible.sum(1) == 1), torch.tensor(-1, dtype=torch.int16)))
    width = max(r.shape[1] for r in rivals)
    rivals = [F.pad(r.float(), (0, width - r.shape[1]), mode="replicate").short() for r in rivals]
    return torch.cat(sure), torch.cat(rivals)
