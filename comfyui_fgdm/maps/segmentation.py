"""Segmentation maps: one class a pixel, painted in the colours of a palette."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from . import palettes


def read(
    picture: torch.Tensor, palette: palettes.Palette = palettes.COCO, classes: Sequence[int] | None = None
) -> torch.Tensor:
    """Pictures [B, H, W, 3] in 0..1 -> labels int64 [B, H, W], by nearest colour; see ``palettes.decode``."""
    return palettes.decode(picture, palette, classes)


def draw(labels: torch.Tensor, palette: palettes.Palette = palettes.COCO) -> torch.Tensor:
    """Labels, integer [B, H, W] -> pictures float32 [B, H, W, 3] in 0..1; see ``palettes.encode``."""
    return palettes.encode(labels, palette)
