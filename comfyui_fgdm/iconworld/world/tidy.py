"""Layouts of the tidy world: a few sprites of fixed sizes, set on the grid of the latents, so that their patches repeat.

Left edges, feet and the horizon lie at multiples of a cell, a sixteenth of the picture (8 of 128 pixels); things are 4, 6,
8 or 10 cells high, the larger size where they stand near. A small network learns such a world with far fewer samples
than one in which every size and place occurs.
"""

from __future__ import annotations

import math

import numpy as np

from . import classes as c
from . import people
from .icons import Icon
from .scenes import Element, Instance, Layout, World, allowed, choose_things, overlap

CELLS = 16  # across the picture
NEAR = 13  # feet at this row of cells or below it: the larger size
TRIES = 60
ENOUGH = 0.10  # overlap that is accepted at once, as a share of the smaller box

HEIGHTS = {
    "person": (8, 10), "bicycle": (4, 6), "car": (4, 6), "airplane": (4, 6), "bus": (6, 8), "truck": (4, 6),
    "boat": (6, 8), "bird": (4, 6), "cat": (4, 6), "dog": (4, 6), "horse": (6, 8), "sheep": (4, 6), "elephant": (6, 8),
    "zebra": (6, 8), "giraffe": (8, 10), "umbrella": (6, 8), "kite": (4, 6), "banana": (4, 6), "pizza": (4, 6),
    "chair": (4, 6),
}  # fmt: skip
"""(far, near) in cells; classes that are not named are 4 and 6 cells high."""

TINTS = ("red", "yellow", "green", "blue")
COUNTS = (0.3, 0.35, 0.25, 0.1)
"""Shares of scenes of one, two, three and four things."""


def _elements(rng: np.random.Generator, world: World, ground: int, horizon: int) -> tuple[Element, ...]:
    """Mountains on the horizon; houses and trees on it or one cell before it."""
    if ground == c.SEA:
        return ()
    elements = []

    def add(index: int, kinds: int, height: int, before: int) -> None:
        centre = int(rng.integers(1, CELLS))
        elements.append(
            Element(index, centre / CELLS, (horizon + before) / CELLS, height / CELLS, int(rng.integers(kinds)))
        )

    if c.MOUNTAIN in world.stuff and rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 3))):
            add(c.MOUNTAIN, 1, 4, 0)
    if c.HOUSE in world.stuff and rng.random() < 0.22:
        add(c.HOUSE, 2, 6, 1)
    if c.TREE in world.stuff and rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 3))):
            add(c.TREE, 2, 8, 1)
    return tuple(sorted(elements, key=lambda e: (e.index != c.MOUNTAIN, e.base)))


def _place(
    rng: np.random.Generator, thing: c.Thing, heights: tuple[int, int], horizon: int, aspect: float, count: int
) -> tuple[float, int, int]:
    """(x of the centre as a share, row of the feet, height) in cells of a thing whose left edge is on the grid."""
    if thing.place is c.Place.SKY:
        height = heights[1] if count < 3 else heights[0]
        base = int(rng.integers(height, max(height, horizon) + 1))
    else:
        base = int(rng.integers(horizon + 2, CELLS))
        height = heights[1] if base >= NEAR and count < 4 else heights[0]
    width = round(height * 8 * aspect) / 8
    left = int(rng.integers(0, max(0, math.floor(CELLS - width)) + 1))
    return (left + width / 2) / CELLS, base, height


def sample_layout(seed: int, world: World, bank: dict[int, list[Icon]]) -> Layout:
    """A random layout; the same seed, world and bank give the same layout."""
    rng = np.random.default_rng(seed)
    ground = int(rng.choice([g for g in c.GROUNDS if g in world.stuff]))
    horizon = int(rng.integers(6, 9))
    elements = _elements(rng, world, ground, horizon)
    indices = choose_things(rng, world, COUNTS)
    if rng.random() < world.people and c.PERSON not in indices and allowed([c.PERSON, *indices[1:]], world):
        indices[0] = c.PERSON
    words = {i: 0 if rng.random() < 0.65 else int(rng.integers(len(c.THING_BY_INDEX[i].words))) for i in set(indices)}
    boxes: list[tuple[float, float, float, float]] = []
    instances: list[Instance] = []
    for index in indices:
        thing = c.THING_BY_INDEX[index]
        figure = index == c.PERSON and rng.random() < world.figures
        if figure:
            look = int(rng.integers(people.LOOKS // 2)) * 2
            look += (0, 0, 1)[words[index]] if words[index] else int(rng.integers(2))
            number, shape = -1, people.draw(look)[0].shape
        else:
            look = 0
            number = int(rng.choice([n for n, icon in enumerate(bank[index]) if _used(icon, world)]))
            shape = bank[index][number].rgba.shape
        aspect = shape[1] / shape[0]
        best = (math.inf, 0.0, 0, 0, (0.0, 0.0, 0.0, 0.0))
        for _ in range(TRIES):
            x, base, height = _place(rng, thing, HEIGHTS.get(thing.name, (4, 6)), horizon, aspect, len(indices))
            half = height * aspect / 2 / CELLS
            box = (x - half, (base - height) / CELLS, x + half, base / CELLS)
            worst = max((overlap(box, other) for other in boxes), default=0.0)
            if worst < best[0]:
                best = (worst, x, base, height, box)
            if worst <= ENOUGH:
                break
        _, x, base, height, box = best
        boxes.append(box)
        tint = str(rng.choice(TINTS)) if thing.tint and not figure and rng.random() < 0.4 else None
        instances.append(Instance(index, x, base / CELLS, height / CELLS, number, False, tint, words[index], look))
    instances.sort(key=lambda i: i.base)
    return Layout(seed, ground, c.SKY, horizon / CELLS, tuple(instances), elements, tidy=True)


def _used(icon: Icon, world: World) -> bool:
    return icon.style in world.styles and (world.icons is None or icon.name in world.icons)
