"""The module and the loss of every part of a recipe, on the data in a folder; and how trained parts are read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from ...training import loop
from . import parts
from .autoencoder import Autoencoder, load_encoder
from .control import LowRankControl, WholeControl, control_from, control_loss, palette_of
from .data import paint
from .factor import Factor, factor_loss
from .judge import Judge
from .networks import ControlNet
from .recipes import MapVariable, Recipe
from .shards import PICTURE, Pictures, read_shards


def trained_base(folder: Path, recipe: Recipe) -> parts.Base:
    return loop.load_ema(parts.Base(recipe.unet), folder / "base.pt")


def factor(base: parts.Base, one: MapVariable) -> Factor:
    """The untrained factor of a variable."""
    return Factor(base, one.rank, one.blocks, len(one.parents))


def control(base: parts.Base, one: MapVariable, first: ControlNet | None = None) -> WholeControl | LowRankControl:
    """The untrained image factor of a variable; first: the image factor that a Control-LoRA is trained beside."""
    if one.control_rank:
        return LowRankControl(base, first or ControlNet(base.unet.config), one.control_rank)
    palette = palette_of(one.name)
    return WholeControl(base, len(palette) if palette else 0)


def drawn_maps(folder: Path, recipe: Recipe, labels: np.ndarray) -> list:
    """What the decoder learns beside pictures: for each kind of map a function from numbers to levels."""
    painted = {"segmentation": lambda index: paint(labels[index])}
    names = dict.fromkeys(name for name in recipe.fitted if name != PICTURE)
    return [painted[name] if name in painted else Pictures.read([folder / f"pool-{name}.npz"]).levels for name in names]


def build(part: str, folder: Path, recipe: Recipe) -> tuple[nn.Module, parts.LossOf]:
    """The module of a part and its loss."""
    budget, shards = recipe.budgets[part], folder / "shards"
    if part in ("autoencoder", "judge", "selector"):
        with np.load(folder / "pool.npz") as arrays:
            pictures, labels = arrays["pictures"], arrays["labels"]
        if part == "autoencoder":
            model = Autoencoder()
            model.encoder = load_encoder(folder / "encoder.pt")
            return model, parts.decoder_loss(model, pictures, drawn_maps(folder, recipe, labels), budget.batch)
        judge = Judge(len(recipe.world.classes))
        return judge, parts.judge_loss(judge, recipe.world.classes, pictures, labels, budget.batch)
    if part == "base":
        base = parts.Base(recipe.unet)
        return base, parts.base_loss(base, read_shards(shards, [PICTURE]), budget.batch, recipe.late)
    one = recipe.variable(part)
    if one is None:
        raise ValueError(f"the recipe {recipe.name} has no part {part!r}; it has {', '.join(recipe.parts)}")
    base = trained_base(folder, recipe)
    if part == one.name:
        known = one.name in recipe.latents
        shard = read_shards(shards, [*one.parents, *([one.name] if known else [])], [] if known else [one.name])
        model = factor(base, one)
        encoder = load_encoder(folder / "encoder.pt").to(loop.device())
        return model, factor_loss(model, one.name, one.parents, encoder, shard, budget.batch)
    if not one.control_rank:
        whole = control(base, one)
        return whole, control_loss(whole, one.name, read_shards(shards, [PICTURE], [one.name]), budget.batch)
    other = next(o for o in recipe.maps if o.name == one.beside)
    trained = loop.load_ema(control(trained_base(folder, recipe), other), folder / f"{other.control}.pt")
    first = trained.control if isinstance(trained, WholeControl) else control_from(trained.state(), base)
    shard = read_shards(shards, [PICTURE], [one.name, one.beside])
    low = control(base, one, first)
    return low, control_loss(low, one.name, shard, budget.batch, one.beside)
