"""Generators of the engine inside core's sampling: core loads the models, batches the prompts and applies all patches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import comfy.model_sampling
import comfy.samplers
import torch

from ...sampling.inversion import InversionError

BASE = "base"
"""The conditioning without a concept. Packs take index 1 of a call for the unconditional one, so that is where it goes."""


class Conditions(comfy.samplers.CFGGuider):
    """A guider that predicts with several conditionings at once. conditions: CONDITIONING by name, BASE among them."""

    def __init__(self, model, conditions: Mapping[str, Any]) -> None:
        super().__init__(model)
        self.inner_set_conds(dict(conditions))

    def predictions(self, x, sigma, names: Sequence[str], model_options: dict) -> dict[str, torch.Tensor]:
        """Clean latents B x C x h x w by name, of BASE and of the others named; sigma: B."""
        order = order_of(names)
        found = comfy.samplers.calc_cond_batch(
            self.inner_model, [self.conds[name] if name else None for name in order], x, sigma, model_options
        )
        return {name: one for name, one in zip(order, found, strict=True) if name}


def order_of(names: Sequence[str]) -> list[str | None]:
    """The conditionings of a call: BASE second, nothing first where there is no other."""
    first, *rest = [*names] or [None]
    return [first, BASE, *rest]


class Walk(comfy.samplers.Sampler):
    """A sampler that goes through a generator. start(guider, latent, model_options): makes it; latent is scaled as the model's
    own. result: what it returned, kept off the graph's tensors; latents: makes of that what core is to give back."""

    def __init__(
        self, start: Callable[[Conditions, torch.Tensor, dict], Generator], latents: Callable[[Any], torch.Tensor]
    ) -> None:
        self.start, self.latents, self.result = start, latents, None

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):  # fmt: skip
        steps = self.start(model_wrap, latent_image, extra_args["model_options"])
        while True:
            try:
                state = next(steps)
            except StopIteration as end:
                self.result = end.value
                return self.latents(end.value)
            if callback is not None:
                callback(state.step, state, state.x, len(sigmas) - 1)


def run(guider: Conditions, walk: Walk, latent: torch.Tensor, sigmas: torch.Tensor, on_step: Callable) -> torch.Tensor:
    """The latents that a walk ends with, scaled as a LATENT has them. on_step(step, state, x, total), after each step."""
    nothing = torch.zeros_like(latent)
    return guider.sample(nothing, latent, walk, sigmas, callback=on_step, disable_pbar=True, seed=0)


def check_model(model) -> None:
    """InversionError for a MODEL that adds its noise otherwise than x = x0 + sigma n, such as flow models."""
    sampling = model.get_model_object("model_sampling")
    known = (comfy.model_sampling.EPS, comfy.model_sampling.V_PREDICTION_DDPM)
    if not isinstance(sampling, known) or isinstance(sampling, comfy.model_sampling.IMG_TO_IMG):
        raise InversionError(
            "model: inversion is for models that add noise to a picture step by step, such as Stable Diffusion 1.x, 2.x and XL; "
            "this one mixes picture and noise in another way. Load another checkpoint."
        )
