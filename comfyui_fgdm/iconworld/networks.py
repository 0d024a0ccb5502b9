"""The tiny family's networks in plain torch, in the key layout of Stable Diffusion 1.x checkpoints.

The host builds its own UNet and text encoder from the checkpoint; a test holds that both give the same numbers.
Sizes: `UNetConfig` and `TextConfig`. Pictures are 8-channel latents of about unit variance, an eighth of the pixels wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .autoencoder import LATENT_CHANNELS
from .text import LENGTH


@dataclass(frozen=True)
class TextConfig:
    """vocabulary: rows of the embedding, with spare ones for words added later."""

    vocabulary: int = 256
    width: int = 128
    layers: int = 2
    heads: int = 4
    length: int = LENGTH


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


TEXT = TextConfig()
UNET = UNetConfig()


class TextLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = nn.ModuleDict({f"{k}_proj": nn.Linear(width, width) for k in ("q", "k", "v", "out")})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        h, attn = self.layer_norm1(x), self.self_attn
        q, k, v = (attn[f"{n}_proj"](h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for n in "qkv")
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + attn["out_proj"](h)
        h = self.mlp["fc1"](self.layer_norm2(x))
        return x + self.mlp["fc2"](h * torch.sigmoid(1.702 * h))


class TextEncoder(nn.Module):
    """Token ids B x L -> context B x L x width (CLIP's text transformer, causal, quick GELU, final norm)."""

    def __init__(self, config: TextConfig = TEXT) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(config.vocabulary, config.width),
                "position_embedding": nn.Embedding(config.length, config.width),
            }
        )
        self.encoder = nn.ModuleDict(
            {"layers": nn.ModuleList(TextLayer(config.width, config.heads) for _ in range(config.layers))}
        )
        self.final_layer_norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.embeddings["token_embedding"].weight, std=0.3)
        nn.init.normal_(self.embeddings["position_embedding"].weight, std=0.05)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embeddings["token_embedding"](tokens) + self.embeddings["position_embedding"].weight[: tokens.shape[1]]
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)


class ResBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, n_in), nn.SiLU(), nn.Conv2d(n_in, n_out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, n_out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, n_out), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(n_out, n_out, 3, padding=1)
        )
        self.skip_connection = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.out_layers[3].weight)
        nn.init.zeros_(self.out_layers[3].bias)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    """Multi-head attention; with a list `store` it also appends the cross-attention map (B x queries x tokens, mean of heads)."""

    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.heads = width // head
        self.to_q, self.to_k, self.to_v = (nn.Linear(n, width, bias=False) for n in (width, context, context))
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor, context: Tensor, store: list | None = None) -> Tensor:
        q, k, v = (
            f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for f, y in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        if store is None:
            h = F.scaled_dot_product_attention(q, k, v)
        else:
            weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
            store.append(weights.mean(1))
            h = weights @ v
        return self.to_out(h.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [nn.ModuleDict({"proj": nn.Linear(width, 8 * width)}), nn.Identity(), nn.Linear(4 * width, width)]
        )

    def forward(self, x: Tensor) -> Tensor:
        h, gate = self.net[0]["proj"](x).chunk(2, -1)
        return self.net[2](h * F.gelu(gate))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width, head), Attention(width, context, head)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor, store: list | None) -> Tensor:
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        x = x + self.attn2(self.norm2(x), context, store)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, context, head)])
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x: Tensor, context: Tensor, store: list | None) -> Tensor:
        h = self.proj_in(self.norm(x))
        shape = h.shape
        h = h.flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            h = block(h, context, store)
        return x + self.proj_out(h.transpose(1, 2).reshape(shape))


class Down(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Stage(nn.ModuleList):
    """One input, middle or output block: its layers in order."""

    def forward(self, x: Tensor, emb: Tensor, context: Tensor, store: list | None) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, Transformer):
                x = layer(x, context, store)
            else:
                x = layer(x)
        return x


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """B -> B x width, cosines first (SD's sinusoid, period 10,000)."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)


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
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, config.latent, 3, padding=1))
        nn.init.zeros_(self.out[2].weight)
        nn.init.zeros_(self.out[2].bias)

    def embed(self, t: Tensor) -> Tensor:
        return self.time_embed(timestep_embedding(t, self.config.channels))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        features: list[Tensor] | None = None,
        control: tuple[list[Tensor], Tensor] | None = None,
        store: list | None = None,
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

    (x_t, hint, t, context) -> control for `UNet.forward`; hint: the condition picture B x 3 x 8h x 8w in 0..1.
    """

    def __init__(self, config: UNetConfig = UNET) -> None:
        super().__init__()
        self.config = config
        self.time_embed = _time_embed(config)
        self.input_blocks, widths, _ = _input_blocks(config)
        self.middle_block = _middle_block(config)
        self.zero_convs = nn.ModuleList(nn.Sequential(_zero(nn.Conv2d(w, w, 1))) for w in widths)
        self.middle_block_out = nn.Sequential(_zero(nn.Conv2d(config.widths[-1], config.widths[-1], 1)))
        plan = ((3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 96, 2), (96, 96, 1), (96, 256, 2))
        layers: list[nn.Module] = []
        for n_in, n_out, stride in plan:
            layers += [nn.Conv2d(n_in, n_out, 3, stride, 1), nn.SiLU()]
        self.input_hint_block = nn.Sequential(*layers, _zero(nn.Conv2d(256, config.channels, 3, padding=1)))

    def start_from(self, unet: UNet) -> None:
        """Copy the weights of the frozen base, as ControlNet training begins."""
        for part in ("time_embed", "input_blocks", "middle_block"):
            getattr(self, part).load_state_dict(getattr(unet, part).state_dict())

    def forward(self, x: Tensor, hint: Tensor, t: Tensor, context: Tensor) -> tuple[list[Tensor], Tensor]:
        emb = self.time_embed(timestep_embedding(t, self.config.channels))
        guided, h, outs = self.input_hint_block(hint), x, []
        for number, (stage, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            h = stage(h, emb, context, None)
            if number == 0:
                h = h + guided
            outs.append(zero(h))
        return outs, self.middle_block_out(self.middle_block(h, emb, context, None))


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
