"""The shipped files as plain torch modules, for measuring without the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from .. import adapter
from . import export
from .autoencoder import Decoder, decoder_from
from .networks import UNET, ControlNet, UNetConfig
from .parts import Base
from .sample import Velocity

_TEXT = "cond_stage_model.transformer.text_model."
_UNET = "model.diffusion_model."
_VAE = "first_stage_model."


@dataclass(frozen=True)
class Family:
    """base: text encoder and UNet; decoder: latents to pictures; info: of the segmentation factor."""

    base: Base
    decoder: Decoder
    info: adapter.FactorInfo
    factor: Velocity
    control: ControlNet

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """B x C x h x w -> B x 8h x 8w x 3 in 0..1, through 8 bits as a saved picture would be."""
        pictures = self.decoder(latents).clamp(0, 1).permute(0, 2, 3, 1)
        return (pictures * 255).round() / 255

    def image(self, hint: Tensor) -> Velocity:
        """The image factor under map pictures B x H x W x 3 in 0..1."""
        with torch.no_grad():
            guided = self.control.input_hint_block(torch.cat([hint, hint]).permute(0, 3, 1, 2))
        return lambda x, t, context: self.base.unet(x, t, context, control=self.control(x, guided, t, context))


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value.float() for key, value in state.items() if key.startswith(prefix)}


def load(config: UNetConfig = UNET, use_lora: bool = True, root: Path = export.WEIGHTS) -> Family:
    """Read the family below `root`; config: of the recipe it was made by; use_lora: False leaves the base as it is."""
    files = export.files(root)
    state = load_file(files.base)
    base = Base(config).eval()
    base.text.load_state_dict(_part(state, _TEXT))
    base.unet.load_state_dict(_part(state, _UNET))
    file = adapter.read_file(files.factor)
    module = adapter.module_of(file)
    weights = dict(base.unet.named_parameters())
    changed = (
        {key: weights[key].detach() + adapter.lora_delta(pair, weights[key].shape) for key, pair in file.lora.items()}
        if use_lora
        else {}
    )

    def factor(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        features = module(x, base.unet.embed(t))
        return torch.func.functional_call(base.unet, changed, (x, t, context), {"features": features})

    control = ControlNet(config).eval()
    control.load_state_dict({key: value.float() for key, value in load_file(files.image).items()})
    return Family(base, decoder_from(_part(state, _VAE)), file.info, factor, control)
