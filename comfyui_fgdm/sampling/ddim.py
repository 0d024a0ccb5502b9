"""Deterministic DDIM with guidance, outside any host: for training-time samples and measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from . import schedule

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""velocity(x_t, t, prompts) -> v, of doubled batches: with the prompt, then without."""


class State(NamedTuple):
    """After a step: its number from 0, the latents, and the prediction of the finished latents."""

    step: int
    x: Tensor
    x0: Tensor


def timesteps(steps: int) -> list[int]:
    """`steps` timesteps from 999 down, evenly spaced (the host's 'sgm_uniform' scheduler)."""
    return torch.linspace(schedule.STEPS - 1, 0, steps + 1).round().long().tolist()[:-1]


@torch.no_grad()
def ddim(
    velocity: Velocity,
    noise: Tensor,
    context: Tensor,
    empty: Tensor,
    steps: int,
    guidance: float,
    start: int = 0,
    stop: int | None = None,
    before: Callable[[int, int, Tensor], Tensor] | None = None,
) -> Iterator[State]:
    """Yields the state after each step; the last one's x is the sample, B x C x h x w.

    context, empty: encoded prompts and empty prompts, B x tokens x width; guidance: CFG scale. start, stop: only the steps
    from ``start`` to before ``stop`` of all ``steps``; ``noise`` is then the x after the step before. before: is given the
    number of a step, its timestep and its x, and gives the x that the step is taken from.
    """
    a = schedule.alphas().float()
    x, times = noise, timesteps(steps)
    both = torch.cat([context, empty])
    pairs = list(zip(times, [*times[1:], None], strict=True))
    for step, (now, following) in list(enumerate(pairs))[start:stop]:
        x = x if before is None else before(step, now, x)
        t = torch.full((2 * len(x),), now, device=x.device)
        positive, negative = velocity(torch.cat([x, x]), t, both).chunk(2)
        v = negative + guidance * (positive - negative)
        x0 = schedule.predicted_x0(x, v, t[: len(x)])
        eps = a[now].sqrt() * v + (1 - a[now]).sqrt() * x
        x = x0 if following is None else a[following].sqrt() * x0 + (1 - a[following]).sqrt() * eps
        yield State(step, x, x0)


def sample(velocity: Velocity, noise: Tensor, context: Tensor, empty: Tensor, steps: int, guidance: float) -> Tensor:
    """The finished latents of ``ddim``."""
    *_, last = ddim(velocity, noise, context, empty, steps, guidance)
    return last.x
