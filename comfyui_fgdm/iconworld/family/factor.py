"""A condition factor of the tiny family, of any map variable below any parents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...factors import files as adapters
from ...training import objective
from ...training.attention import AttentionMaps
from ...training.lowrank import LowRank
from .autoencoder import PatchEncoder
from .parts import Base, LossOf, grounded, noised
from .shards import Shard


class Factor(nn.Module):
    """The time-conditioned adapter of the paper on a frozen base, with optional low-rank changes of it.

    Its adapter reads x_t, or with parents what is seen of their latents instead, side by side. blocks: a level of it.
    """

    def __init__(self, base: Base, rank: int = 0, blocks: int = 2, parents: int = 0) -> None:
        super().__init__()
        config = base.unet.config
        self.base = base.requires_grad_(False)
        read = config.latent * max(1, parents)
        self.adapter = adapters.build(
            adapters.AdapterSpec(adapters.AdapterKind.TIME, config.widths, read, config.embedding, blocks)
        )
        self.adapter.requires_grad_(True)
        self.lora = LowRank(dict(base.unet.named_parameters()), rank) if rank else None

    def forward(
        self, x: Tensor, t: Tensor, context: Tensor, store: AttentionMaps | None = None, seen: Tensor | None = None
    ) -> Tensor:
        features = self.adapter(x if seen is None else seen, self.base.unet.embed(t))
        changed = self.lora.weights(dict(self.base.unet.named_parameters())) if self.lora else {}
        return torch.func.functional_call(
            self.base.unet, changed, (x, t, context), {"features": features, "store": store}
        )


def seen(parent: Tensor, t: Tensor, dropped: Tensor, generator: torch.Generator) -> Tensor:
    """What a factor sees of a parent's latent at timesteps t of its own, as sampling will show it.

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


def factor_loss(
    factor: Factor, variable: str, parents: tuple[str, ...], encoder: PatchEncoder, shard: Shard, size: int
) -> LossOf:
    """v-loss on a variable's maps plus grounding; only the adapter (and the low-rank changes) learn.

    The shard holds the latents of the parents, and of the variable its latents or its pictures.
    """

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = shard.draw(size, generator)
        if variable in batch.latents:
            latent = batch.latents[variable]
        else:
            with torch.no_grad():
                latent = encoder(batch.pictures[variable].to(encoder.weight.device)).cpu()
        x, v, t = noised(latent, generator)
        shown = [seen(batch.latents[name], t.cpu(), batch.dropped, generator) for name in parents]
        read = torch.cat(shown, 1).to(x.device) if shown else None
        maps = AttentionMaps()
        out = factor(x, t, factor.base.context(batch.tokens), store=maps, seen=read)
        return grounded(out, v, maps.cross, batch.masks)

    return loss_of
