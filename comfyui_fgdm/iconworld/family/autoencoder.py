"""The tiny family's autoencoder, in the TAESD key layout that the host's checkpoint loader knows (f8, ReLU blocks).

The encoder is not learned: it projects each 8 x 8 patch on its first principal components (fitted once on pictures and
maps of the icon world), which the layout can express exactly. The latents are therefore known before any training, cost a
matrix product, and are coarse to fine by construction. The decoder is learned. The host builds it 64 channels wide
everywhere; ours has its own width and number of blocks at each resolution, and `export` embeds it exactly (padding
channels stay zero, an absent block of zeros is the identity on a ReLU output).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LATENT_CHANNELS = 12
HOST_WIDTH = 64
PATCH = 8


def _conv(n_in: int, n_out: int, bias: bool = True) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, 3, 1, 1, bias=bias)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """ReLU(x + conv ReLU conv ReLU conv (x)), the TAESD block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second, last = (_conv(width, width) for _ in range(3))
        nn.init.zeros_(last.weight)
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)

    def convolutions(self) -> Iterator[tuple[str, nn.Conv2d]]:
        """(key below the block, layer) of the three convolutions."""
        for number, layer in enumerate(self.conv):
            if isinstance(layer, nn.Conv2d):
                yield f"conv.{number}", layer


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class PatchEncoder(nn.Module):
    """Picture B x 3 x H x W in 0..1 -> latent B x 12 x H/8 x W/8: principal components of the patches.

    Component k is divided by sqrt(std_k * std_0), so that the first has unit variance and finer ones less.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(LATENT_CHANNELS, 3, PATCH, PATCH))
        self.register_buffer("bias", torch.zeros(LATENT_CHANNELS))

    def fit(self, pictures: Tensor) -> None:
        """Fit the components to pictures N x 3 x H x W in 0..1."""
        patches = F.unfold(pictures.double(), PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)
        mean = patches.mean(0)
        centred = patches - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        components = vectors.flip(1)[:, :LATENT_CHANNELS].T
        components = components * components.sum(1, keepdim=True).sign()
        std = values.flip(0)[:LATENT_CHANNELS].sqrt()
        components = components / (std * std[0]).sqrt()[:, None]
        self.weight.copy_(components.reshape(LATENT_CHANNELS, 3, PATCH, PATCH))
        self.bias.copy_(-components @ mean)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # latents are data: not rounded where training is
            return F.conv2d(x, self.weight, self.bias, stride=PATCH)


def load_encoder(path: Path) -> PatchEncoder:
    """The encoder that `data` fitted and saved."""
    encoder = PatchEncoder()
    encoder.load_state_dict(torch.load(path, weights_only=True))
    return encoder


class Decoder(nn.Module):
    """Latent -> picture in about 0..1. widths, blocks: from an eighth up to full resolution (at most 3, 3, 3, 1 blocks)."""

    def __init__(self, widths=(64, 64, 32, 16), blocks=(3, 2, 1, 1)) -> None:
        super().__init__()
        self.blocks = blocks
        layers: list[nn.Module] = [Clamp(), _conv(LATENT_CHANNELS, widths[0]), nn.ReLU()]
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if level:
                layers += [nn.Upsample(scale_factor=2), _conv(widths[level - 1], width, bias=False)]
            layers += [Block(width) for _ in range(count)] or [nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.out = _conv(widths[-1], 3)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(self.layers(z))


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = PatchEncoder(), Decoder()

    def encode(self, images: Tensor) -> Tensor:
        """B x 3 x H x W in 0..1 -> B x 12 x H/8 x W/8."""
        return self.encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents -> B x 3 x H x W, clamped to 0..1."""
        return self.decoder(latents).clamp(0, 1)


def _pad(weight: Tensor, n_in: int, n_out: int) -> Tensor:
    padded = torch.zeros(n_out, n_in, *weight.shape[2:])
    padded[: weight.shape[0], : weight.shape[1]] = weight
    return padded


def _put(state: dict, key: str, conv: nn.Conv2d, n_in: int = HOST_WIDTH, n_out: int = HOST_WIDTH) -> None:
    state[f"{key}.weight"] = _pad(conv.weight.detach(), n_in, n_out)
    if conv.bias is not None:
        bias = torch.zeros(n_out)
        bias[: conv.bias.shape[0]] = conv.bias.detach()
        state[f"{key}.bias"] = bias


def _put_block(state: dict, key: str, block: Block | None) -> None:
    if block is None:
        for layer in (0, 2, 4):
            state[f"{key}.conv.{layer}.weight"] = torch.zeros(HOST_WIDTH, HOST_WIDTH, 3, 3)
            state[f"{key}.conv.{layer}.bias"] = torch.zeros(HOST_WIDTH)
    else:
        for name, conv in block.convolutions():
            _put(state, f"{key}.{name}", conv)


def _unshuffle(channels: int) -> Tensor:
    """A stride-2 kernel that stacks each 2 x 2 cell: output channel (2 dy + dx) * channels + c."""
    weight = torch.zeros(HOST_WIDTH, HOST_WIDTH, 3, 3)
    for cell in range(4):
        for c in range(channels):
            weight[cell * channels + c, c, 1 + cell // 2, 1 + cell % 2] = 1
    return weight


def export_encoder(encoder: PatchEncoder) -> dict[str, Tensor]:
    """The patch projection as TAESD layers: two stackings to 48 channels (pictures are >= 0, so ReLU changes nothing), the
    components with both signs, and their difference."""
    state: dict[str, Tensor] = {}
    first = torch.zeros(HOST_WIDTH, 3, 3, 3)
    first[torch.arange(3), torch.arange(3), 1, 1] = 1
    state["taesd_encoder.0.weight"], state["taesd_encoder.0.bias"] = first, torch.zeros(HOST_WIDTH)
    state["taesd_encoder.2.weight"], state["taesd_encoder.6.weight"] = _unshuffle(3), _unshuffle(12)
    project = torch.zeros(HOST_WIDTH, HOST_WIDTH, 3, 3)
    for y in range(PATCH):
        for x in range(PATCH):
            for c in range(3):
                outer, inner = 2 * (y // 2 % 2) + x // 2 % 2, 2 * (y % 2) + x % 2  # cells of the two stackings
                channel = 12 * outer + 3 * inner + c
                for sign in (0, 1):
                    rows = slice(sign * LATENT_CHANNELS, (sign + 1) * LATENT_CHANNELS)
                    project[rows, channel, 1 + y // 4, 1 + x // 4] = encoder.weight[:, c, y, x] * (1 - 2 * sign)
    state["taesd_encoder.10.weight"] = project
    last = torch.zeros(LATENT_CHANNELS, HOST_WIDTH, 3, 3)
    for k in range(LATENT_CHANNELS):
        last[k, k, 1, 1], last[k, LATENT_CHANNELS + k, 1, 1] = 1, -1
    state["taesd_encoder.14.weight"], state["taesd_encoder.14.bias"] = last, encoder.bias.detach().clone()
    for at in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13):
        _put_block(state, f"taesd_encoder.{at}", None)
    return state


def encoder_from(state: dict[str, Tensor]) -> PatchEncoder:
    """The patch projection inside an exported state dict (keys taesd_encoder.*): the inverse of `export_encoder`."""
    encoder, project = PatchEncoder(), state["taesd_encoder.10.weight"].float()
    for y in range(PATCH):
        for x in range(PATCH):
            outer, inner = 2 * (y // 2 % 2) + x // 2 % 2, 2 * (y % 2) + x % 2
            first = 12 * outer + 3 * inner
            encoder.weight[:, :, y, x] = project[:LATENT_CHANNELS, first : first + 3, 1 + y // 4, 1 + x // 4]
    encoder.bias.copy_(state["taesd_encoder.14.bias"].float())
    return encoder.eval()


def _decoder_layout(decoder: Decoder) -> Iterator[tuple[str, nn.Conv2d | Block | None]]:
    """(key in the host's layout, our layer or None for an absent block), for every layer of the layout."""
    source, at = [layer for layer in decoder.layers if isinstance(layer, (nn.Conv2d, Block))], 3
    yield "taesd_decoder.1", source.pop(0)
    for level, slots in enumerate((3, 3, 3, 1)):
        if level:
            yield f"taesd_decoder.{at + 1}", source.pop(0)
            at += 2
        for slot in range(slots):
            yield f"taesd_decoder.{at + slot}", source.pop(0) if slot < decoder.blocks[level] else None
        at += slots
    yield f"taesd_decoder.{at}", decoder.out


def export(model: Autoencoder) -> dict[str, Tensor]:
    """State dict in the host's TAESD layout (keys taesd_encoder.*, taesd_decoder.*), the same function as `model`."""
    state: dict[str, Tensor] = {"vae_scale": torch.tensor(1.0), "vae_shift": torch.tensor(0.0)}
    state |= export_encoder(model.encoder)
    for key, layer in _decoder_layout(model.decoder):
        if isinstance(layer, nn.Conv2d):
            n_in = LATENT_CHANNELS if key == "taesd_decoder.1" else HOST_WIDTH
            _put(state, key, layer, n_in, 3 if layer is model.decoder.out else HOST_WIDTH)
        else:
            _put_block(state, key, layer)
    return state


def decoder_from(state: dict[str, Tensor]) -> Decoder:
    """The narrow decoder inside an exported state dict (keys taesd_decoder.*): the inverse of `export`."""
    decoder = Decoder()
    for key, layer in _decoder_layout(decoder):
        if layer is None:
            continue
        if isinstance(layer, nn.Conv2d):
            pairs = [(key, layer)]
        else:
            pairs = [(f"{key}.{name}", conv) for name, conv in layer.convolutions()]
        for name, conv in pairs:
            conv.weight.data = state[f"{name}.weight"][: conv.out_channels, : conv.in_channels].float()
            if conv.bias is not None:
                conv.bias.data = state[f"{name}.bias"][: conv.out_channels].float()
    return decoder.eval()
