"""The second map variable of the tiny family: a depth factor below the segmentation, and an image factor that reads depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...factors import files as adapters
from ...maps import depth as depth_maps
from ...maps import palettes
from ...training import objective
from ...training.attention import AttentionMaps
from ...training.lowrank import LowRank
from .autoencoder import PatchEncoder
from .data import Batch, Shard, draw_batch
from .networks import ControlNet
from .parts import Base, Factor, LossOf, blurred, grounded, noised, noisy, worn

BLOCKS = 1  # of the adapter, a level
_OWN = ("zero_convs", "middle_block_out", "input_hint_block")  # what a Control-LoRA keeps whole


def pictures(batch: Batch) -> Tensor:
    """Depth pictures B x 3 x S x S in 0..1, near is bright."""
    return depth_maps.draw(batch.near).permute(0, 3, 1, 2)


def factor(base: Base, rank: int) -> Factor:
    """An untrained depth factor; its adapter reads the latent of the segmentation map."""
    return Factor(base, rank, BLOCKS)


def seen(parent: Tensor, t: Tensor, dropped: Tensor, generator: torch.Generator) -> Tensor:
    """What the depth factor sees of its parent's latent at timesteps t of its own, as sampling will show it.

    Half of the batch as it is, with a little noise (the parent was sampled before, or is given); a quarter at the noise
    level t, a quarter at a lower one (both are sampled together, the parent first). Nothing at all (zeros) for half of
    those whose caption was dropped and for a twentieth of the others, for guidance over the condition.
    """
    kind = torch.randint(4, (len(parent),), generator=generator)
    level = torch.where(kind == 2, t, (torch.rand(len(parent), generator=generator) * t).long())
    noise = torch.randn(parent.shape, generator=generator)
    little = 0.1 * torch.rand(len(parent), 1, 1, 1, generator=generator)
    result = torch.where(
        (kind < 2)[:, None, None, None], parent + little * noise, objective.noised(parent, noise, level)[0]
    )
    absent = torch.rand(len(parent), generator=generator) < torch.where(dropped, 0.5, 0.05)
    return torch.where(absent[:, None, None, None], 0.0, result)


def factor_loss(model: Factor, encoder: PatchEncoder, shard: Shard, size: int) -> LossOf:
    """v-loss on depth maps plus grounding; only the adapter (and the low-rank changes) learn."""

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(shard, "map", size, generator)
        with torch.no_grad():
            latent = encoder(pictures(batch).to(encoder.weight.device)).cpu()
        x, v, t = noised(latent, generator)
        parent = seen(batch.latent, t.cpu(), batch.dropped, generator).to(x.device)
        maps = AttentionMaps()
        out = model(x, t, model.base.context(batch.tokens), store=maps, seen=parent)
        return grounded(out, v, maps.cross, batch.masks)

    return loss_of


class Image(nn.Module):
    """The depth image factor as a Control-LoRA: low-rank changes of the base's own input half, with zero convolutions and a
    hint block of its own. `first` (frozen) is the segmentation's image factor, so that both can be used at once."""

    def __init__(self, base: Base, first: ControlNet, rank: int) -> None:
        super().__init__()
        self.base, self.first = base.requires_grad_(False), first.requires_grad_(False)
        self.control = ControlNet(base.unet.config)
        self.control.start_from(base.unet)
        self.control.input_hint_block.load_state_dict(first.input_hint_block.state_dict())
        self.control.requires_grad_(False)
        for name in _OWN:
            getattr(self.control, name).requires_grad_(True)
        self.lora = LowRank(self.control, rank, skip=("time_embed", *_OWN))

    def forward(self, x: Tensor, hint: Tensor, t: Tensor, context: Tensor, first_hint: Tensor | None = None) -> Tensor:
        """v under a depth picture, and a segmentation map as well where one is given."""
        guided = self.control.input_hint_block(hint)
        skips, middle = torch.func.functional_call(
            self.control, self.lora.weights(self.control), (x, guided, t, context)
        )
        if first_hint is not None:
            with torch.no_grad():
                others, other = self.first(x, self.first.input_hint_block(first_hint), t, context)
            skips, middle = [a + b for a, b in zip(skips, others, strict=True)], middle + other
        return self.base.unet(x, t, context, control=(skips, middle))

    def state(self) -> dict[str, Tensor]:
        """As core's ControlNetLoader reads a Control-LoRA: pairs `<layer>.up`, `<layer>.down`, whole weights, a mark."""
        state = {"lora_controlnet": torch.zeros(0)}
        for key, (down, up) in self.lora.pairs().items():
            layer = key.removesuffix(".weight")
            state[f"{layer}.up"], state[f"{layer}.down"] = up, down
        whole = self.control.state_dict()
        return state | {key: value for key, value in whole.items() if key.startswith(_OWN)}


def control_from(state: dict[str, Tensor], base: Base) -> ControlNet:
    """The ControlNet that a Control-LoRA file (`Image.state`) stands for on its base."""
    control = ControlNet(base.unet.config)
    control.start_from(base.unet)
    whole = {key: value.float() for key, value in state.items() if key.startswith(_OWN)}
    for key, weight in control.state_dict().items():
        layer = key.removesuffix(".weight")
        if f"{layer}.up" in state:
            pair = adapters.LoraPair(state[f"{layer}.down"], state[f"{layer}.up"])
            whole[key] = weight + adapters.lora_delta(pair, weight.shape)
    control.load_state_dict(whole, strict=False)
    return control.eval()


def image_loss(model: Image, shard: Shard, size: int) -> LossOf:
    """v-loss on pictures under the true depth, a third as it is and the rest blurred and noisy; on every other step the true
    segmentation map is shown to its own image factor as well."""

    def loss_of(step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(shard, "image", size, generator, dropout=0.3)
        x, v, t = noised(batch.latent, generator, late=True)
        clean = pictures(batch)
        soft = noisy(blurred(clean), generator)
        hint = torch.where(torch.randint(3, (len(clean), 1, 1, 1), generator=generator) == 0, clean, soft)
        first_hint = None
        if step % 2:
            first_hint = worn(palettes.encode(batch.labels).permute(0, 3, 1, 2), generator).to(x.device)
        context = model.base.context(batch.tokens)
        mse = F.mse_loss(model(x, hint.to(x.device), t, context, first_hint), v)
        return mse, {}

    return loss_of
