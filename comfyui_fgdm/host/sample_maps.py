"""Sampling the maps of a prompt with a factor: candidates, decoding, progress with previews."""

from __future__ import annotations

from dataclasses import dataclass

import comfy.model_management
import torch

from .candidates import SampleSettings, latent_shape, sample_candidates
from .models.apply import apply_factor, check_plain
from .models.factor import Factor
from .models.memory import check_room
from .progress import CandidateProgress
from .reading import scored_reader

MAX_COUNT = 64


@dataclass(frozen=True)
class MapSettings:
    """What to sample: ``count`` maps of ``width`` x ``height`` pixels (0 = the factor's training size)."""

    count: int
    batch_size: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    width: int = 0
    height: int = 0


def sample_maps(model, factor: Factor, positive, negative, vae, seed: int, settings: MapSettings) -> torch.Tensor:
    """``count`` maps of the conditioning as IMAGE (count, height, width, 3); map k is that of ``seed + k``.

    Shows progress and, as maps appear, previews. Can be interrupted within a step.
    Raises ValueError that names the input and what to do.
    """
    check_plain(model, "Sample Maps")
    scored_reader(factor)  # a factor of maps that cannot be scored is refused before any sampling
    for name, value in (("count", settings.count), ("batch_size", settings.batch_size)):
        if not 1 <= value <= MAX_COUNT:
            raise ValueError(f"{name}: {value} is out of range; give a number from 1 to {MAX_COUNT}.")
    width = settings.width or factor.info.trained_size
    height = settings.height or factor.info.trained_size
    shape = latent_shape(model, vae, width, height)
    said = "width, height" if settings.width or settings.height else f"width, height (0: as {factor.name!r} says)"
    check_room(model, shape, settings.count, (width, height), said)
    mapped = apply_factor(model, factor)

    progress = CandidateProgress(mapped, settings.count, settings.steps)
    sampling = SampleSettings(settings.steps, settings.cfg, settings.sampler, settings.scheduler, shape)
    pictures = []
    for batch in sample_candidates(
        mapped, positive, negative, vae.decode, seed, settings.count, settings.batch_size, sampling, progress.step
    ):
        comfy.model_management.throw_exception_if_processing_interrupted()
        pictures.append(batch)
        progress.finished(pictures)
    return torch.cat(pictures)
