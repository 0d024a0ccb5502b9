"""Training a condition factor: its network, what it sees of its parents, and its loss (equation 8 of the paper)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..factors import files
from ..sampling import schedule
from . import objective
from .attention import AttentionMaps
from .backbone import Backbone
from .distillation import Distillation, distillation
from .lowrank import LowRank
from .scratch import ScratchNetwork

LossOf = Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class Batch:
    """One batch of a data set, on the CPU.

    latent: B x C x h x w, what is learned. parents: by variable, latents of the same shape. prompts: B x tokens
    x width, encoded, with that of the empty prompt where ``dropped`` (bool B) says so. masks: B x tokens x m x m in 0..1,
    the share of each cell that the object covers which a token names; None: not known. texts: the prompts in words, where
    they are known. hint: B x 3 x H x W in 0..1, the picture of the map that an image factor is shown. image: latents of the
    picture, beside those of a map.
    """

    latent: Tensor
    prompts: Tensor
    dropped: Tensor
    parents: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Tensor | None = None
    texts: tuple[str, ...] = ()
    hint: Tensor | None = None
    image: Tensor | None = None


@dataclass(frozen=True)
class Learned:
    """What one batch taught a factor. loss: a scalar with its gradient. figures: its parts, for the log. t: timesteps B. x0:
    the maps that were predicted, B x C x h x w, with their gradient."""

    loss: Tensor
    figures: dict[str, float]
    t: Tensor
    x0: Tensor


@dataclass(frozen=True)
class FactorSettings:
    """What a factor is and how it is trained.

    parents: in the order in which its network reads them. kind, blocks: of the adapter. rank: of low-rank changes of the
    base, 0 for none. width: of a UNet of its own, trained from scratch in place of an adapter (kind and rank then say
    nothing), 0 for an adapter. parent_dropout: share of samples that see nothing (zeros) of a parent, each parent by itself.
    noised_parents: share of samples whose parents are shown at a noise level at or below their own, as in joint sampling.
    grounding: weight of the grounding of naming words in masks, where the data has masks.
    """

    parents: tuple[str, ...] = ()
    kind: files.AdapterKind = files.AdapterKind.TIME
    blocks: int = 2
    rank: int = 0
    width: int = 0
    parent_dropout: float = 0.2
    noised_parents: float = 0.5
    grounding: float = 0.0
    distillation: Distillation = Distillation()

    def __post_init__(self) -> None:
        for name in ("parent_dropout", "noised_parents"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share, 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.grounding < float("inf"):
            raise ValueError(f"grounding must be a weight from 0, got {self.grounding}")


class FactorNetwork(nn.Module):
    """The trained part of a factor: an adapter, and low-rank changes of the frozen base where wanted."""

    def __init__(self, base: Backbone, settings: FactorSettings, start: files.FactorFile | None = None) -> None:
        """start: a file to go on from, of the same settings but for the rank, which is its own. FactorFileError if it is for
        another base."""
        super().__init__()
        facts = base.facts
        read = facts.channels * max(1, len(settings.parents))
        embedding = facts.embedding if settings.kind is files.AdapterKind.TIME else 0
        self.spec = files.AdapterSpec(settings.kind, facts.widths, read, embedding, settings.blocks)
        self.parents = settings.parents
        self.adapter = files.build(self.spec)
        if start is None:
            self.lora = LowRank(base.weights, settings.rank) if settings.rank else None
            return
        found = start.spec
        if found != self.spec:
            raise files.FactorFileError(f"the factor to go on from is {found}, a factor of this base {self.spec}")
        self.adapter.load_state_dict({name: value.float() for name, value in start.adapter.items()})
        self.lora = LowRank.of(base.weights, start.lora) if start.lora else None

    @property
    def weights(self) -> nn.Module:
        """What is written into a factor file, beside the low-rank changes."""
        return self.adapter

    def predict(
        self,
        base: Backbone,
        x: Tensor,
        t: Tensor,
        prompts: Tensor,
        seen: Mapping[str, Tensor] | None = None,
        attention: AttentionMaps | None = None,
    ) -> Tensor:
        """The base's prediction with this factor applied. seen: latents of all parents, each like x."""
        read = torch.cat([seen[name] for name in self.parents], 1) if self.parents and seen is not None else x
        features = self.adapter(read, base.embed(t) if self.spec.emb_channels else None)
        return base.predict(x, t, prompts, features, attention, self.lora.weights(base.weights) if self.lora else None)


Network = FactorNetwork | ScratchNetwork
"""Of a condition factor."""


def network_of(base: Backbone, settings: FactorSettings, start: files.FactorFile | None = None) -> Network:
    """The network of these settings, new or that of a file. FactorFileError if it is for another base."""
    if settings.width:
        return ScratchNetwork(base, settings.width, settings.blocks, settings.parents, start)
    return FactorNetwork(base, settings, start)


def shown_parents(
    parents: Mapping[str, Tensor], t: Tensor, settings: FactorSettings, generator: torch.Generator
) -> dict[str, Tensor]:
    """What a factor sees of its parents' latents at its own timesteps t (B), as sampling will show them.

    Clean but for a little noise (the parent was sampled before, or is given); in ``noised_parents`` of the samples at t, or
    at a lower level (both are sampled together, the parent first); nothing in ``parent_dropout`` of them.
    """
    size = len(t)
    joint = torch.rand(size, generator=generator) < settings.noised_parents
    lower = torch.rand(size, generator=generator) < 0.5
    level = torch.where(lower, (torch.rand(size, generator=generator) * t).long(), t)
    shown = {}
    for name, value in parents.items():
        noise = torch.randn(value.shape, generator=generator)
        little = 0.1 * torch.rand(size, 1, 1, 1, generator=generator)
        seen = torch.where(joint[:, None, None, None], objective.noised(value, noise, level)[0], value + little * noise)
        absent = torch.rand(size, generator=generator) < settings.parent_dropout
        shown[name] = torch.where(absent[:, None, None, None], 0.0, seen)
    return shown


def loss_of_batch(
    network: Network,
    base: Backbone,
    batch: Batch,
    settings: FactorSettings,
    step: int,
    generator: torch.Generator,
    place: torch.device | str = "cpu",
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one batch and its parts as figures, see ``learned``."""
    one = learned(network, base, batch, settings, step, generator, place)
    return one.loss, one.figures


def learned(
    network: Network,
    base: Backbone,
    batch: Batch,
    settings: FactorSettings,
    step: int,
    generator: torch.Generator,
    place: torch.device | str = "cpu",
) -> Learned:
    """What one batch teaches: prediction + grounding + distillation.

    All random numbers come from ``generator``, on the CPU: timesteps, noise, what is shown of parents.
    """
    t = objective.levels(len(batch.latent), generator)
    x, target = objective.drawn(batch.latent, t, base.facts.prediction, generator)
    seen = shown_parents(batch.parents, t, settings, generator)
    x, t, target, prompts = (value.to(place) for value in (x, t, target, batch.prompts))
    seen = {name: value.to(place) for name, value in seen.items()}
    ground = batch.masks is not None and settings.grounding > 0
    distil = settings.distillation.due(step)
    maps = AttentionMaps(own=[] if distil else None) if ground or distil else None
    out = network.predict(base, x, t, prompts, seen, maps)
    loss = F.mse_loss(out.float(), target)
    figures = {"prediction": float(loss.detach())}
    if ground and maps is not None and batch.masks is not None:
        grounded = objective.grounding(maps.cross, batch.masks.to(place))
        loss = loss + settings.grounding * grounded
        figures["grounding"] = float(grounded.detach())
    if distil and maps is not None:
        first = settings.distillation.samples
        teacher = AttentionMaps(own=[])
        with torch.no_grad():
            base.predict(x[:first], t[:first], prompts[:first], attention=teacher)
        drift = distillation(teacher, _first(maps, first), settings.distillation.side)
        loss = loss + settings.distillation.weight * drift
        figures["distillation"] = float(drift.detach())
    velocity = schedule.velocity(x, out.float(), t, base.facts.prediction)
    return Learned(loss, figures, t, schedule.predicted_x0(x, velocity, t))


def _first(maps: AttentionMaps, count: int) -> AttentionMaps:
    return AttentionMaps([one[:count] for one in maps.cross], [one[:count] for one in maps.own or ()])
