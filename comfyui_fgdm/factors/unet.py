"""Small UNets in plain torch, in the key layout of Stable Diffusion 1.x: that of the embedded family, and factors of their own.

A factor with a network of its own (appendix A.1.2 of the paper) changes no base: it reads its noisy latent and, side by side
with it, the latents of its parents, and predicts as the base would. A parent that is left out is zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .unet_layers import AttentionMaps, Down, ResBlock, Stage, Transformer, Up, timestep_embedding, zeroed

KIND = "unet"
"""Of a factor with a network of its own, beside the kinds of adapters."""

HEAD = 32
LEAST_WIDTH = 64
"""Of a level: alone in its group of a GroupNorm, a channel would lose its timestep."""


class UNetKeysError(ValueError):
    """Weights that are not those of such a UNet: what is missing or of a wrong shape."""


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a UNet; as it stands, that of the embedded family.

    channels x mult gives the width of each level, multiples of 32 (the host wants mult[0] = 1); blocks: residual ones a level;
    attention: whether a level has transformers; context: text width; head: channels of an attention head; latent: channels of
    what is drawn; parents: latents that are read beside it, side by side.
    """

    channels: int = 64
    mult: tuple[int, ...] = (1, 2, 2)
    blocks: int = 1
    attention: tuple[bool, ...] = (False, True, True)
    context: int = 128
    head: int = 32
    latent: int = 12
    parents: int = 0

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.channels * m for m in self.mult)

    @property
    def embedding(self) -> int:
        return 4 * self.channels

    @property
    def in_channels(self) -> int:
        """Of what the first layer reads: x_t, then its parents."""
        return self.latent * (1 + self.parents)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight of this UNet."""
        with torch.device("meta"):
            return {name: tuple(weight.shape) for name, weight in UNet(self).state_dict().items()}


def input_blocks(config: UNetConfig) -> tuple[nn.ModuleList, list[int], list[int]]:
    """(blocks, the width after each of them, the index of the last block of each level)."""
    width = config.channels
    stages, widths, ends = [Stage([nn.Conv2d(config.in_channels, width, 3, padding=1)])], [width], []
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


def middle_block(config: UNetConfig) -> Stage:
    width = config.widths[-1]
    return Stage(
        [
            ResBlock(width, width, config.embedding),
            Transformer(width, config.context, config.head),
            ResBlock(width, width, config.embedding),
        ]
    )


def time_embed(config: UNetConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.channels, config.embedding), nn.SiLU(), nn.Linear(config.embedding, config.embedding)
    )


class UNet(nn.Module):
    """v(x_t, t, context). features: one tensor per level, added to the output of the level's last input block before the
    skip is stored (the adapter's contract); control: (one tensor per input block added to its skip, one for the middle)."""

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.time_embed = time_embed(config)
        self.input_blocks, widths, self.level_ends = input_blocks(config)
        self.middle_block = middle_block(config)
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


def detect(shapes: Mapping[str, tuple[int, ...]], parents: int = 0) -> UNetConfig:
    """The shape of a UNet with these weights and so many parents, by the layers that are there; UNetKeysError for one that
    cannot be. Whether every other weight fits as well is for ``networks.mismatch`` to say."""

    def shape(name: str, rank: int) -> tuple[int, ...]:
        found = tuple(shapes.get(name, ()))
        if len(found) != rank or min(found) < 1:
            raise UNetKeysError(f"{name} is {found or 'missing'}, which is no weight of a UNet")
        return found

    stem, last = shape("input_blocks.0.0.weight", 4), shape("out.2.weight", 4)
    channels, latent, number = stem[0], last[0], 1
    levels: list[list[tuple[int, bool]]] = [[]]
    while any(f"input_blocks.{number}.0.{part}" in shapes for part in ("op.weight", "out_layers.3.weight")):
        if f"input_blocks.{number}.0.op.weight" in shapes:
            levels.append([])
        else:
            attends = f"input_blocks.{number}.1.proj_in.weight" in shapes
            levels[-1].append((shape(f"input_blocks.{number}.0.out_layers.3.weight", 4)[0], attends))
        number += 1
    counts, kinds = {len(level) for level in levels}, [set(level) for level in levels]
    if len(counts) != 1 or any(len(kind) != 1 for kind in kinds):
        raise UNetKeysError("its input blocks are not alike in all levels")
    widths, attention = zip(*(next(iter(kind)) for kind in kinds), strict=True)
    if channels < LEAST_WIDTH or any(width % channels or width % HEAD for width in (channels, *widths)):
        raise UNetKeysError(
            f"levels of {list(widths)} channels; those of a factor are multiples of {HEAD} and of the first, from {LEAST_WIDTH}"
        )
    if stem[1] != latent * (1 + parents):
        raise UNetKeysError(f"it reads {stem[1]} channels, not {latent} of a latent and of each of {parents} parents")
    context = shape("middle_block.1.transformer_blocks.0.attn2.to_k.weight", 2)[1]
    mult = tuple(width // channels for width in widths)
    return UNetConfig(channels, mult, counts.pop(), tuple(attention), context, HEAD, latent, parents)
