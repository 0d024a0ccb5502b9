"""Edit-friendly DDPM inversion: the noises with which a stochastic sampler walks from noise to a given latent.

Huberman-Spiegelglas et al., arXiv 2304.06140 (order 1), carried to the second-order solver of DPM-Solver++ SDE by LEDITS++,
arXiv 2311.16711 (order 2). In sigma space, x = x0 + sigma n, with D the denoiser, a step from s to t is

    x_t = (t/s)^2 x_s + k D_s + 1/2 k (h/h') (D_s - D_s') + t sqrt(k) z,   k = 1 - (t/s)^2,  h = ln(s/t),

' of the step before, the third term in order 2 only. Inversion draws every x_t on its own, x_t = x0 + t n_t, and solves for z.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from .noise import candidate_batch

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""D(x, sigma): x B x C x h x w with noise of level sigma (B) -> the latents without."""


class InversionError(ValueError):
    """A schedule, a latent or an inversion that cannot be used; the text says which and why."""


class Order(IntEnum):
    """Of the solver. FIRST: DDIM with eta 1, which is ancestral Euler. SECOND: DPM-Solver++ 2M SDE, midpoint."""

    FIRST = 1
    SECOND = 2


@dataclass(frozen=True)
class Step:
    """Factors of one step: x_t = kept x_s + gain D + slope (D - D of the step before) + std z."""

    sigma: float
    kept: float
    gain: float
    slope: float
    std: float


class State(NamedTuple):
    """After a step: its number from 0, the latents, and the prediction of the clean latents it was made with."""

    step: int
    x: Tensor
    x0: Tensor


@dataclass(frozen=True)
class Inversion:
    """What replays a latent, all float32.

    sigmas: N + 1 noise levels, decreasing; the last may be 0. source: the latent, B x C x h x w. path: N + 1 x B x C x h x w,
    the latents at those levels. noises: N x B x C x h x w, the z of each step, 0 for a step to level 0.
    """

    sigmas: Tensor
    order: Order
    source: Tensor
    path: Tensor
    noises: Tensor

    @property
    def steps(self) -> int:
        return len(self.noises)

    @property
    def residual(self) -> Tensor:
        """What the end of the path lacks of the source, B x C x h x w: all that a step to level 0 cannot reach."""
        return self.source - self.path[-1]


def check_sigmas(sigmas: Tensor) -> None:
    """InversionError for a schedule that is no strictly decreasing row of at least two finite levels down to 0 or more."""
    levels = sigmas.tolist()
    if sigmas.ndim != 1 or len(levels) < 2 or not all(map(math.isfinite, levels)):
        raise InversionError(f"sigmas: expected a row of at least two noise levels, got {levels!s:.80}")
    if levels[-1] < 0 or any(a <= b for a, b in zip(levels, levels[1:])):
        raise InversionError(
            "sigmas: the noise levels must fall from step to step and end at 0 or above; give fewer steps or another schedule"
        )


def steps_of(sigmas: Tensor, order: Order) -> list[Step]:
    """The steps of a schedule, N for N + 1 levels. The first step, and one to level 0, are of order 1, as in core's sampler."""
    check_sigmas(sigmas)
    levels = sigmas.double().tolist()
    steps, before = [], math.inf
    for sigma, following in zip(levels, levels[1:]):
        kept = (following / sigma) ** 2
        gain = 1 - kept
        length = math.log(sigma / following) if following > 0 else math.inf
        second = order is Order.SECOND and math.isfinite(before) and math.isfinite(length)
        slope = 0.5 * gain * length / before if second else 0.0
        steps.append(Step(sigma, kept, gain, slope, following * math.sqrt(gain)))
        before = length
    return steps


def mean_of(x: Tensor, x0: Tensor, before: Tensor | None, step: Step) -> Tensor:
    """Where a step leads without noise. before: the prediction of the step before, None at the first step."""
    mean = step.kept * x + step.gain * x0
    return mean if before is None or step.slope == 0.0 else mean + step.slope * (x0 - before)


def auxiliary_noise(seed: int, steps: int, shape: Iterable[int]) -> Tensor:
    """The n of every level, steps x B x C x h x w for latents of ``shape`` B x C x h x w; latent k is that of seed + k alone."""
    batch, *rest = shape
    return candidate_batch(seed, range(batch), (steps, *rest)).transpose(0, 1)


def invert(
    denoise: Denoiser, source: Tensor, sigmas: Tensor, order: Order, auxiliary: Tensor
) -> Generator[State, None, Inversion]:
    """Yields the state after each step, returns the inversion. One call of the denoiser a step.

    source: B x C x h x w; auxiliary: independent standard noise, N x B x C x h x w, see ``auxiliary_noise``.
    """
    steps = steps_of(sigmas, order)
    if auxiliary.shape != (len(steps), *source.shape):
        raise InversionError(
            f"auxiliary: expected noise for {len(steps)} steps of latents {list(source.shape)}, got {list(auxiliary.shape)}"
        )
    path = [*(source + step.sigma * noise for step, noise in zip(steps, auxiliary)), source]
    noises, before = [], None
    for number, step in enumerate(steps):
        x0 = denoise(path[number], sigmas[number].expand(len(source)))
        mean = mean_of(path[number], x0, before, step)
        noise = (path[number + 1] - mean) / step.std if step.std > 0 else torch.zeros_like(mean)
        path[number + 1] = mean + step.std * noise  # as the replay will compute it, so that rounding does not add up
        noises.append(noise)
        before = x0
        yield State(number, path[number + 1], x0)
    return Inversion(sigmas, order, source, torch.stack(path), torch.stack(noises))
