"""Attend-and-Excite as a GUIDER: core's samplers drive, and find before each step that their latents have been moved."""

from __future__ import annotations

import math

import comfy.model_management
import comfy.samplers
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ..objects import subjects
from ..objects.subjects import Subjects
from ..sampling.attention_maps import combined_cross, written_out
from ..sampling.excite import Excitement, excited
from .models.apply import prediction_type


def subjects_of(clip, text: str, words: str = "") -> Subjects:
    """``objects.subjects_of`` by the tokens of a CLIP."""
    return subjects.subjects_of(text, lambda word: _count(clip, word), words)


def _count(clip, word: str) -> int:
    """How many tokens a word of the prompt is."""
    return sum(
        number > 0 for part in next(iter(clip.tokenize(word, return_word_ids=True).values())) for _, _, number in part
    )


class ExciteGuider(comfy.samplers.CFGGuider):
    """CFG in whose steps the latents are first moved until the subjects are attended to.

    The moves see the plain UNet with the prompt: its weights, with LoRAs, are copied for the run, since tensors of the host's
    inference mode have no gradients. Samplers find their own latents changed; those that evaluate a step twice are moved
    twice.
    """

    def __init__(self, model, positive, negative, cfg: float, subjects: Subjects, how: Excitement) -> None:
        """ValueError for a model that is no UNet of Stable Diffusion's kind."""
        super().__init__(model)
        unet = model.get_model_object("diffusion_model")
        if not isinstance(unet, UNetModel) or prediction_type(model) is None or unet.num_classes is not None:
            raise ValueError(
                f"model: Attend-and-Excite reads the attention of Stable Diffusion 1.x and 2.x; this is a {type(unet).__name__} "
                "of another kind. Load such a checkpoint."
            )
        self.set_conds(positive, negative)
        self.set_cfg(cfg)
        self.subjects, self.how = subjects, how
        self._prompt = positive[0][0][:1]
        self._weights: dict[str, torch.Tensor] = {}

    def inner_sample(self, noise, *args, **kwargs):
        if noise.shape[-1] != noise.shape[-2]:
            raise ValueError("latent_image: Attend-and-Excite reads square pictures; give the same width and height.")
        try:
            with torch.inference_mode(False):
                unet = self.inner_model.diffusion_model
                dtype = self.inner_model.get_dtype_inference()
                self._weights = {
                    name: value.detach().to(noise.device, dtype, copy=True)
                    for name, value in [*unet.named_parameters(), *unet.named_buffers()]
                }
            return super().inner_sample(noise, *args, **kwargs)
        finally:
            self._weights = {}

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 (the host's own signature)
        sigmas = model_options["transformer_options"]["sample_sigmas"]
        sigma, steps = float(timestep.flatten()[0]), len(sigmas) - 1
        step = int((sigmas[:-1] - sigma).abs().argmin())
        scale = math.sqrt(1.0 + sigma**2)  # the network, and the paper, see latents of unit variance
        for one in x.split(1):
            comfy.model_management.throw_exception_if_processing_interrupted()
            with torch.inference_mode(False):
                t = self.inner_model.model_sampling.timestep(timestep[:1].clone()).float().reshape(1)
                moved = excited(
                    one.clone() / scale,
                    self._attend(t),
                    self.subjects.tokens,
                    self.subjects.length,
                    step,
                    steps,
                    self.how,
                )
            one.copy_(moved * scale)
        return super().predict_noise(x, timestep, model_options, seed)

    def _attend(self, t: torch.Tensor):
        unet = self.inner_model.diffusion_model
        dtype = next(iter(self._weights.values())).dtype
        prompt = self._prompt.clone().to(t.device, dtype)[:, :77]

        def attend(x: torch.Tensor) -> torch.Tensor:
            seen = _Seen()
            options = {"patches": {}, "optimized_attention_override": seen}
            extra = {"transformer_options": options}
            torch.func.functional_call(unet, self._weights, (x.to(dtype), t, prompt), extra)
            return combined_cross(seen.maps, max(8, x.shape[-1] // 4))

        return attend


class _Seen:
    """Cross-attention written out: maps B x queries x tokens, mean of the heads."""

    def __init__(self) -> None:
        self.maps: list[torch.Tensor] = []

    def __call__(self, func, q, k, v, heads: int, *args, **kwargs):
        if k.shape[1] == q.shape[1]:
            return func(q, k, v, heads, *args, **kwargs)
        out, seen = written_out(q, k, v, heads)
        self.maps.append(seen)
        return out


def excitement(size: float, until: float, refine: bool) -> Excitement:
    """The settings of the node."""
    return Excitement(size=size, until=until, **({} if refine else {"targets": ()}))
