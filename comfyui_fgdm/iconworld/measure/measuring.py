"""What all measurements of the shipped family share: settings, sampling from seeds, intervals."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...sampling.noise import candidate_batch
from ..family import shipped
from ..family.sample import Velocity, ddim, encode

FIRST_SEED = 900_000_000
"""Of the held-out prompts; scenes for the instruments start at half of it. No training scene has such a seed."""
MAP_STEPS, IMAGE_STEPS = 10, 10
MAP_CFG, IMAGE_CFG = 4.0, 3.0


def start_noise(family: shipped.Family, seed: int, count: int, side: int) -> Tensor:
    """Noise of the seeds from `seed` on, for latents of that side."""
    return candidate_batch(seed, range(count), (family.base.unet.config.latent, side, side))


def draw_maps(family: shipped.Family, velocity: Velocity, noise: Tensor, text: str, cfg: float = MAP_CFG) -> Tensor:
    """Map pictures B x H x W x 3 of a caption, one for each noise."""
    context, empty = (c.expand(len(noise), -1, -1) for c in encode(family.base, [text]))
    return family.decode(ddim(velocity, noise, context, empty, MAP_STEPS, cfg))


def draw_images(family: shipped.Family, velocity: Velocity, noise: Tensor, text: str) -> Tensor:
    """Images B x H x W x 3 of a caption, one for each noise."""
    context, empty = (c.expand(len(noise), -1, -1) for c in encode(family.base, [text]))
    return family.decode(ddim(velocity, noise, context, empty, IMAGE_STEPS, IMAGE_CFG))


def interval(values: np.ndarray, seed: int = 0, draws: int = 4000) -> list[float]:
    """Mean and 95 % bootstrap interval over prompts: [mean, low, high]."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
    return [round(float(v), 4) for v in (values.mean(), *np.quantile(means, (0.025, 0.975)))]
