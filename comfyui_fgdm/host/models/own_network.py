"""A factor with a network of its own inside a run: it predicts in the place of the model's UNet."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .factor import Factor
from .features import FactorWrapper

KEPT = ("cond_or_uncond", "uuids", "sigmas", "sample_sigmas", "optimized_attention_override")
"""Of the transformer options: what tells of the call. Patches and wrappers are made for the layers of the model's own UNet."""


class OwnNetworkWrapper(FactorWrapper):
    """Runs the factor's network on what the UNet would see, beside the latents of its parents; the UNet does not run."""

    own = True

    def __init__(
        self, factor: Factor, sigma_range: tuple[float, float] | None, parents: Mapping[str, torch.Tensor]
    ) -> None:
        super().__init__(factor, [], 1.0, sigma_range, parents, False)

    def __call__(self, executor, x, timesteps, context=None, y=None, control=None, transformer_options=None, **kwargs):
        options = {} if transformer_options is None else transformer_options
        if not self._active(options):
            return executor(x, timesteps, context, y, control, options, **kwargs)
        if control:
            raise ValueError(
                f"model: the factor {self.factor.name!r} has a network of its own, which no ControlNet fits. Take the ControlNet "
                "off its prompt, or train the factor with that variable as its parent."
            )
        plain = {key: options[key] for key in KEPT if key in options}
        unet = self.factor.network(x.device)
        return unet(self.read(x, options).source, timesteps, context, transformer_options=plain)
