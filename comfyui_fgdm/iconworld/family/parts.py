"""What the base, the decoder and the judges of the tiny family learn: module, batch and loss. Factors: `factor`, `control`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...training import objective
from ...training.attention import AttentionMaps
from ...training.hints import blurred
from ...training.loop import device
from .autoencoder import Autoencoder
from .judge import Judge
from .networks import UNET, TextEncoder, UNet, UNetConfig
from .shards import PICTURE, Shard

LossOf = Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]]
GROUNDING_WEIGHT = 0.3


class Base(nn.Module):
    """The text encoder and the UNet, trained together on pictures."""

    def __init__(self, config: UNetConfig = UNET) -> None:
        super().__init__()
        self.text, self.unet = TextEncoder(), UNet(config)

    @torch.no_grad()
    def context(self, tokens: Tensor) -> Tensor:
        """Encoded prompts for what is trained on a frozen base."""
        return self.text(tokens.to(next(self.parameters()).device))


def noised(latent: Tensor, generator: torch.Generator, late: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """(x_t, v, t) at uniform timesteps, or with `late` at the larger of two uniform ones."""
    t = objective.levels(len(latent), generator, late)
    x, v = objective.drawn(latent, t, "v", generator)
    where = device()
    return x.to(where), v.to(where), t.to(where)


def grounded(out: Tensor, v: Tensor, maps: list[Tensor], masks: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The v-loss with the grounding of the cross-attention maps beside it, and both as figures."""
    mse = F.mse_loss(out.float(), v)
    ground = objective.grounding([one.float() for one in maps], masks.to(out.device))
    return mse + GROUNDING_WEIGHT * ground, {"v": float(mse.detach()), "ground": float(ground.detach())}


def base_loss(base: Base, shard: Shard, size: int, late: bool = False) -> LossOf:
    """v-loss on pictures plus the grounding of the cross-attention; late: see `noised`."""

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = shard.draw(size, generator)
        x, v, t = noised(batch.latents[PICTURE], generator, late)
        maps = AttentionMaps()
        out = base.unet(x, t, base.text(batch.tokens.to(x.device)), store=maps)
        return grounded(out, v, maps.cross, batch.masks)

    return loss_of


def decoder_loss(
    model: Autoencoder,
    pictures,
    maps: Sequence[Callable[..., np.ndarray]],
    size: int,
    crop: int = 64,
    noise: float = 0.04,
) -> LossOf:
    """L1 + 2 MSE of the decoder on random crops, pictures and maps half and half; the encoder is fixed.

    pictures: uint8 N x H x W x 3; maps: for each kind of map a function from numbers B to uint8 B x H x W x 3, which take
    turns in a batch.
    """
    count, side = pictures.shape[:2]

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(count, (size,), generator=generator).numpy()
        y, x = (torch.randint(0, (side - crop) // 4 + 1, (2,), generator=generator) * 4).tolist()
        rows, columns = slice(y, y + crop), slice(x, x + crop)
        half = size // 2
        shown = [pictures[index[:half]], *(of(index[half + k :: len(maps)]) for k, of in enumerate(maps))]
        real = torch.cat([torch.from_numpy(some[:, rows, columns].copy()) for some in shown])
        real = real.permute(0, 3, 1, 2).float().div(255).to(device()).contiguous(memory_format=torch.channels_last)
        if torch.rand((), generator=generator) < 0.5:
            real = real.flip(3)
        z = model.encode(real)
        error = model.decoder(z + noise * torch.randn(z.shape, generator=generator).to(z.device)) - real
        squares = error.detach().square()
        figures = {
            "psnr_image": float(-10 * torch.log10(squares[:half].mean())),
            "psnr_map": float(-10 * torch.log10(squares[half:].mean())),
        }
        return error.abs().mean() + 2 * error.square().mean(), figures

    return loss_of


def judge_loss(judge: Judge, classes: tuple[int, ...], pictures, labels, size: int) -> LossOf:
    """Cross-entropy of the judge on real pictures, augmented by brightness, noise and blur of many strengths."""
    to_class = torch.full((256,), 0, dtype=torch.long)
    to_class[list(classes)] = torch.arange(len(classes))

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(labels), (size,), generator=generator).numpy()
        real = torch.from_numpy(pictures[index]).permute(0, 3, 1, 2).float().div(255)
        truth = to_class[torch.from_numpy(labels[index].astype("int64"))]
        if torch.rand((), generator=generator) < 0.5:
            real, truth = real.flip(3), truth.flip(2)
        gain = 1 + 0.15 * torch.randn(size, 1, 1, 1, generator=generator)
        real = (real * gain + 0.03 * torch.randn(real.shape, generator=generator)).clamp(0, 1)
        for _ in range(int(torch.randint(3, (), generator=generator))):
            real = blurred(real)
        dy, dx = torch.randint(0, 2, (2,), generator=generator).tolist()  # one of the four pixels of each coarse cell
        truth = truth[:, dy::2, dx::2].contiguous()
        scores = judge.coarse(real.to(device())).float()
        loss = F.cross_entropy(scores, truth.to(device()))
        return loss, {"accuracy": float((scores.argmax(1).cpu() == truth).float().mean())}

    return loss_of
