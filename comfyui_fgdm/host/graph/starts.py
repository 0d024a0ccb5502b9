"""Where the run of one variable begins: its noise levels, its noise and its latent, also in a part of a split schedule."""

from __future__ import annotations

from typing import Any, NamedTuple

import comfy.sample
import torch

from .variables import Sampled


class Start(NamedTuple):
    """sigmas: the noise levels of this variable; fewer than two: it does not move in this run. noise, latent: what it starts
    from, as core's guider takes them (the latent not scaled)."""

    sigmas: torch.Tensor
    noise: torch.Tensor
    latent: torch.Tensor


def start_of(node: Sampled, sigmas: torch.Tensor, noise: torch.Tensor, latent: torch.Tensor) -> Start:
    """The start of a variable in a run over ``sigmas`` with this noise and latent.

    A variable with denoise < 1 begins at its own level, and waits above it. In a later part of a split schedule (no noise is
    added, the latent is that of the part before) one that has waited so far begins from its own latent and noise.
    """
    level = level_of(node)
    if level is None or not len(sigmas) or float(sigmas[0]) <= level:
        return Start(sigmas, noise, latent)
    if not torch.count_nonzero(noise):
        latent = node.samples
        noise = comfy.sample.prepare_noise(latent, node.seed, node.latent.get("batch_index"))
    return Start(sigmas[sigmas <= level], noise, latent)


def level_of(node: Sampled) -> float | None:
    """The noise level at which a variable begins (its denoise), with room for rounding; None: with the run."""
    if node.denoise >= 1.0:
        return None
    sampling: Any = node.model.get_model_object("model_sampling")
    return float(sampling.percent_to_sigma(1.0 - node.denoise)) * (1 + 1e-5)


def unmoved(node: Sampled, start: Start, sigma: float) -> torch.Tensor:
    """What a variable is at a noise level that its run does not go below: its start with so much noise, as a LATENT."""
    if sigma == 0:
        return start.latent
    model = node.model.model
    scaled = model.process_latent_in(start.latent) if torch.count_nonzero(start.latent) else start.latent
    return model.process_latent_out(scaled + sigma * start.noise.to(scaled))
