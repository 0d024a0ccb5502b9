"""Depth maps: grey pictures in which near is bright and far is dark.

The values are relative, not metres: 1 is the nearest point of the picture and 0 the farthest, linear in inverse
distance, as the MiDaS family gives it. That is also what the stock depth ControlNets of SD 1.5 were trained on.
"""

from __future__ import annotations

import torch

from .pictures import grey, paint_grey
from .variable import VariableKind


def read(picture: torch.Tensor) -> torch.Tensor:
    """Pictures [B, H, W, 3] in 0..1 -> nearness float32 [B, H, W] in 0..1 (1 = nearest): the mean of the channels."""
    return grey(picture)


def draw(nearness: torch.Tensor) -> torch.Tensor:
    """Nearness, float [B, H, W] in 0..1 (clamped) -> grey pictures float32 [B, H, W, 3]."""
    return paint_grey(nearness, "nearness")


KIND = VariableKind(
    name="depth",
    title="Depth",
    about="grey: near is bright, far is dark",
    values="nearness, float [B, H, W] in 0..1 (1 = nearest)",
    draw=draw,
    read=read,
    level=torch.clone,
    controlnets=("control_v11f1p_sd15_depth", "control_sd15_depth"),
    expects="near is bright, stretched to the full range of each picture",
)
