"""The training losses: what a base learns to predict, and the grounding of cross-attention in the masks of what words name."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..sampling.schedule import STEPS, alphas, noised, predicted_x0

__all__ = ["STEPS", "alphas", "drawn", "grounding", "levels", "noised", "predicted_x0"]


def levels(size: int, generator: torch.Generator, late: bool = False) -> Tensor:
    """Timesteps B, uniform; late: the larger of two uniform ones, towards the levels at which the layout is decided."""
    return torch.randint(STEPS, (2 if late else 1, size), generator=generator).amax(0)


def drawn(latent: Tensor, t: Tensor, prediction: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(x_t, target) of latents B x C x h x w at timesteps t B, under noise of the generator; prediction: "eps" or "v"."""
    noise = torch.randn(latent.shape, generator=generator)
    x, velocity = noised(latent, noise, t)
    return x, velocity if prediction == "v" else noise


def grounding(maps: list[Tensor], masks: Tensor) -> Tensor:
    """How far the cross-attention of naming tokens is from the masks of what they name; 0 is perfect.

    maps: per layer B x queries x tokens (mean of heads, softmax over tokens); masks: B x tokens x 16 x 16 in 0..1.
    Token term: (1 - sum_p A m / sum_p A)^2, mean over naming tokens. Pixel term (weight 0.3): -log of the attention that
    goes to the tokens naming what covers most of the cell. The idea is TokenCompose's (CVPR 2024).
    """
    naming = masks.flatten(2).amax(2) > 0
    total = maps[0].new_zeros(())
    for attention in maps:
        side = int(attention.shape[1] ** 0.5)
        m = F.adaptive_avg_pool2d(masks, side).flatten(2)
        a = attention.transpose(1, 2)
        inside = (a * m).sum(2) / a.sum(2).clamp_min(1e-6)
        token = ((1 - inside).square() * naming).sum() / naming.sum().clamp_min(1)
        strong = (m > 0.5).float()
        covered = strong.amax(1) > 0
        share = (a * strong).sum(1).clamp_min(1e-4)
        pixel = -(share.log() * covered).sum() / covered.sum().clamp_min(1)
        total = total + token + 0.3 * pixel
    return total / len(maps)
