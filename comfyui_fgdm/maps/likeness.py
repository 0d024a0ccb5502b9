"""Whether pictures are maps at all, and of which palette: by the share of pixels that match a colour of it.

Nearness alone does not tell: the 183 colours of COCO lie so dense that every colour is near one. But the pixels of a
map lie on the colours of its palette, or within a few levels where it went through an autoencoder, and hit those of
another palette by chance only. Measured on maps of 10 random regions: within 1, 4 and 8 levels of a colour are on
average all pixels of a clean map, .5 of one with noise of 4 levels, .17 with 8; at most .15 by another palette; and
.02 of pictures with the spectrum of photographs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .palette_file import Palette
from .palettes import colours

LEVELS = (1, 4, 8)
"""Largest differences in a channel, of 255, at which a pixel counts as matching a colour."""

CLEARLY = 0.2
"""How much more likely another palette has to be before maps are taken for its own."""

BY_CHANCE = 2.4
"""Likeness, in units of that of pixels of random colours, below which a picture is no map of a palette."""

_PIXELS = 4096  # of a picture that are looked at


def likeness(pictures: torch.Tensor, palette: Palette) -> torch.Tensor:
    """How much pictures float32 [B, H, W, 3] in 0..1 look like maps of a palette: the share of pixels that are within 1,
    4 and 8 levels of one of its colours, averaged; float32 [B] in 0..1."""
    pixels = torch.nan_to_num(pictures.flatten(1, 2), nan=0.0).clamp(0.0, 1.0) * 255.0
    step = pixels.shape[1] // _PIXELS | 1  # odd, so that it visits all columns
    table = colours(palette, palette.readable())
    found = []
    for picture in pixels[:, ::step]:
        nearest = torch.cdist(picture, table, p=float("inf")).amin(1)
        found.append(sum((nearest < at).float().mean() for at in _reach()) / len(LEVELS))
    return torch.stack(found)


def chance(palette: Palette) -> float:
    """The likeness of pixels of random colours, 0..1: .014 for the 183 colours of COCO."""
    table = colours(palette, palette.readable())
    cubes = [((table + at).clamp(max=255.5) - (table - at).clamp(min=-0.5)).prod(1).sum() for at in _reach()]
    return float(sum(cubes)) / len(LEVELS) / 256**3


def _reach() -> list[float]:
    return [level + 0.5 for level in LEVELS]


def looks_like(pictures: torch.Tensor, read_as: Palette, others: Iterable[Palette]) -> Palette | None:
    """The palette that all of these pictures look clearly more like than the one they are to be read with; None if
    there is none."""
    own, best = likeness(pictures, read_as), None
    for palette in others:
        score = likeness(pictures, palette)
        if (score >= own + CLEARLY).all() and (best is None or score.mean() > best[0]):
            best = score.mean(), palette
    return None if best is None else best[1]
