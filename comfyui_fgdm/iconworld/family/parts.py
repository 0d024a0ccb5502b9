"""What each part of the tiny family learns: its module, its batch and its loss. The loop is `run.train`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...factors import files as adapters
from ...maps import palettes
from ...training import objective
from ...training.attention import AttentionMaps
from ...training.loop import device
from ...training.lowrank import LowRank
from .autoencoder import PATCH, Autoencoder
from .data import Shard, draw_batch, paint
from .judge import Judge
from .networks import UNET, ControlNet, TextEncoder, UNet, UNetConfig

LossOf = Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]]
GROUNDING_WEIGHT, READING_WEIGHT = 0.3, 0.03


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
    t = torch.randint(objective.STEPS, (2 if late else 1, len(latent)), generator=generator).amax(0)
    noise = torch.randn(latent.shape, generator=generator)
    x, v = objective.noised(latent, noise, t)
    where = device()
    return x.to(where), v.to(where), t.to(where)


def grounded(out: Tensor, v: Tensor, maps: list[Tensor], masks: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The v-loss with the grounding of the cross-attention maps beside it, and both as figures."""
    mse, ground = F.mse_loss(out, v), objective.grounding(maps, masks.to(out.device))
    return mse + GROUNDING_WEIGHT * ground, {"v": float(mse.detach()), "ground": float(ground.detach())}


def base_loss(base: Base, shard: Shard, size: int) -> LossOf:
    """v-loss on pictures plus the grounding of the cross-attention."""

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(shard, "image", size, generator)
        x, v, t = noised(batch.latent, generator)
        maps = AttentionMaps()
        out = base.unet(x, t, base.text(batch.tokens.to(x.device)), store=maps)
        return grounded(out, v, maps.cross, batch.masks)

    return loss_of


class Factor(nn.Module):
    """A condition factor: the time-conditioned adapter of the paper on a frozen base, with optional low-rank changes.

    Its adapter reads x_t, or where `seen` is given that instead (the latent of its one parent). blocks: a level of it.
    """

    def __init__(self, base: Base, rank: int = 0, blocks: int = 2) -> None:
        super().__init__()
        config = base.unet.config
        self.base = base.requires_grad_(False)
        self.adapter = adapters.build(
            adapters.AdapterSpec(adapters.AdapterKind.TIME, config.widths, config.latent, config.embedding, blocks)
        )
        self.adapter.requires_grad_(True)
        self.lora = LowRank(base.unet, rank) if rank else None

    def forward(
        self, x: Tensor, t: Tensor, context: Tensor, store: AttentionMaps | None = None, seen: Tensor | None = None
    ) -> Tensor:
        features = self.adapter(x if seen is None else seen, self.base.unet.embed(t))
        changed = self.lora.weights(self.base.unet) if self.lora else {}
        return torch.func.functional_call(
            self.base.unet, changed, (x, t, context), {"features": features, "store": store}
        )


def factor_loss(factor: Factor, shard: Shard, size: int) -> LossOf:
    """v-loss on maps plus grounding; only the adapter (and the low-rank changes) learn."""

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(shard, "map", size, generator)
        x, v, t = noised(batch.latent, generator)
        maps = AttentionMaps()
        out = factor(x, t, factor.base.context(batch.tokens), store=maps)
        return grounded(out, v, maps.cross, batch.masks)

    return loss_of


class Image(nn.Module):
    """The image factor: a ControlNet on the frozen base. `reader` (training only) names the classes that the hint's features
    show, so that the hint is understood before the zero convolutions open."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.control = ControlNet(base.unet.config)
        self.control.start_from(base.unet)
        self.control.requires_grad_(True)
        self.reader = nn.Conv2d(base.unet.config.channels, len(palettes.COCO), 1)

    def forward(self, x: Tensor, hint: Tensor, t: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """(v, class scores of the hint at the latent's size)."""
        guided = self.control.input_hint_block(hint)
        return self.base.unet(x, t, context, control=self.control(x, guided, t, context)), self.reader(guided)


def blurred(pictures: Tensor) -> Tensor:
    """B x C x H x W under a 3 x 3 box blur."""
    return F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)


def noisy(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures with the noise of an autoencoder, in 0..1."""
    return (pictures + 0.03 * torch.randn(pictures.shape, generator=generator)).clamp(0, 1)


def worn(hint: Tensor, generator: torch.Generator) -> Tensor:
    """True map pictures B x 3 x H x W as sampled ones look: a third as they are, a third blurred and noisy (an autoencoder's),
    a third with void where the blur would leave no colour of the palette near (decoded and painted again)."""
    soft = blurred(hint)
    void = palettes.colours(palettes.COCO, (palettes.COCO.void,)).view(3, 1, 1) / 255
    far = (soft - hint).square().sum(1, keepdim=True).sqrt() > palettes.MARGIN / 255
    rough = noisy(soft, generator)
    kind = torch.randint(3, (len(hint), 1, 1, 1), generator=generator)
    return torch.where(kind == 0, hint, torch.where(kind == 1, rough, torch.where(far, void, hint)))


def image_loss(image: Image, shard: Shard, size: int) -> LossOf:
    """v-loss on pictures with the true map, worn, as the hint, plus the reading of the hint.

    Noise is drawn towards the high levels, where the layout is decided, and captions are dropped more often than in the
    base's training, so that the map is followed for what it shows and not only as a place for the caption's words.
    """

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(shard, "image", size, generator, dropout=0.3)
        x, v, t = noised(batch.latent, generator, late=True)
        hint = worn(palettes.encode(batch.labels).permute(0, 3, 1, 2), generator).to(x.device)
        out, read = image(x, hint, t, image.base.context(batch.tokens))
        # one pixel of each cell, another every step
        y, column = torch.randint(PATCH, (2,), generator=generator).tolist()
        mse = F.mse_loss(out, v)
        named = F.cross_entropy(read, batch.labels[:, y::PATCH, column::PATCH].long().to(x.device))
        return mse + READING_WEIGHT * named, {"v": float(mse.detach()), "read": float(named.detach())}

    return loss_of


def decoder_loss(model: Autoencoder, pictures, labels, size: int, crop: int = 64, noise: float = 0.04) -> LossOf:
    """L1 + 2 MSE of the decoder on random crops, pictures and maps half and half; the encoder is fixed.

    pictures: uint8 N x H x W x 3; labels: uint8 N x H x W.
    """

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(labels), (size,), generator=generator).numpy()
        y, x = (torch.randint(0, (labels.shape[1] - crop) // 4 + 1, (2,), generator=generator) * 4).tolist()
        rows, columns = slice(y, y + crop), slice(x, x + crop)
        half = size // 2
        real = torch.cat(
            [
                torch.from_numpy(pictures[index[:half]][:, rows, columns].copy()),
                torch.from_numpy(paint(labels[index[half:]][:, rows, columns])),
            ]
        )
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
        scores = judge.coarse(real.to(device()))
        loss = F.cross_entropy(scores, truth.to(device()))
        return loss, {"accuracy": float((scores.argmax(1).cpu() == truth).float().mean())}

    return loss_of
