"""A MODEL of the host as the frozen base of training: any checkpoint that a user has loaded, with its LoRAs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import comfy.model_management
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
from torch import Tensor

from ...sampling.attention_maps import written_out
from ...training.attention import AttentionMaps
from ...training.backbone import BaseFacts, Control, Residuals
from ..models.apply import level_ends, prediction_type
from ..models.features import with_features
from .parts import Decoder, new_control


class NotTrainableError(ValueError):
    """A MODEL, CLIP or VAE on which no factor can be trained."""


class HostBackbone:
    """A MODEL, its CLIP and its VAE as ``training.backbone.Backbone``.

    The UNet's weights are copied once, with the patches of the MODEL (LoRAs) in them: the host runs nodes in inference mode,
    and tensors of that mode cannot be trained through. The copy, in ``dtype``, is what training costs beside the adapter's
    own; it is dropped with this object, and MODEL, CLIP and VAE stay as they are.

    Make and use it outside inference mode (``torch.inference_mode(False)``). NotTrainableError says what does not fit.
    """

    def __init__(self, model, clip, vae, dtype: torch.dtype = torch.float32) -> None:
        unet = model.get_model_object("diffusion_model")
        if not isinstance(unet, UNetModel):
            raise NotTrainableError(
                f"model: a {type(unet).__name__} is no base for a factor; load a checkpoint of Stable Diffusion 1.x"
            )
        prediction = prediction_type(model)
        if prediction is None:
            raise NotTrainableError(
                "model: it predicts neither noise (eps) nor velocity (v); take off what changes that"
            )
        if unet.num_classes is not None:
            raise NotTrainableError(
                "model: it wants more than a prompt (SDXL does); load a checkpoint of Stable Diffusion 1.x"
            )
        self.model, self.clip, self.vae, self.unet = model, clip, vae, unet
        comfy.model_management.load_models_gpu([model], force_patch_weights=True)
        self.device = model.load_device
        self.weights = {
            name: value.detach().to(self.device, dtype, copy=True)
            for name, value in [*unet.named_parameters(), *unet.named_buffers()]
        }
        self.ends, widths = level_ends(unet)
        width = model.model.model_config.unet_config.get("context_dim")
        self.facts = BaseFacts(
            family="iconworld" if width == 128 else "sd15",
            prediction=prediction,
            channels=unet.in_channels,
            widths=widths,
            embedding=4 * unet.model_channels,
            cell=model.get_model_object("latent_format").spacial_downscale_ratio,
            fingerprint=_fingerprint(clip, vae),
        )

    @torch.no_grad()
    def prompts(self, texts: Sequence[str]) -> Tensor:
        tokens = [self.clip.tokenize(text) for text in texts]
        # of a long caption the first part alone: all prompts of a batch have one length
        first = [{name: parts[:1] for name, parts in one.items()} for one in tokens]
        encoded = [self.clip.encode_from_tokens(one) for one in first]
        return torch.cat(encoded).to(self.device, torch.float32, copy=True)

    def rest(self) -> None:
        """Nothing: the host moves its VAE and CLIP as it needs the memory."""

    def lengths(self, words: Sequence[str]) -> list[int]:
        tokens = [next(iter(self.clip.tokenize(word, return_word_ids=True).values())) for word in words]
        return [sum(number > 0 for part in parts for _, _, number in part) for parts in tokens]

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        latents = self.vae.encode(pictures.permute(0, 2, 3, 1))
        return self.model.model.process_latent_in(latents).to(self.device, torch.float32, copy=True)

    def decode(self, latents: Tensor) -> Tensor:
        latents = self.model.model.process_latent_out(latents.float())
        if torch.is_grad_enabled() and latents.requires_grad:
            return self._decoder(latents)
        with torch.no_grad():
            return self.vae.decode(latents).float().permute(0, 3, 1, 2).clamp(0, 1)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self.vae, self.device)

    def embed(self, t: Tensor) -> Tensor:
        weights = {name: value for name, value in self.weights.items() if name.startswith("time_embed.")}
        angles = timestep_embedding(t, self.unet.model_channels).to(next(iter(weights.values())))
        own = {name.removeprefix("time_embed."): value for name, value in weights.items()}
        return torch.func.functional_call(self.unet.time_embed, own, (angles,)).float()

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
        dtype = next(iter(self.weights.values())).dtype
        options: dict = {"patches": {}}
        if features:
            options = with_features(options, {end: f.to(dtype) for end, f in zip(self.ends, features, strict=True)})
        if attention is not None:
            options["optimized_attention_override"] = _Capture(attention, self.ends[0])
        weights = {**self.weights, **{name: value.to(dtype) for name, value in (changed or {}).items()}}
        added = None
        if control is not None:  # the host takes them off the ends of these lists
            added = {"output": [one.to(dtype) for one in control[0]], "middle": [control[1].to(dtype)]}
        extra = {"transformer_options": options, "control": added}
        out = torch.func.functional_call(self.unet, weights, (x.to(dtype), t, prompts.to(dtype)), extra)
        return out.float()

    def control(self) -> Control:
        return new_control(self.model, self.device)


class _Capture:
    """Attention written out, whose maps go to an ``AttentionMaps``: those of layers behind the first feature."""

    def __init__(self, maps: AttentionMaps, first_end: int) -> None:
        self.maps, self.first_end = maps, first_end

    def __call__(self, func, q: Tensor, k: Tensor, v: Tensor, heads: int, *args, **kwargs) -> Tensor:
        where, number = kwargs.get("transformer_options", {}).get("block", ("input", -1))[:2]
        own = k.shape[1] == q.shape[1]
        if (where == "input" and number <= self.first_end) or (own and self.maps.own is None):
            return func(q, k, v, heads, *args, **kwargs)
        out, seen = written_out(q, k, v, heads)
        (self.maps.own if own and self.maps.own is not None else self.maps.cross).append(seen)
        return out


def _fingerprint(clip, vae) -> str:
    """Of what encodes prompts and pictures: sums over all weights of both, to a few digits."""
    digest = hashlib.sha256()
    for part in (clip.cond_stage_model, vae.first_stage_model):
        for name, value in part.state_dict().items():
            if value.is_floating_point():
                digest.update(f"{name}{tuple(value.shape)}{float(value.double().abs().sum()):.6e}".encode())
    return digest.hexdigest()[:16]
