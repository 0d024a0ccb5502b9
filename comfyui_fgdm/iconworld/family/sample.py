"""Sample the tiny family without the host, for training-time measurements: deterministic DDIM with guidance."""

from __future__ import annotations

import torch
from torch import Tensor

from ...sampling import ddim as sampler
from ...sampling.ddim import Velocity, timesteps
from . import text
from .parts import Base

__all__ = ["Velocity", "base_velocity", "ddim", "encode", "timesteps"]


def ddim(velocity: Velocity, noise: Tensor, context: Tensor, empty: Tensor, steps: int, guidance: float) -> Tensor:
    """x0 latents B x C x h x w; see ``sampling.ddim``."""
    return sampler.sample(velocity, noise, context, empty, steps, guidance)


def encode(base: Base, captions: list[str]) -> tuple[Tensor, Tensor]:
    """(context, empty context) of captions."""
    with torch.no_grad():
        tokens = torch.tensor([text.encode(text.words_of(caption)) for caption in captions])
        blank = torch.tensor([text.encode([])])
        return base.text(tokens), base.text(blank).expand(len(captions), -1, -1)


def base_velocity(base: Base) -> Velocity:
    return lambda x, t, context: base.unet(x, t, context)
