"""Layouts of the varied world, in which every size and place occurs. Deterministic by seed; independent of the drawing size."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from . import classes as c
from .icons import Icon
from .scenes import Element, Instance, Layout, World, choose_things, overlap

MAX_TRIES = 12


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
    indices = choose_things(rng, world)
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
            worst = max((overlap(box, other) for other in boxes), default=0.0)
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
