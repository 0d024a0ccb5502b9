"""Depth maps: grey pictures in which near is bright and far is dark.

The values are relative, not metres: 1 is the nearest point of the picture and 0 the farthest, linear in inverse
distance, as the MiDaS family gives it. That is also what the stock depth ControlNets of SD 1.5 were trained on.
"""

from __future__ import annotations

import torch

from .pictures import grey, paint_grey


def read(picture: torch.Tensor) -> torch.Tensor:
    """Pictures [B, H, W, 3] in 0..1 -> nearness float32 [B, H, W] in 0..1 (1 = nearest): the mean of the channels."""
    return grey(picture)


def draw(nearness: torch.Tensor) -> torch.Tensor:
    """Nearness, float [B, H, W] in 0..1 (clamped) -> grey pictures float32 [B, H, W, 3]."""
    return paint_grey(nearness, "nearness")
