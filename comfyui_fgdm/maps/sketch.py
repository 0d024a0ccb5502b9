"""Sketches: white lines on black. A value is the strength of the line at a pixel, 0 none and 1 full.

White on black is what the stock scribble, soft-edge, line-art and canny ControlNets of SD 1.5 expect; a drawing on
paper is the other way round and is read with ``dark_lines``.
"""

from __future__ import annotations

import torch

from .pictures import grey, paint_grey
from .variable import VariableKind


def read(picture: torch.Tensor, dark_lines: bool = False) -> torch.Tensor:
    """Pictures [B, H, W, 3] in 0..1 -> line strength float32 [B, H, W] in 0..1; ``dark_lines`` for black on white."""
    strength = grey(picture)
    return 1.0 - strength if dark_lines else strength


def draw(strength: torch.Tensor) -> torch.Tensor:
    """Line strength, float [B, H, W] in 0..1 (clamped) -> pictures float32 [B, H, W, 3], white lines on black."""
    return paint_grey(strength, "line strength")


KIND = VariableKind(
    name="sketch",
    title="Sketch",
    about="white lines on black",
    values="line strength, float [B, H, W] in 0..1 (1 = line)",
    draw=draw,
    read=read,
    level=torch.clone,
    controlnets=("control_v11p_sd15_scribble", "control_v11p_sd15_softedge", "control_v11p_sd15_lineart"),
    expects="white lines on black",
)
