"""Segmentation maps: one class a pixel, painted in the colours of a palette."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from . import cleaning, palettes
from .variable import VariableKind


def read(
    picture: torch.Tensor, palette: palettes.Palette = palettes.COCO, classes: Sequence[int] | None = None
) -> torch.Tensor:
    """Pictures [B, H, W, 3] in 0..1 -> labels int64 [B, H, W], by nearest colour; see ``palettes.decode``."""
    return palettes.decode(picture, palette, classes)


def draw(labels: torch.Tensor, palette: palettes.Palette = palettes.COCO) -> torch.Tensor:
    """Labels, integer [B, H, W] -> pictures float32 [B, H, W, 3] in 0..1; see ``palettes.encode``."""
    return palettes.encode(labels, palette)


def clean(
    labels: torch.Tensor, palette: palettes.Palette = palettes.COCO, smallest: float = cleaning.SMALLEST
) -> torch.Tensor:
    """Labels, integer [B, H, W], without void and specks; see ``cleaning.clean``."""
    return cleaning.clean(labels, palette.void, smallest)


KIND = VariableKind(
    name="segmentation",
    title="Segmentation",
    about="one class a pixel, each class in its colour of a palette",
    values="labels, integer [B, H, W]",
    draw=draw,
    read=read,
    clean=clean,
    palette=palettes.COCO.name,
    controlnets=("control_v11p_sd15_seg", "control_sd15_seg"),
    expects="ADE20K colours, not the COCO colours of FG-DM: convert the labels first",
)
