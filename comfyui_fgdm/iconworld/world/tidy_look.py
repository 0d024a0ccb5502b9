"""How the tidy world looks: skies, grounds of tiles on the grid of the latents, and houses, trees and mountains as sprites."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from . import classes as c
from .canvas import Canvas, stuff_entity
from .icons import silhouette
from .scenes import Layout

_FINE = 4
_SKIES = (((98, 176, 242), (214, 238, 252)), ((96, 120, 214), (250, 206, 178)))  # by day, in the evening
_GROUNDS = {
    c.GRASS: ((104, 186, 84), (70, 148, 66)),
    c.SEA: ((58, 138, 214), (150, 204, 244)),
    c.SAND: ((240, 214, 156), (214, 178, 116)),
    c.SNOW: ((242, 247, 252), (206, 222, 240)),
    c.ROAD: ((122, 124, 132), (240, 232, 170)),
}
"""Colour of each ground, and of the marks on it."""


def _sprite(aspect: float, paint: Callable[[ImageDraw.ImageDraw, float], None], height: int = 112) -> np.ndarray:
    """rgba uint8 H x W x 4 of what `paint(pen, unit)` draws; unit: pixels of the sprite's height."""
    unit = height * _FINE
    canvas = Image.new("RGBA", (round(unit * aspect), unit), (0, 0, 0, 0))
    paint(ImageDraw.Draw(canvas), unit)
    return np.asarray(canvas.resize((round(height * aspect), height), Image.Resampling.BOX))


def _round_tree(pen: ImageDraw.ImageDraw, u: float) -> None:
    pen.rectangle([0.31 * u, 0.5 * u, 0.41 * u, u], fill=(122, 82, 52))
    for x, y, r, colour in (
        (0.2, 0.42, 0.19, (52, 132, 62)), (0.52, 0.42, 0.19, (52, 132, 62)), (0.36, 0.24, 0.22, (70, 156, 74)),
        (0.36, 0.46, 0.2, (60, 144, 68)),
    ):  # fmt: skip
        pen.ellipse([(x - r) * u, (y - r) * u, (x + r) * u, (y + r) * u], fill=colour)


def _pine(pen: ImageDraw.ImageDraw, u: float) -> None:
    pen.rectangle([0.25 * u, 0.8 * u, 0.33 * u, u], fill=(110, 74, 48))
    for top, bottom, half, colour in (
        (0.42, 0.86, 0.28, (28, 92, 66)), (0.2, 0.6, 0.22, (36, 108, 76)), (0.02, 0.36, 0.16, (46, 124, 86)),
    ):  # fmt: skip
        pen.polygon(
            [((0.29 - half) * u, bottom * u), (0.29 * u, top * u), ((0.29 + half) * u, bottom * u)], fill=colour
        )


def _house(wall: tuple[int, int, int], roof: tuple[int, int, int]) -> Callable[[ImageDraw.ImageDraw, float], None]:
    def paint(pen: ImageDraw.ImageDraw, u: float) -> None:
        pen.rectangle([0.12 * u, 0.42 * u, 1.05 * u, u], fill=wall)
        pen.polygon([(0, 0.46 * u), (0.58 * u, 0), (1.17 * u, 0.46 * u)], fill=roof)
        pen.rectangle([0.49 * u, 0.64 * u, 0.68 * u, u], fill=(112, 72, 48))
        for left in (0.22, 0.78):
            pen.rectangle([left * u, 0.56 * u, (left + 0.18) * u, 0.76 * u], fill=(150, 210, 244))

    return paint


def _mountain(pen: ImageDraw.ImageDraw, u: float) -> None:
    pen.polygon([(0, u), (0.95 * u, 0), (2 * u, u)], fill=(124, 126, 150))
    pen.polygon([(0.95 * u, 0), (2 * u, u), (1.25 * u, u), (1.1 * u, 0.4 * u)], fill=(104, 106, 132))
    pen.polygon([(0.665 * u, 0.3 * u), (0.95 * u, 0), (1.265 * u, 0.3 * u), (1.1 * u, 0.26 * u), (0.93 * u, 0.36 * u), (0.8 * u, 0.26 * u)], fill=(246, 249, 253))  # fmt: skip


def _cloud(pen: ImageDraw.ImageDraw, u: float) -> None:
    for x, y, r in ((0.5, 0.62, 0.36), (1.0, 0.42, 0.42), (1.5, 0.62, 0.36)):
        pen.ellipse([(x - r) * u, (y - r) * u, (x + r) * u, (y + r) * u], fill=(252, 253, 255))
    pen.rounded_rectangle([0.16 * u, 0.58 * u, 1.84 * u, 0.98 * u], radius=0.2 * u, fill=(252, 253, 255))


@cache
def element(index: int, kind: int) -> np.ndarray:
    """rgba uint8 of a piece of background; kind: two trees, two houses, one mountain."""
    if index == c.TREE:
        return _sprite(0.72, _round_tree) if kind == 0 else _sprite(0.58, _pine)
    if index == c.HOUSE:
        colours = ((248, 226, 186), (196, 74, 60)), ((222, 230, 240), (84, 98, 134))
        return _sprite(1.17, _house(*colours[kind]))
    return _sprite(2.0, _mountain)


@cache
def _ground(index: int, size: int) -> np.ndarray:
    """float32 size x size x 3: the ground all over the picture, of tiles of 2 x 1 cells, a little darker towards the viewer."""
    fill, mark = (np.array(colour, np.float32) for colour in _GROUNDS[index])
    cell = size // 16
    tile = Image.new("L", (2 * cell * _FINE, cell * _FINE), 0)
    pen, u = ImageDraw.Draw(tile), cell * _FINE
    if index == c.GRASS:
        for x in (0.35, 1.35):
            pen.line([(x * u, 0.75 * u), ((x - 0.15) * u, 0.3 * u)], fill=170, width=u // 8)
            pen.line([(x * u, 0.75 * u), ((x + 0.15) * u, 0.3 * u)], fill=170, width=u // 8)
    elif index == c.SEA:
        for x in (0.0, 1.0):
            pen.arc([x * u, 0.25 * u, (x + 1) * u, 1.05 * u], 200, 340, fill=200, width=u // 7)
    elif index in (c.SAND, c.SNOW):
        for x, y in ((0.3, 0.3), (0.8, 0.7), (1.3, 0.25), (1.75, 0.6)):
            pen.ellipse([x * u, y * u, (x + 0.16) * u, (y + 0.16) * u], fill=190)
    share = np.asarray(tile.resize((2 * cell, cell), Image.Resampling.BOX)).astype(np.float32)[..., None] / 255
    pattern = np.tile(fill * (1 - share) + mark * share, (16, 8, 1))
    if index == c.ROAD:
        pattern[12 * cell + cell // 4 : 12 * cell + cell // 4 + cell // 2].reshape(cell // 2, 4, 4 * cell, 3)[
            :, :, : 2 * cell
        ] = mark
    return pattern * np.linspace(1.06, 0.92, 16).repeat(cell).astype(np.float32)[:, None, None]


@cache
def _sky(kind: int, size: int) -> np.ndarray:
    """float32 size x size x 3, by the row alone, so that it does not depend on where the horizon is."""
    high, low = (np.array(colour, np.float32) for colour in _SKIES[kind])
    ramp = np.clip(np.arange(size) / (size / 2), 0, 1).astype(np.float32)[:, None, None]
    return np.broadcast_to((1 - ramp) * high + ramp * low, (size, size, 3))


def background(layout: Layout, size: int) -> Canvas:
    """The canvas of a tidy layout before its things: sky with clouds, ground, mountains, houses, trees."""
    rng = np.random.default_rng(layout.seed + 1)
    horizon, cell = round(layout.horizon * size), size // 16
    image = _sky(int(rng.random() < 0.2), size).copy()
    labels = np.full((size, size), layout.top, np.uint8)
    entities = np.full((size, size), stuff_entity(layout.top), np.uint8)
    canvas = Canvas(image, labels, entities)
    cloud = _sprite(2.0, _cloud, 56)
    for _ in range(int(rng.integers(0, 3))):
        left, top = int(rng.integers(0, 13)) * cell, int(rng.integers(0, 3)) * cell
        canvas.paste(cloud, silhouette(cloud), (left, top, 4 * cell, 2 * cell), layout.top, stuff_entity(layout.top))
    image[horizon:] = _ground(layout.ground, size)[horizon:]
    labels[horizon:], entities[horizon:] = layout.ground, stuff_entity(layout.ground)
    for piece in layout.elements:
        rgba = element(piece.index, piece.seed)
        height = round(piece.height * size)
        width = round(height * rgba.shape[1] / rgba.shape[0])
        left = round((piece.x * size - width / 2) / cell) * cell
        box = (left, round(piece.base * size) - height, width, height)
        canvas.paste(rgba, silhouette(rgba), box, piece.index, stuff_entity(piece.index))
    return canvas
