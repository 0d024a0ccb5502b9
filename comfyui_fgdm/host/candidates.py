"""Sampling candidates: N independent samples of one prompt, each the sample that its own seed gives alone."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import torch

from ..sampling import noise

log = logging.getLogger(__name__)

StepCallback = Callable[[int, int, int, torch.Tensor], None]  # first candidate, how many, step, x0 (B, C, h, w)


class CandidateNoise:
    """NOISE for SamplerCustomAdvanced: batch item k gets the noise of a batch of one with seed + k."""

    def __init__(self, seed: int):
        self.seed = seed

    def generate_noise(self, input_latent: dict) -> torch.Tensor:
        """Noise of the shape of ``input_latent["samples"]``, on the CPU; ``batch_index`` picks the candidates."""
        latent = input_latent["samples"]
        if latent.is_nested:
            raise ValueError("latent_image: candidate noise takes one plain latent, not a pack of several.")
        indices = input_latent.get("batch_index")
        if indices is None:
            indices = range(latent.shape[0])
        return noise.candidate_batch(self.seed, indices, latent.shape[1:]).to(latent.dtype)


@dataclass(frozen=True)
class SampleSettings:
    """What a KSampler node asks for, and the latent shape (C, h, w) of one candidate."""

    steps: int
    cfg: float
    sampler: str
    scheduler: str
    shape: tuple[int, int, int]


def sample_candidates(
    model,
    positive,
    negative,
    decode: Callable[[torch.Tensor], torch.Tensor],
    seed: int,
    count: int,
    batch_size: int,
    settings: SampleSettings,
    on_step: StepCallback,
) -> Iterator[torch.Tensor]:
    """Yield ``count`` decoded candidates in order, as IMAGE batches (B, H, W, 3) of at most ``batch_size``.

    Candidate k starts from the noise of ``seed + k``, bit for bit, whatever ``count`` and ``batch_size``; what the
    kernels of the device make of it differs in the last bits with the size of the batch. Samplers whose
    result for one item depends on the others of its batch run one candidate at a time with seed + k, so that
    core's KSampler with that seed makes the same candidate.
    A batch for which the device has no memory is halved and tried again, with a warning in the log.
    """
    size = 1 if couples_batch(settings.sampler) else batch_size
    first = 0
    while first < count:
        indices = range(first, min(first + size, count))
        latents = None
        try:
            latents = _sample(model, positive, negative, seed, indices, settings, on_step)
        except Exception as error:
            if len(indices) == 1 or not comfy.model_management.is_oom(error):
                raise
        if latents is None:  # outside the handler, whose exception keeps the tensors of the failed try alive
            comfy.model_management.soft_empty_cache()
            size = len(indices) // 2
            log.warning("FGDM: no memory for a batch of %d candidates; going on with %d at a time.", len(indices), size)
            continue
        yield decode(latents)
        first = indices.stop


def _sample(model, positive, negative, seed, indices: range, settings: SampleSettings, on_step: StepCallback):
    latent = torch.zeros((len(indices), *settings.shape), device=comfy.model_management.intermediate_device())
    return comfy.sample.sample(
        model,
        noise.candidate_batch(seed, indices, settings.shape),
        settings.steps,
        settings.cfg,
        settings.sampler,
        settings.scheduler,
        positive,
        negative,
        latent,
        callback=lambda step, x0, x, total: on_step(indices.start, len(indices), step, x0),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=noise.candidate_seed(seed, indices.start),
    )


def couples_batch(sampler: str) -> bool:
    """True for samplers that draw noise for the whole batch on the way, or adapt their steps to it."""
    if sampler == "dpm_adaptive":
        return True
    function = comfy.samplers.sampler_object(sampler).sampler_function
    return "noise_sampler" in inspect.signature(function).parameters


def latent_shape(model, vae, width: int, height: int) -> tuple[int, int, int]:
    """Latent shape (C, h, w) of a map of ``width`` x ``height`` pixels. ValueError naming the input if it cannot be."""
    latent_format = model.get_model_object("latent_format")
    scale = latent_format.spacial_downscale_ratio
    for name, size in (("width", width), ("height", height)):
        if size < scale or size % scale:
            below = max(scale, size // scale * scale)
            raise ValueError(
                f"{name}: {size} is off the grid: this model makes multiples of {scale} pixels. "
                f"Try {below} or {below + scale}."
            )
    if vae.latent_channels != latent_format.latent_channels:
        raise ValueError(
            f"vae: it decodes latents of {vae.latent_channels} channels, but 'model' makes "
            f"{latent_format.latent_channels}. Connect the VAE of the model's own checkpoint."
        )
    return latent_format.latent_channels, height // scale, width // scale
