"""The noise schedule of Stable Diffusion 1.x, and what its two prediction types say of a picture."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 1000


def alphas(device: torch.device | str | None = None) -> Tensor:
    """Cumulative alphas of Stable Diffusion's schedule (sqrt-linear betas 0.00085 to 0.012), length 1000, float64."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64, device=device) ** 2
    return torch.cumprod(1 - betas, 0)


def noised(x0: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, the v target) for latents B x C x h x w and timesteps B: x_t = sqrt(a) x0 + sqrt(1-a) n, v = sqrt(a) n - sqrt(1-a) x0."""
    a = alphas(x0.device)[t].float()[:, None, None, None]
    return a.sqrt() * x0 + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x0


def predicted_x0(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """x0 = sqrt(a) x_t - sqrt(1-a) v."""
    a = alphas(x.device)[t].float()[:, None, None, None]
    return a.sqrt() * x - (1 - a).sqrt() * v


def velocity(x: Tensor, out: Tensor, t: Tensor, prediction: str) -> Tensor:
    """v of a model's output: the output itself for "v"; for "eps", v = (n - sqrt(1-a) x_t) / sqrt(a)."""
    if prediction == "v":
        return out
    a = alphas(x.device)[t].float()[:, None, None, None]
    return (out - (1 - a).sqrt() * x) / a.sqrt()
