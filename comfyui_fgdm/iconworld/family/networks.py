"""The tiny family's networks in plain torch, in the key layout of Stable Diffusion 1.x checkpoints.

The host builds its own UNet and text encoder from the checkpoint; a test holds that both give the same numbers.
Sizes: `UNetConfig` and `TextConfig`. Pictures are latents of about unit variance at most, an eighth of the pixels wide.
The UNet's layers are in `blocks`, the text encoder in `text_encoder`; its public names are importable from here as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...training.attention import AttentionMaps
from .autoencoder import LATENT_CHANNELS
from .blocks import Down, ResBlock, Stage, Transformer, Up, timestep_embedding, zeroed
from .text_encoder import TEXT, TextConfig, TextEncoder

__all__ = ["TEXT", "UNET", "ControlNet", "TextConfig", "TextEncoder", "UNet", "UNetConfig"]


@dataclass(frozen=True)
class UNetConfig:
    """channels x mult gives the width of each level (the host wants mult[0] = 1); attention: whether a level has transformers; context: text width."""

    channels: int = 64
    mult: tuple[int, ...] = (1, 2, 2)
    blocks: int = 1
    attention: tuple[bool, ...] = (False, True, True)
    context: int = 128
    head: int = 32
    latent: int = LATENT_CHANNELS

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.channels * m for m in self.mult)

    @property
    def embedding(self) -> int:
        return 4 * self.channels


UNET = UNetConfig()


def _input_blocks(config: UNetConfig) -> tuple[nn.ModuleList, list[int], list[int]]:
    """(blocks, the width after each of them, the index of the last block of each level)."""
    width = config.channels
    stages, widths, ends = [Stage([nn.Conv2d(config.latent, width, 3, padding=1)])], [width], []
    for level, target in enumerate(config.widths):
        for _ in range(config.blocks):
            layers: list[nn.Module] = [ResBlock(width, target, config.embedding)]
            if config.attention[level]:
                layers.append(Transformer(target, config.context, config.head))
            width = target
            stages.append(Stage(layers))
            widths.append(width)
        ends.append(len(stages) - 1)
        if level < len(config.mult) - 1:
            stages.append(Stage([Down(width)]))
            widths.append(width)
    return nn.ModuleList(stages), widths, ends


def _middle_block(config: UNetConfig) -> Stage:
    width = config.widths[-1]
    return Stage(
        [
            ResBlock(width, width, config.embedding),
            Transformer(width, config.context, config.head),
            ResBlock(width, width, config.embedding),
        ]
    )


def _time_embed(config: UNetConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.channels, config.embedding), nn.SiLU(), nn.Linear(config.embedding, config.embedding)
    )


class UNet(nn.Module):
    """v(x_t, t, context). features: one tensor per level, added to the output of the level's last input block before the
    skip is stored (the adapter's contract); control: (one tensor per input block added to its skip, one for the middle)."""

    def __init__(self, config: UNetConfig = UNET) -> None:
        super().__init__()
        self.config = config
        self.time_embed = _time_embed(config)
        self.input_blocks, widths, self.level_ends = _input_blocks(config)
        self.middle_block = _middle_block(config)
        width, outputs = config.widths[-1], []
        for level in reversed(range(len(config.mult))):
            for number in range(config.blocks + 1):
                layers: list[nn.Module] = [ResBlock(width + widths.pop(), config.widths[level], config.embedding)]
                width = config.widths[level]
                if config.attention[level]:
                    layers.append(Transformer(width, config.context, config.head))
                if level and number == config.blocks:
                    layers.append(Up(width))
                outputs.append(Stage(layers))
        self.output_blocks = nn.ModuleList(outputs)
        self.out = nn.Sequential(
            nn.GroupNorm(32, width), nn.SiLU(), zeroed(nn.Conv2d(width, config.latent, 3, padding=1))
        )

    def embed(self, t: Tensor) -> Tensor:
        return self.time_embed(timestep_embedding(t, self.config.channels))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        features: list[Tensor] | None = None,
        control: tuple[list[Tensor], Tensor] | None = None,
        store: AttentionMaps | None = None,
    ) -> Tensor:
        emb, skips, h = self.embed(t), [], x
        for number, stage in enumerate(self.input_blocks):
            h = stage(h, emb, context, store)
            if features is not None and number in self.level_ends:
                h = h + features[self.level_ends.index(number)]
            skips.append(h)
        h = self.middle_block(h, emb, context, store)
        if control is not None:
            skips = [skip + extra for skip, extra in zip(skips, control[0], strict=True)]
            h = h + control[1]
        for stage in self.output_blocks:
            h = stage(torch.cat([h, skips.pop()], 1), emb, context, store)
        return self.out(h)


class ControlNet(nn.Module):
    """The image factor: a trainable copy of the UNet's input half with zero convolutions (the cldm key layout).

    (x_t, guided, t, context) -> control for `UNet.forward`; guided: `input_hint_block` of the condition picture
    B x 3 x 8h x 8w in 0..1. Its last convolution does not start at zero; the zero convolutions behind it keep the base as it
    is at the start, and a hint that can be read from the first step on is followed sooner.
    """

    def __init__(self, config: UNetConfig = UNET) -> None:
        super().__init__()
        self.config = config
        self.time_embed = _time_embed(config)
        self.input_blocks, widths, _ = _input_blocks(config)
        self.middle_block = _middle_block(config)
        self.zero_convs = nn.ModuleList(nn.Sequential(zeroed(nn.Conv2d(w, w, 1))) for w in widths)
        self.middle_block_out = nn.Sequential(zeroed(nn.Conv2d(config.widths[-1], config.widths[-1], 1)))
        plan = ((3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 96, 2), (96, 96, 1), (96, 256, 2))
        layers: list[nn.Module] = []
        for n_in, n_out, stride in plan:
            layers += [nn.Conv2d(n_in, n_out, 3, stride, 1), nn.SiLU()]
        layers.append(nn.Conv2d(256, config.channels, 3, padding=1))
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.input_hint_block = nn.Sequential(*layers)

    def start_from(self, unet: UNet) -> None:
        """Copy the weights of the frozen base, as ControlNet training begins."""
        for part in ("time_embed", "input_blocks", "middle_block"):
            getattr(self, part).load_state_dict(getattr(unet, part).state_dict())

    def forward(self, x: Tensor, guided: Tensor, t: Tensor, context: Tensor) -> tuple[list[Tensor], Tensor]:
        emb = self.time_embed(timestep_embedding(t, self.config.channels))
        h, outs = x, []
        for number, (stage, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            h = stage(h, emb, context, None)
            if number == 0:
                h = h + guided
            outs.append(zero(h))
        return outs, self.middle_block_out(self.middle_block(h, emb, context, None))
