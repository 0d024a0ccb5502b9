"""Layouts of the icon world: what stands where. Deterministic by seed; independent of the drawing size."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from . import classes as c
from .icons import HELD_OUT_STYLE, TRAIN_STYLES, Icon

MAX_TRIES = 12


@dataclass(frozen=True)
class World:
    """What a recipe draws from. things, stuff: COCO label indices; instances: (fewest, most) per scene;
    styles: icon styles used; figures: share of people drawn as figures with joints; indoor: share of rooms."""

    things: tuple[int, ...] = c.CPU_THINGS
    stuff: tuple[int, ...] = c.OUTDOOR_STUFF
    instances: tuple[int, int] = (1, 5)
    styles: tuple[str, ...] = TRAIN_STYLES
    figures: float = 0.35
    indoor: float = 0.0
    split: str = "train"

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
    """A scene before it is drawn. Instances are ordered from back to front."""

    seed: int
    ground: int
    top: int
    horizon: float
    instances: tuple[Instance, ...]
    elements: tuple[Element, ...] = field(default=())


def held_out(indices) -> bool:
    """Whether a combination of thing classes belongs to the held-out split (about one combination in eight)."""
    value = 0
    for index in sorted({int(index) for index in indices}):
        value = (value * 1000003 + index * 7919 + 12345) & 0xFFFFFFFF
    value ^= value >> 15
    value = (value * 2654435761) & 0xFFFFFFFF
    return len(set(indices)) > 1 and (value >> 16) % 8 == 0


def _choose_things(rng: np.random.Generator, world: World) -> list[int]:
    count = int(rng.integers(world.instances[0], world.instances[1] + 1))
    for _ in range(200):
        if count >= 2 and rng.random() < 0.2:  # a group: the same class two or three times
            repeats = min(count, int(rng.integers(2, 4)))
            kinds = list(rng.choice(world.things, size=count - repeats + 1, replace=False))
            chosen = [kinds[0]] * repeats + kinds[1:]
        else:
            chosen = list(rng.choice(world.things, size=count, replace=False))
        if world.split == "any" or held_out(chosen) == (world.split == "held-out") or count < 2:
            return [int(index) for index in chosen]
    raise RuntimeError("no combination of classes fits the split; widen the world's classes")


def _overlap(a, b) -> float:
    """Overlap of two boxes (x0, y0, x1, y1) as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height / smaller


def _place(rng, thing, horizon, aspect, crowd):
    """(x, base, height) of a thing: perspective shrinks what stands near the horizon."""
    height = thing.size * rng.uniform(0.85, 1.15) * crowd
    if thing.place is c.Place.SKY and rng.random() < 0.8:
        base = rng.uniform(0.25, max(0.3, horizon))
        height *= 0.95
    else:
        depth = rng.random()
        base = horizon + 0.10 + (0.97 - horizon - 0.10) * depth
        height *= 0.72 + 0.38 * depth
    width = height * aspect
    margin = min(width / 2, 0.45)
    base = max(base, height * 0.9)
    return rng.uniform(margin, 1 - margin), min(base, 0.99), height


def _background(rng, world):
    if rng.random() < world.indoor:
        return c.FLOOR, c.WALL, rng.uniform(0.5, 0.7), ()
    grounds = [g for g in c.GROUNDS if g in world.stuff]
    ground = int(rng.choice(grounds))
    horizon = rng.uniform(0.32, 0.58)
    elements = []
    if ground != c.SEA and c.MOUNTAIN in world.stuff and rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 4))):
            elements.append(
                Element(
                    c.MOUNTAIN, rng.uniform(0, 1), horizon + 0.01, rng.uniform(0.15, 0.35), int(rng.integers(2**31))
                )
            )
    if ground != c.SEA and c.HOUSE in world.stuff and rng.random() < 0.22:
        elements.append(
            Element(
                c.HOUSE,
                rng.uniform(0.15, 0.85),
                horizon + rng.uniform(0.04, 0.12),
                rng.uniform(0.28, 0.42),
                int(rng.integers(2**31)),
            )
        )
    if ground != c.SEA and c.TREE in world.stuff and rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            elements.append(
                Element(
                    c.TREE,
                    rng.uniform(0.05, 0.95),
                    horizon + rng.uniform(0.04, 0.2),
                    rng.uniform(0.35, 0.62),
                    int(rng.integers(2**31)),
                )
            )
    return ground, c.SKY, horizon, tuple(sorted(elements, key=lambda e: (e.index != c.MOUNTAIN, e.base)))


def sample_layout(seed: int, world: World, bank: dict[int, list[Icon]]) -> Layout:
    """A random layout; the same seed, world and bank give the same layout."""
    rng = np.random.default_rng(seed)
    ground, top, horizon, elements = _background(rng, world)
    indices = _choose_things(rng, world)
    crowd = {1: 1.4, 2: 1.25, 3: 1.12, 4: 1.0}.get(len(indices), 0.9)
    boxes: list[tuple[float, float, float, float]] = []
    instances: list[Instance] = []
    words = {
        index: 0 if rng.random() < 0.65 else int(rng.integers(len(c.THING_BY_INDEX[index].words)))
        for index in set(indices)
    }
    for index in indices:
        thing = c.THING_BY_INDEX[index]
        numbers = [n for n, icon in enumerate(bank[index]) if icon.style in world.styles]
        figure = index == 0 and words[index] == 0 and rng.random() < world.figures
        number = -1 if figure else int(rng.choice(numbers))
        shape = (112, 50) if figure else bank[index][number].rgba.shape
        aspect = shape[1] / shape[0]
        best = (math.inf, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0, 0.0))  # overlap, x, base, height, box
        fitted = thing if aspect < 1.3 else replace(thing, size=thing.size / aspect**0.4)
        for _ in range(MAX_TRIES):
            x, base, height = _place(rng, fitted, horizon, aspect, crowd)
            box = (x - height * aspect / 2, base - height, x + height * aspect / 2, base)
            worst = max((_overlap(box, other) for other in boxes), default=0.0)
            if worst < best[0]:
                best = (worst, x, base, height, box)
            if worst < 0.18:
                break
        _, x, base, height, box = best
        boxes.append(box)
        colour = str(rng.choice(list(c.TINTS))) if thing.tint and number >= 0 and rng.random() < 0.45 else None
        instances.append(
            Instance(
                index, x, base, height, number, bool(rng.random() < 0.5), colour, words[index], int(rng.integers(2**31))
            )
        )
    instances.sort(key=lambda i: i.base)
    return Layout(seed, ground, top, horizon, tuple(instances), elements)
