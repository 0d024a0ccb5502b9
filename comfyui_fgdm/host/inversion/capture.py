"""Cross-attention seen while it is computed, through the hook that core has for replacing it; nothing is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel

from ...sampling.attention_maps import AttentionMean, Tokens, best_factor

HOOK = "optimized_attention_override"


class Capture:
    """Stands in for a function of core's attention. What was there before goes on acting, and gets every argument."""

    def __init__(self, previous: Any) -> None:
        self.previous, self.mean = previous, None

    def __call__(self, func, q, k, v, heads, *args, **kwargs):
        if self.mean is not None:
            conditions = (kwargs.get("transformer_options") or {}).get("cond_or_uncond") or [0]
            self.mean.add(q, k, heads, conditions, split=bool(kwargs.get("skip_reshape")))
        if self.previous is not None:
            return self.previous(func, q, k, v, heads, *args, **kwargs)
        return func(q, k, v, heads, *args, **kwargs)

    def watch(self, size: tuple[int, int], factor: int, tokens: Mapping[int, Tokens]) -> AttentionMean:
        """From now on collect the attention of these conditions; ``mean`` may be set to None to stop."""
        self.mean = AttentionMean(size, factor, tokens)
        return self.mean


def captured(model) -> tuple[Any, Capture]:
    """A clone of a MODEL in which attention can be watched. The model itself is left as it is."""
    clone = model.clone()
    options = clone.model_options.setdefault("transformer_options", {})
    capture = Capture(options.get(HOOK))
    options[HOOK] = capture
    return clone, capture


def grid_factor(model, size: tuple[int, int]) -> int | None:
    """How many times smaller than the latents (height, width) the layers are whose attention is read; None where the network
    is no UNet or has no cross-attention."""
    unet = model.get_model_object("diffusion_model")
    if not isinstance(unet, UNetModel):
        return None
    factors, factor = set(), 1
    for block in unet.input_blocks:
        for layer in block:
            factor *= 2 if isinstance(layer, Downsample) else 1
            if isinstance(layer, SpatialTransformer):
                factors.add(factor)
    return best_factor(size, sorted(factors)) if factors else None
