"""Maps in the making, read without the decoder: a linear map from latents to colours, fitted to maps that are finished.

A latent of a flat map says little more than a colour for each of its cells. So the first finished maps of a search, whose
latents and pictures are both at hand, teach the reading of those that are still being sampled, at a thousandth of what a
decode costs. How well that reads, it says itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class LatentColours:
    """weights: (C + 1) x 3, the last row a constant."""

    weights: Tensor

    def __call__(self, latents: Tensor) -> Tensor:
        """Pictures at the size of the latents: B x C x h x w -> B x h x w x 3 in 0..1."""
        return (_rows(latents) @ self.weights).clamp(0.0, 1.0).unflatten(0, (len(latents), *latents.shape[2:]))


def fit(latents: Tensor, pictures: Tensor) -> LatentColours:
    """Least squares: latents B x C x h x w, their pictures B x H x W x 3, whose cells are averaged."""
    return LatentColours(
        torch.linalg.lstsq(_rows(latents), cells(pictures, latents).flatten(0, 2), driver="gelsd").solution
    )


def cells(pictures: Tensor, latents: Tensor) -> Tensor:
    """Pictures B x H x W x 3 averaged down to the size of latents B x C x h x w."""
    small = F.adaptive_avg_pool2d(pictures.float().permute(0, 3, 1, 2), (latents.shape[2], latents.shape[3]))
    return small.permute(0, 2, 3, 1)


def _rows(latents: Tensor) -> Tensor:
    flat = latents.float().permute(0, 2, 3, 1).flatten(0, 2)
    return torch.cat([flat, torch.ones_like(flat[:, :1])], 1)
