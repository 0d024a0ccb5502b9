"""Sample the tiny family without the host, for training-time measurements: deterministic DDIM with guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...training import objective
from . import text
from .parts import Base

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]


def timesteps(steps: int) -> list[int]:
    """`steps` timesteps from 999 down, evenly spaced (the host's 'sgm_uniform' scheduler)."""
    return torch.linspace(objective.STEPS - 1, 0, steps + 1).round().long().tolist()[:-1]


@torch.no_grad()
def ddim(velocity: Velocity, noise: Tensor, context: Tensor, empty: Tensor, steps: int, guidance: float) -> Tensor:
    """x0 latents B x C x h x w. velocity(x_t, t, context) -> v; context, empty: B x 48 x width; guidance: CFG scale."""
    a = objective.alphas().float()
    x, times = noise, timesteps(steps)
    both = torch.cat([context, empty])
    for now, following in zip(times, [*times[1:], None], strict=True):
        t = torch.full((2 * len(x),), now)
        positive, negative = velocity(torch.cat([x, x]), t, both).chunk(2)
        v = negative + guidance * (positive - negative)
        x0 = objective.predicted_x0(x, v, t[: len(x)])
        eps = a[now].sqrt() * v + (1 - a[now]).sqrt() * x
        x = x0 if following is None else a[following].sqrt() * x0 + (1 - a[following]).sqrt() * eps
    return x


def encode(base: Base, captions: list[str]) -> tuple[Tensor, Tensor]:
    """(context, empty context) of captions."""
    with torch.no_grad():
        tokens = torch.tensor([text.encode(text.words_of(caption)) for caption in captions])
        blank = torch.tensor([text.encode([])])
        return base.text(tokens), base.text(blank).expand(len(captions), -1, -1)


def base_velocity(base: Base) -> Velocity:
    return lambda x, t, context: base.unet(x, t, context)
