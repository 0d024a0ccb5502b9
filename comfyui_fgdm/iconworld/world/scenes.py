"""What a world is drawn from, and what a layout says: what stands where. Layouts are made in `varied` and `tidy`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from . import classes as c
from .icons import HELD_OUT_STYLE, TRAIN_STYLES


@dataclass(frozen=True)
class World:
    """What a recipe draws from. things, stuff: COCO label indices; instances: (fewest, most) per scene;
    styles: icon styles used; figures: share of people drawn as figures with joints; indoor: share of rooms; icons: names
    of the icons used (None: all); visible: least share of each thing that is not covered, in training scenes; tidy: few
    sprites, set on the grid of the latents (see `tidy`); people: share of tidy scenes that get a person if they have none."""

    things: tuple[int, ...] = c.CPU_THINGS
    stuff: tuple[int, ...] = c.OUTDOOR_STUFF
    instances: tuple[int, int] = (1, 5)
    styles: tuple[str, ...] = TRAIN_STYLES
    figures: float = 0.35
    indoor: float = 0.0
    split: str = "train"
    icons: tuple[str, ...] | None = None
    visible: float = 0.33
    tidy: bool = False
    people: float = 0.0

    @property
    def classes(self) -> tuple[int, ...]:
        return tuple(sorted(self.things + self.stuff))

    def held_out_style(self) -> World:
        return replace(self, styles=(HELD_OUT_STYLE,), figures=0.0)


@dataclass(frozen=True)
class Instance:
    """One thing. x: centre, base: where its feet are (both shares of the picture), height: share of the picture's
    height, number: which icon of its class (-1: a drawn figure), word: which of its names a caption uses."""

    index: int
    x: float
    base: float
    height: float
    number: int
    flip: bool
    tint: str | None
    word: int
    seed: int


@dataclass(frozen=True)
class Element:
    """A piece of background drawn by code: a tree, mountain or house (label index), at x, base, height."""

    index: int
    x: float
    base: float
    height: float
    seed: int


@dataclass(frozen=True)
class Layout:
    """A scene before it is drawn. Instances are ordered from back to front. tidy: how it is drawn, see `World`."""

    seed: int
    ground: int
    top: int
    horizon: float
    instances: tuple[Instance, ...]
    elements: tuple[Element, ...] = field(default=())
    tidy: bool = False


def held_out(indices) -> bool:
    """Whether a combination of thing classes belongs to the held-out split (about one combination in eight)."""
    value = 0
    for index in sorted({int(index) for index in indices}):
        value = (value * 1000003 + index * 7919 + 12345) & 0xFFFFFFFF
    value ^= value >> 15
    value = (value * 2654435761) & 0xFFFFFFFF
    return len(set(indices)) > 1 and (value >> 16) % 8 == 0


def allowed(indices: list[int], world: World) -> bool:
    """Whether a world's split has scenes of these things."""
    return world.split == "any" or held_out(indices) == (world.split == "held-out") or len(indices) < 2


def choose_things(rng: np.random.Generator, world: World, shares: tuple[float, ...] | None = None) -> list[int]:
    """Label indices of the things of a scene, one for each instance, of a combination that the world's split allows.
    shares: of the scenes of each number of things that the world allows, fewest first (None: all alike)."""
    fewest, most = world.instances
    if shares is None:
        count = int(rng.integers(fewest, most + 1))
    else:
        count = fewest + int(rng.choice(most + 1 - fewest, p=shares))
    for _ in range(200):
        if count >= 2 and rng.random() < 0.2:  # a group: the same class two or three times
            repeats = min(count, int(rng.integers(2, 4)))
            kinds = list(rng.choice(world.things, size=count - repeats + 1, replace=False))
            chosen = [kinds[0]] * repeats + kinds[1:]
        else:
            chosen = list(rng.choice(world.things, size=count, replace=False))
        if allowed(chosen, world):
            return [int(index) for index in chosen]
    raise RuntimeError("no combination of classes fits the split; widen the world's classes")


def overlap(a, b) -> float:
    """Overlap of two boxes (x0, y0, x1, y1) as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height / smaller
