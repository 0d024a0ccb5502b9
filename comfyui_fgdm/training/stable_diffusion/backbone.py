"""A UNet of diffusers as the frozen base of training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..attention import AttentionMaps
from ..backbone import BaseFacts, Control, Residuals
from . import control as controls
from . import names
from .attention import captured
from .checkpointing import Checkpointing
from .resting import Resting
from .text import Tokens, encoded


@dataclass(frozen=True)
class Parts:
    """A whole Stable Diffusion 1.x: UNet2DConditionModel and AutoencoderKL of diffusers, the text encoder of transformers and
    the tokens that it reads, and what the UNet predicts ("eps" or "v"). again: load VAE and text encoder once more."""

    unet: Any
    vae: Any
    encoder: Any
    tokens: Tokens
    prediction: str
    again: tuple[Callable[[], Any], Callable[[], Any]] | None = None


class DiffusersBackbone:
    """``Parts`` as ``training.backbone.Backbone``.

    The UNet computes in the precision that it was loaded in; pictures and prompts, which are encoded once, in single
    precision. checkpointing: which blocks of the UNet keep less for the backward pass, and compute it again there, see
    ``checkpointing.WHICH``.
    """

    def __init__(self, parts: Parts, device: torch.device | str = "cpu", checkpointing: str = "none") -> None:
        self.device = torch.device(device)
        self.unet = parts.unet.requires_grad_(False).eval().to(self.device)
        vae_again, encoder_again = parts.again or (None, None)
        self.vae = Resting(parts.vae, self.device, vae_again)
        self.encoder = Resting(parts.encoder, self.device, encoder_again)
        self.tokens = parts.tokens
        own, config = dict(self.unet.named_parameters()), self.unet.config
        self.dtype = own["conv_norm_out.weight"].dtype  # that it computes in; other weights may be held in less
        attention = ["CrossAttn" in kind for kind in config.down_block_types]
        self.names = names.to_checkpoint(own, attention, config.layers_per_block)
        self.weights = {name: own[theirs] for name, theirs in self.names.items()}
        self.which = checkpointing
        self.checkpointing = None if checkpointing == "none" else Checkpointing(self.unet, checkpointing)
        self.facts = BaseFacts(
            family="sd15",
            prediction=parts.prediction,
            channels=config.in_channels,
            widths=tuple(config.block_out_channels),
            embedding=4 * config.block_out_channels[0],
            cell=2 ** (len(parts.vae.config.block_out_channels) - 1),
            fingerprint=_fingerprint(parts.vae, parts.encoder),
        )

    def prompts(self, texts: Sequence[str]) -> Tensor:
        """B x 77 x 768."""
        return encoded(texts, self.tokens, self.encoder())

    def rest(self) -> None:
        """VAE and text encoder leave the device until they are used again, see ``Resting``."""
        self.vae.rest()
        self.encoder.rest()

    def lengths(self, words: Sequence[str]) -> list[int]:
        return self.tokens.lengths(words)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        vae = self.vae()
        found = vae.encode(2 * pictures.to(self.device, vae.dtype) - 1).latent_dist.mode()
        return found.float() * vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        vae = self.vae()
        latents = latents.to(self.device, vae.dtype) / vae.config.scaling_factor
        return (vae.decode(latents).sample.float() / 2 + 0.5).clamp(0, 1)

    def embed(self, t: Tensor) -> Tensor:
        return self.unet.time_embedding(self.unet.time_proj(t).to(self.dtype)).float()

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
        weights = {self.names[name]: value.to(self.dtype) for name, value in (changed or {}).items()}
        # The place of T2I-Adapters: the end of each level, before the skip connection is stored.
        added = [feature.to(self.dtype) for feature in features] or None
        inputs = (x.to(self.dtype), t, prompts.to(self.dtype))
        extra: dict[str, Any] = {"down_intrablock_additional_residuals": added, "return_dict": False}
        if control is not None:
            skips, middle = control
            extra["down_block_additional_residuals"] = [one.to(self.dtype) for one in skips]
            extra["mid_block_additional_residual"] = middle.to(self.dtype)
        again = self.checkpointing.reading(attention is not None) if self.checkpointing else nullcontext()
        with captured(self.unet, attention), again:
            (out,) = torch.func.functional_call(self.unet, weights, inputs, extra)
        return out.float()

    def control(self) -> Control:
        return controls.of(self.unet, self.which)


def _fingerprint(*parts: Any) -> str:
    """Of what encodes prompts and pictures: sums over all weights, to a few digits."""
    digest = hashlib.sha256()
    for part in parts:
        for name, value in part.state_dict().items():
            if value.is_floating_point():
                digest.update(f"{name}{tuple(value.shape)}{float(value.double().abs().sum()):.6e}".encode())
    return digest.hexdigest()[:16]
