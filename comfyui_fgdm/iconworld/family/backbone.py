"""The embedded family as a backbone of the general trainer: no host and no other library is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...factors.unet_layers import Transformer
from ...training.attention import AttentionMaps
from ...training.backbone import BaseFacts, Control, Residuals
from . import export, shipped, text
from .autoencoder import PATCH, decoder_from, encoder_from
from .networks import UNET, ControlNet, UNetConfig


class TinyBackbone:
    """The shipped base (or another of its kind) as ``training.backbone.Backbone``."""

    def __init__(self, file: Path | None = None, config: UNetConfig = UNET) -> None:
        file = file or export.files().base
        state = load_file(file)

        base = shipped.base_of(state, config).requires_grad_(False)
        self.text, self.unet = base.text, base.unet
        self.weights = dict(base.unet.named_parameters())
        before = list(base.unet.input_blocks)[: base.unet.level_ends[0] + 1]
        self.unreached = sum(isinstance(layer, Transformer) for stage in before for layer in stage.children())
        autoencoder = shipped.part(state, shipped.VAE)
        self.encoder, self.decoder = encoder_from(autoencoder), decoder_from(autoencoder).requires_grad_(False)
        self.facts = BaseFacts(
            family="iconworld",
            prediction="v",
            channels=config.latent,
            widths=config.widths,
            embedding=config.embedding,
            cell=PATCH,
            fingerprint=hashlib.sha256(file.read_bytes()).hexdigest()[:16],
        )

    @torch.no_grad()
    def prompts(self, texts: Sequence[str]) -> Tensor:
        """B x 48 x 128."""
        return self.text(torch.tensor([text.encode(text.words_of(one)) for one in texts]))

    def rest(self) -> None:
        """Nothing: its parts are small."""

    def lengths(self, words: Sequence[str]) -> list[int]:
        return [len(text.words_of(word)) for word in words]

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        return self.encoder(pictures)

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents).clamp(0, 1)

    def embed(self, t: Tensor) -> Tensor:
        return self.unet.embed(t)

    def predict(
        self,
        x: Tensor,
        t: Tensor,
        prompts: Tensor,
        features: Sequence[Tensor] = (),
        attention: AttentionMaps | None = None,
        changed: Mapping[str, Tensor] | None = None,
        control: Residuals | None = None,
    ) -> Tensor:
        extra = {"features": list(features) or None, "store": attention, "control": control}
        out = torch.func.functional_call(self.unet, dict(changed or {}), (x, t, prompts), extra)
        if attention is not None:  # layers before the first feature is added
            del attention.cross[: self.unreached], (attention.own or [])[: self.unreached]
        return out

    def control(self) -> Control:
        module = _Control(self.unet.config)
        return Control(module, {name: name for name, _ in module.named_parameters()})


class _Control(ControlNet):
    """The family's ControlNet, told the hint's picture."""

    def forward(self, x: Tensor, hint: Tensor, t: Tensor, prompts: Tensor) -> Residuals:
        return super().forward(x, self.input_hint_block(hint), t, prompts)
