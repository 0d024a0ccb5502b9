"""Batches of pictures: what is accepted as one, and grey ones read and painted."""

from __future__ import annotations

import torch


class MapError(ValueError):
    """A picture or values of the wrong shape, type or range; the text says which and what is expected."""


def pixels(picture: torch.Tensor) -> torch.Tensor:
    """A batch of pictures, float [B, H, W, 3], as float32 within 0..1 (NaN reads as 0); MapError for anything else."""
    if picture.ndim != 4 or picture.shape[-1] != 3 or not picture.is_floating_point():
        raise MapError(
            f"expected float pictures [B, H, W, 3] with values in 0..1, got {picture.dtype} {tuple(picture.shape)}"
        )
    return torch.nan_to_num(picture.float(), nan=0.0).clamp(0.0, 1.0)


def grey(picture: torch.Tensor) -> torch.Tensor:
    """Mean of the three channels: pictures [B, H, W, 3] -> float32 [B, H, W] in 0..1."""
    return pixels(picture).mean(-1)


def paint_grey(values: torch.Tensor, what: str) -> torch.Tensor:
    """Values [B, H, W] -> grey pictures float32 [B, H, W, 3]; clamped to 0..1, NaN reads as 0."""
    if values.ndim != 3 or not values.is_floating_point():
        raise MapError(f"expected {what} as float [B, H, W] in 0..1, got {values.dtype} {tuple(values.shape)}")
    return torch.nan_to_num(values.float(), nan=0.0).clamp(0.0, 1.0)[..., None].repeat(1, 1, 1, 3)
