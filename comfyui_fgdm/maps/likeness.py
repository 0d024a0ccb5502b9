"""Whether pictures are maps at all, and of which palette: by the share of pixels that match a colour of it.

Nearness alone does not tell: the 183 colours of COCO lie so dense that every colour is near one. But the pixels of a
map lie on the colours of its palette, or within a few levels where it went through an autoencoder, and hit those of
another palette by chance only. Measured on maps of 10 random regions: within 1, 4 and 8 levels of a colour are on
average all pixels of a clean map, .5 of one with noise of 4 levels, .17 with 8; at most .15 by another palette; and
.02 of pictures with the spectrum of photographs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import torch

from .palette_file import Palette
from .palettes import MARGIN, colours

LEVELS = (1, 4, 8)
"""Largest differences in a channel, of 255, at which a pixel counts as matching a colour."""

CLEARLY = 0.2
"""How much more likely another palette has to be before maps are taken for its own."""

MOST = 0.75
"""Share of pixels that have to match a colour of another palette, so that a few classes in common are not enough."""

SOME = 0.1
"""Share of pixels that have to match a class of it other than void."""

BY_CHANCE = 2.0
"""Likeness, in units of that of pixels of random colours, below which a picture is no map of a palette."""

UNREADABLE = 0.5
"""Share of pixels near no colour of the palette above which a picture is taken for something else than a map."""

_PIXELS = 4096  # of a picture that are looked at


def likeness(pictures: torch.Tensor, palette: Palette) -> torch.Tensor:
    """How much pictures float32 [B, H, W, 3] in 0..1 look like maps of a palette: the share of pixels that are within 1,
    4 and 8 levels of one of its colours, averaged; float32 [B] in 0..1."""
    return _matching(pictures, palette, palette.readable()).mean(1)


def _matching(pictures: torch.Tensor, palette: Palette, classes: Sequence[int]) -> torch.Tensor:
    """The share of pixels that are within each of ``LEVELS`` of the colour of one of the classes, float32 [B, 3]."""
    pixels = torch.nan_to_num(pictures.flatten(1, 2), nan=0.0).clamp(0.0, 1.0) * 255.0
    step = pixels.shape[1] // _PIXELS | 1  # odd, so that it visits all columns
    table = colours(palette, classes)
    nearest = [torch.cdist(picture, table, p=float("inf")).amin(1) for picture in pixels[:, ::step]]
    return torch.stack([torch.stack([(one < at).float().mean() for at in _reach()]) for one in nearest])


def chance(palette: Palette) -> float:
    """The likeness of pixels of random colours, 0..1: .014 for the 183 colours of COCO."""
    table = colours(palette, palette.readable())
    cubes = [((table + at).clamp(max=255.5) - (table - at).clamp(min=-0.5)).prod(1).sum() for at in _reach()]
    return float(sum(cubes)) / len(LEVELS) / 256**3


def _reach() -> list[float]:
    return [level + 0.5 for level in LEVELS]


def is_map(pictures: torch.Tensor, palette: Palette, unreadable: torch.Tensor) -> torch.Tensor:
    """Which pictures float32 [B, H, W, 3] may be maps of a palette, bool [B]. unreadable: share of pixels of each that
    are near no colour of it. Where most colours there are lie near one of the palette, nearness says nothing, and
    more pixels have to match than of a picture of random colours."""
    fine = unreadable <= UNREADABLE
    if _coverage(palette) > 0.4:
        fine &= likeness(pictures, palette) >= BY_CHANCE * chance(palette)
    return fine


@functools.lru_cache(maxsize=16)
def _coverage(palette: Palette) -> float:
    """Share of all colours that are within ``MARGIN`` of one of the palette: .84 for COCO, .2 for CelebAMask."""
    axis = torch.linspace(0.0, 255.0, 18)
    nearest = torch.cdist(torch.cartesian_prod(axis, axis, axis), colours(palette, palette.readable())).amin(1)
    return float((nearest <= MARGIN).float().mean())


def looks_like(pictures: torch.Tensor, read_as: Palette, others: Iterable[Palette]) -> Palette | None:
    """The palette that all of these pictures look clearly more like than the one they are to be read with; None if
    there is none. A picture in nothing but the colour of void looks like no palette."""
    own, best = likeness(pictures, read_as), None
    for palette in others:
        matching = _matching(pictures, palette, palette.readable())
        score = matching.mean(1)
        if not ((matching[:, -1] >= MOST) & (score >= own + CLEARLY)).all() or (best and score.mean() <= best[0]):
            continue
        classes = [label for label in palette.readable() if label != palette.void]
        if classes and (_matching(pictures, palette, classes)[:, -1] >= SOME).all():
            best = score.mean(), palette
    return None if best is None else best[1]
