"""A factor from scratch, by concatenation (appendix A.1.2 of the paper): a small UNet of its own instead of an adapter.

"The adapter is removed and the intermediate conditions are concatenated": the network reads its noisy latent and its parents'
latents side by side, and the prompt as the base's text encoder gives it. Of the base it uses text encoder, autoencoder and
noise schedule alone; it learns by the loop, losses and dropouts of every other factor. What the paper's networks look like in
detail is not said; these have three levels (1, 2 and 2 times the width) with transformers in the lower two.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..factors import files, unet
from .attention import AttentionMaps
from .backbone import Backbone

MULT = (1, 2, 2)
ATTENTION = (False, True, True)


class ScratchNetwork(nn.Module):
    """A factor's own UNet, in the place that ``factor.FactorNetwork`` has for an adapter on the base.

    width: channels of its first level; blocks: residual blocks a level; parents: in the order in which it reads them.
    """

    lora = None

    def __init__(
        self, base: Backbone, width: int, blocks: int, parents: tuple[str, ...], start: files.FactorFile | None = None
    ) -> None:
        """start: a file to go on from, of the same parents; its shape is kept. FactorFileError if it is for another base."""
        super().__init__()
        channels, context = base.facts.channels, base.prompts([""]).shape[-1]
        self.parents = parents
        self.spec = unet.UNetConfig(width, MULT, blocks, ATTENTION, context, unet.HEAD, channels, len(parents))
        if start is not None:
            found = start.spec
            if not isinstance(found, unet.UNetConfig) or (found.latent, found.context) != (channels, context):
                raise files.FactorFileError(
                    f"the factor to go on from is {found}, not a UNet of its own for latents of {channels} channels and a text of {context}"
                )
            self.spec = found
        self.network = unet.UNet(self.spec)
        if start is not None:
            self.network.load_state_dict({name: value.float() for name, value in start.adapter.items()})

    @property
    def weights(self) -> nn.Module:
        """What is written into a factor file."""
        return self.network

    def predict(
        self,
        base: Backbone,
        x: Tensor,
        t: Tensor,
        prompts: Tensor,
        seen: Mapping[str, Tensor] | None = None,
        attention: AttentionMaps | None = None,
    ) -> Tensor:
        """What it predicts, in the base's prediction type. seen: latents of parents, each like x; zeros for one that is not
        there."""
        values = seen or {}
        read = [x, *(values.get(name, torch.zeros_like(x)) for name in self.parents)]
        return self.network(torch.cat(read, 1), t, prompts, store=attention).float()
