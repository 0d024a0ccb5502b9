"""Sampling candidates: N independent samples of one prompt, each the sample that its own seed gives alone."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import torch

from ..sampling import noise

log = logging.getLogger(__name__)

StepCallback = Callable[[int, int, torch.Tensor], None]  # how many candidates, step of this run, x0 (B, C, h, w)


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


@dataclass(frozen=True)
class Sampled:
    """latents (B, C, h, w) of candidates as a LATENT has them: of the finished ones, or of what the model predicts the parked
    ones to become."""

    candidates: tuple[int, ...]
    latents: torch.Tensor


class CandidateSampler:
    """Samples candidates in batches of at most ``batch_size``, to the end or to a step at which they are parked.

    Candidate k starts from the noise of ``seed + k``, bit for bit, whatever the batch; what the kernels of the device make
    of it differs in the last bits with the size of the batch. Samplers whose result for one item depends on the others of
    its batch run one candidate at a time with seed + k, so that core's KSampler with that seed makes the same candidate.
    A batch for which the device has no memory is halved and tried again, with a warning in the log.
    """

    def __init__(
        self, model, positive, negative, seed: int, batch_size: int, settings: SampleSettings, on_step: StepCallback
    ) -> None:
        self.model, self.positive, self.negative = model, positive, negative
        self.seed, self.settings, self.on_step = seed, settings, on_step
        self.size = 1 if couples_batch(settings.sampler) else batch_size
        self._parked: dict[int, torch.Tensor] = {}

    def run(self, candidates: Sequence[int], start: int, stop: int) -> Iterator[Sampled]:
        """Take the candidates from after ``start`` steps to after ``stop`` steps, batch by batch. Anywhere but at the ends
        only where ``splits(sampler)``."""
        left = list(candidates)
        while left:
            chosen, sampled = left[: self.size], None
            try:
                sampled = self._sample(chosen, start, stop)
            except Exception as error:
                if len(chosen) == 1 or not comfy.model_management.is_oom(error):
                    raise
            if sampled is None:  # outside the handler, whose exception keeps the tensors of the failed try alive
                comfy.model_management.soft_empty_cache()
                self.size = len(chosen) // 2
                log.warning(
                    "FGDM: no memory for a batch of %d candidates; going on with %d at a time.", len(chosen), self.size
                )
                continue
            left = left[len(chosen) :]
            yield sampled

    def _sample(self, chosen: list[int], start: int, stop: int) -> Sampled:
        settings, ends = self.settings, stop >= self.settings.steps
        device = comfy.model_management.intermediate_device()
        if start == 0:
            given = noise.candidate_batch(self.seed, chosen, settings.shape)
            latent = torch.zeros((len(chosen), *settings.shape), device=device)
        else:
            latent = torch.stack([self._parked[one] for one in chosen])
            given = torch.zeros_like(latent, device="cpu")
        seen: list[torch.Tensor] = []

        def callback(step: int, x0: torch.Tensor, x: torch.Tensor, total: int) -> None:
            seen[:] = [x0]
            self.on_step(len(chosen), step, x0)

        latents = comfy.sample.sample(
            self.model,
            given,
            settings.steps,
            settings.cfg,
            settings.sampler,
            settings.scheduler,
            self.positive,
            self.negative,
            latent,
            start_step=start or None,
            last_step=None if ends else stop,
            callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=noise.candidate_seed(self.seed, chosen[0]),
        )
        if ends:
            return Sampled(tuple(chosen), latents)
        self._parked.update(zip(chosen, latents, strict=True))
        predicted = self.model.model.process_latent_out(seen[0].float()).to(latents)
        return Sampled(tuple(chosen), predicted)


ONE_STEP = frozenset({"ddim", "euler", "heun", "dpm_2"})
"""Samplers whose step depends on nothing but its x and its two noise levels: a run can be left after any step and taken up
again. Others keep a history, or draw noise for the whole run."""


def splits(sampler: str) -> bool:
    """Whether a run may be left and taken up again without a change to its result."""
    return sampler in ONE_STEP


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
