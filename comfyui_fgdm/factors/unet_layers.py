"""The layers of small UNets and ControlNets, named as in Stable Diffusion 1.x checkpoints; and where their attention is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class AttentionMaps:
    """What one call of a UNet attended to, layer by layer: softmax over the last axis, mean of the heads.

    cross: B x queries x tokens. own: B x queries x queries (self-attention); None: not wanted, and not kept.
    Queries are the cells of a square latent, row by row. Gradients stay attached.
    """

    cross: list[Tensor] = field(default_factory=list)
    own: list[Tensor] | None = None


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer with weight and bias at zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, n_in), nn.SiLU(), nn.Conv2d(n_in, n_out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, n_out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, n_out), nn.SiLU(), nn.Dropout(0.0), zeroed(nn.Conv2d(n_out, n_out, 3, padding=1))
        )
        self.skip_connection = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


def attended(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    """softmax(q k / sqrt(width)) v for B x heads x tokens x width; causal: no token sees a later one.

    Written out where a CPU trains in reduced precision: at these sizes the fused kernel's backward takes a quarter of a step.
    """
    if q.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return scores.softmax(-1) @ v


class Attention(nn.Module):
    """Multi-head attention; with a list `store` it also appends its map (B x queries x keys, mean of heads)."""

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
            h = attended(q, k, v)
        else:
            weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
            store.append(weights.mean(1))
            h = weights @ v
        return self.to_out(h.transpose(1, 2).flatten(2))


class GatedGelu(nn.Module):
    """A linear map to twice `n_out` channels, one half gated by the other."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(n_in, 2 * n_out)

    def forward(self, x: Tensor) -> Tensor:
        h, gate = self.proj(x).chunk(2, -1)
        return h * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedGelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width, head), Attention(width, context, head)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor, store: AttentionMaps | None) -> Tensor:
        h = self.norm1(x)
        x = x + self.attn1(h, h, None if store is None else store.own)
        x = x + self.attn2(self.norm2(x), context, None if store is None else store.cross)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(width, width, 1), zeroed(nn.Conv2d(width, width, 1))
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, context, head)])

    def forward(self, x: Tensor, context: Tensor, store: AttentionMaps | None) -> Tensor:
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

    def forward(self, x: Tensor, emb: Tensor, context: Tensor, store: AttentionMaps | None) -> Tensor:
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
