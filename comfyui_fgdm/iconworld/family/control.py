"""The image factors of the tiny family: what makes a picture follow a map of any variable."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...factors import files as adapters
from ...factors import image_files
from ...maps import kinds, palettes
from ...training.hints import worn
from ...training.lowrank import LowRank
from .autoencoder import PATCH
from .networks import ControlNet
from .parts import Base, LossOf, noised
from .shards import PICTURE, Shard

READING_WEIGHT = 0.03
_OWN = ("zero_convs", "middle_block_out", "input_hint_block")  # what a Control-LoRA keeps whole


class WholeControl(nn.Module):
    """An image factor as a whole ControlNet on the frozen base. `reader` (training only) names the classes that the hint's
    features show, so that the hint is understood before the zero convolutions open; classes: how many, 0 for none."""

    def __init__(self, base: Base, classes: int = 0) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.control = ControlNet(base.unet.config)
        self.control.start_from(base.unet)
        self.control.requires_grad_(True)
        self.reader = nn.Conv2d(base.unet.config.channels, classes, 1) if classes else None

    def forward(
        self, x: Tensor, hint: Tensor, t: Tensor, context: Tensor, beside: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(v, class scores of the hint at the latent's size)."""
        guided = self.control.input_hint_block(hint)
        out = self.base.unet(x, t, context, control=self.control(x, guided, t, context))
        return out, self.reader(guided) if self.reader else None

    def state(self) -> dict[str, Tensor]:
        """As core's ControlNetLoader reads a ControlNet."""
        return self.control.state_dict()


class LowRankControl(nn.Module):
    """An image factor as a Control-LoRA: low-rank changes of the base's own input half, with zero convolutions and a hint
    block of its own. `first` (frozen): another variable's image factor, so that both can be used at once."""

    def __init__(self, base: Base, first: ControlNet, rank: int) -> None:
        super().__init__()
        self.base, self.first = base.requires_grad_(False), first.requires_grad_(False)
        self.control = ControlNet(base.unet.config)
        self.control.start_from(base.unet)
        self.control.input_hint_block.load_state_dict(first.input_hint_block.state_dict())
        self.control.requires_grad_(False)
        for name in _OWN:
            getattr(self.control, name).requires_grad_(True)
        self.lora = LowRank(dict(self.control.named_parameters()), rank, skip=("time_embed", *_OWN))

    def forward(
        self, x: Tensor, hint: Tensor, t: Tensor, context: Tensor, beside: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """(v, None) under a map picture, and under `beside` of the other variable as well where one is given."""
        guided = self.control.input_hint_block(hint)
        skips, middle = torch.func.functional_call(
            self.control, self.lora.weights(dict(self.control.named_parameters())), (x, guided, t, context)
        )
        if beside is not None:
            with torch.no_grad():
                others, other = self.first(x, self.first.input_hint_block(beside), t, context)
            skips, middle = [a + b for a, b in zip(skips, others, strict=True)], middle + other
        return self.base.unet(x, t, context, control=(skips, middle)), None

    def state(self) -> dict[str, Tensor]:
        """As core's ControlNetLoader reads a Control-LoRA: pairs `<layer>.up`, `<layer>.down`, whole weights, a mark."""
        own = {key: value for key, value in self.control.state_dict().items() if key.startswith(_OWN)}
        return image_files.state(own, self.lora.pairs())


def control_from(state: Mapping[str, Tensor], base: Base) -> ControlNet:
    """The ControlNet that an image factor's file (`state`) stands for on its base."""
    control = ControlNet(base.unet.config)
    if "lora_controlnet" not in state:
        control.load_state_dict({key: value.float() for key, value in state.items()})
        return control.eval()
    control.start_from(base.unet)
    whole = {key: value.float() for key, value in state.items() if key.startswith(_OWN)}
    for key, weight in control.state_dict().items():
        layer = key.removesuffix(".weight")
        if f"{layer}.up" in state:
            pair = adapters.LoraPair(state[f"{layer}.down"], state[f"{layer}.up"])
            whole[key] = weight + adapters.lora_delta(pair, weight.shape)
    control.load_state_dict(whole, strict=False)
    return control.eval()


def palette_of(variable: str) -> palettes.Palette | None:
    """The palette that a variable's maps are painted in, None for one without classes."""
    name = kinds.get(variable).palette
    return None if name is None else palettes.get(name)


def control_loss(
    model: WholeControl | LowRankControl, variable: str, shard: Shard, size: int, beside: str | None = None
) -> LossOf:
    """v-loss on pictures with a variable's true map, worn, as the hint, plus the reading of the hint where there is a reader.
    beside: a variable whose own image factor is shown its map as well, on every other step.

    Noise is drawn towards the high levels, where the layout is decided, and captions are dropped more often than in the
    base's training, so that the map is followed for what it shows and not only as a place for the caption's words.
    """
    palette = palette_of(variable)

    def loss_of(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = shard.draw(size, generator, dropout=0.3)
        x, v, t = noised(batch.latents[PICTURE], generator, late=True)
        clean = batch.pictures[variable]
        hint, other = worn(clean, generator, palette).to(x.device), None
        if beside is not None and step % 2:
            other = worn(batch.pictures[beside], generator, palette_of(beside)).to(x.device)
        out, read = model(x, hint, t, model.base.context(batch.tokens), other)
        mse = F.mse_loss(out.float(), v)
        if read is None or palette is None:
            return mse, {}
        # one pixel of each cell, another every step
        y, column = torch.randint(PATCH, (2,), generator=generator).tolist()
        labels = palettes.decode(clean[:, :, y::PATCH, column::PATCH].permute(0, 2, 3, 1), palette)
        named = F.cross_entropy(read.float(), labels.to(x.device))
        return mse + READING_WEIGHT * named, {"v": float(mse.detach()), "read": float(named.detach())}

    return loss_of
