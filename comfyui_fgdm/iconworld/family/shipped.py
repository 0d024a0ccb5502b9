"""The shipped files as plain torch modules, for measuring without the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...factors.files import FactorInfo, lora_delta, module_of, read_file
from . import export
from .autoencoder import Decoder, decoder_from
from .control import control_from
from .networks import UNET, ControlNet, UNetConfig
from .parts import Base
from .sample import Velocity

_TEXT = "cond_stage_model.transformer.text_model."
_UNET = "model.diffusion_model."
VAE = "first_stage_model."


@dataclass(frozen=True)
class LoadedFactor:
    """info: of its file. velocity: (x, t, context, its parents' latents side by side or None) to v."""

    info: FactorInfo
    velocity: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Family:
    """base: text encoder and UNet; decoder: latents to pictures; factors, controls: by variable, its factor and its image
    factor."""

    base: Base
    decoder: Decoder
    factors: dict[str, LoadedFactor]
    controls: dict[str, ControlNet]

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """B x C x h x w -> B x 8h x 8w x 3 in 0..1, through 8 bits as a saved picture would be."""
        pictures = self.decoder(latents).clamp(0, 1).permute(0, 2, 3, 1)
        return (pictures * 255).round() / 255

    def image(self, hints: Mapping[str, Tensor]) -> Velocity:
        """The image factors under map pictures, by variable, one or several: B x H x W x 3 in 0..1 each."""
        pairs = [(self.controls[name], picture) for name, picture in hints.items()]
        with torch.no_grad():
            guided = [(net, net.input_hint_block(torch.cat([one, one]).permute(0, 3, 1, 2))) for net, one in pairs]

        def velocity(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            skips, middles = zip(*(net(x, seen, t, context) for net, seen in guided), strict=True)
            total = [sum(parts[1:], parts[0]) for parts in zip(*skips, strict=True)]
            return self.base.unet(x, t, context, control=(total, sum(middles[1:], middles[0])))

        return velocity

    def map(self, variable: str, parents: Mapping[str, Tensor] | None = None) -> Velocity:
        """The factor of a variable below its parents' latents B x C x h x w; without the prompt it sees none of them
        (guidance)."""
        factor = self.factors[variable]
        if not factor.info.parents:
            return lambda x, t, context: factor.velocity(x, t, context, None)
        given = parents or {}
        read = torch.cat([given[name] for name in factor.info.parents], 1)
        seen = torch.cat([read, torch.zeros_like(read)])
        return lambda x, t, context: factor.velocity(x, t, context, seen)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries of a checkpoint whose keys begin so, without the beginning, in single precision."""
    return {key.removeprefix(prefix): value.float() for key, value in state.items() if key.startswith(prefix)}


def base_of(state: dict[str, Tensor], config: UNetConfig = UNET) -> Base:
    """Text encoder and UNet of a checkpoint of the family, in eval mode."""
    base = Base(config).eval()
    base.text.load_state_dict(part(state, _TEXT))
    base.unet.load_state_dict(part(state, _UNET))
    return base


def load(config: UNetConfig = UNET, use_lora: bool = True, root: Path = export.WEIGHTS) -> Family:
    """Read the family below `root`; config: of the recipe it was made by; use_lora: False leaves the base as it is."""
    files = export.files(root)
    state = load_file(files.base)
    base = base_of(state, config)
    weights = dict(base.unet.named_parameters())

    def factor_of(path: Path) -> LoadedFactor:
        file = read_file(path)
        module = module_of(file)
        pairs = file.lora.items() if use_lora else ()
        changed = {key: weights[key].detach() + lora_delta(pair, weights[key].shape) for key, pair in pairs}

        def velocity(x: Tensor, t: Tensor, context: Tensor, seen: Tensor | None) -> Tensor:
            features = module(x if seen is None else seen, base.unet.embed(t))
            return torch.func.functional_call(base.unet, changed, (x, t, context), {"features": features})

        return LoadedFactor(file.info, velocity)

    factors = {one.info.variable: one for one in map(factor_of, files.factors())}
    paths = {name: files.control(name) for name in factors}
    controls = {name: control_from(load_file(path), base) for name, path in paths.items() if path.exists()}
    return Family(base, decoder_from(part(state, VAE)), factors, controls)
