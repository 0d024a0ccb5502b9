"""What depth maps and sketches have in common: levels 0 to 255 in place of classes, lifted by outline or by likeness, and drawn.

They are edited as segmentation maps are, in a ``Scene`` whose labels are levels; see ``depth`` and ``sketch`` for their tables.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..maps.cleaning import pieces
from . import keys, shapes
from .keys import Key
from .recipe import Form, Table
from .regions import Gone, close
from .scene import NOTHING, Scene, from_shape
from .segmentation import TABLE as SEGMENTATION
from .segmentation import delete, duplicate, order, transform
from .shapes import Shape

MOST = 255
"""The highest level: nearest, or a full line."""
LIKE = 10
"""How far the level of a pixel may be from that of the point, for the region at a point."""

LEVEL = keys.Kind(lambda value, palette: int(np.floor(keys.number(0, MOST)(value, None) + 0.5)))
CHANGE = keys.Kind(lambda value, palette: int(np.floor(keys.number(-MOST, MOST)(value, None) + 0.5)))


def lift(scene: Scene, id: str, at=None, within=None, tolerance: int = LIKE, fill: int | None = None) -> None:
    """Make a layer of what an outline holds, or of the connected region of levels like that at the point, and close the hole: with
    a level, or each pixel with the nearest one around."""
    take(scene, id, _outlined(scene, within) if within is not None else like(scene, at, tolerance), fill)


def take(scene: Scene, id: str, shape: Shape, fill: int | None) -> None:
    """Make a layer of a part of the ground and close the hole, as ``lift`` does."""
    layer = from_shape(id, shape, scene.ground)
    close(scene.ground, shape, fill, scene.usable, 0)
    scene.add(layer)


def _outlined(scene: Scene, within) -> Shape:
    shape = shapes.polygon(within, scene.size)
    if not shape.mask.size:
        raise Gone("the outline is empty")
    return shape


def like(scene: Scene, at, tolerance: int, least: int = 0) -> Shape:
    """The connected region of levels of at least ``least`` that differ by at most ``tolerance`` from that at the point."""
    (width, height), x, y = scene.size, int(np.floor(at[0] + 0.5)), int(np.floor(at[1] + 0.5))
    if not (0 <= x < width and 0 <= y < height):
        raise Gone("the point is outside of the map")
    ground = scene.ground
    numbers, _ = pieces((np.abs(ground - ground[y, x]) <= tolerance) & (ground >= least))
    return shapes.tight(0, 0, numbers == numbers[y, x])


def shift(scene: Scene, by: int, target: str | None = None) -> None:
    """Raise or lower the levels of a layer, or of the whole map as it is by then; they stay within 0..255."""
    if target is not None:
        place = scene.find(target)
        labels = scene.layers[place].labels
        moved = np.where(labels == NOTHING, labels, np.clip(labels + by, 0, MOST)).astype(np.int16)
        scene.change(place, replace(scene.layers[place], labels=moved))
        return
    scene.ground[:] = np.clip(scene.ground + by, 0, MOST)
    for place in range(len(scene.layers)):
        labels = scene.layers[place].labels
        moved = np.where(labels == NOTHING, labels, np.clip(labels + by, 0, MOST)).astype(np.int16)
        scene.layers[place] = replace(scene.layers[place], labels=moved)
    scene.touch(scene.window)


def gradient(scene: Scene, start, end, levels, within=None, id: str | None = None) -> None:
    """Paint levels that change evenly from one point to another, and stay as they are beyond both; inside of an outline, or
    everywhere."""
    width, height = scene.size
    shape = Shape(0, 0, np.ones((height, width), dtype=bool)) if within is None else shapes.polygon(within, scene.size)
    (dx, dy), (x, y) = (end[0] - start[0], end[1] - start[1]), np.meshgrid(np.arange(width), np.arange(height))
    length = dx * dx + dy * dy
    if length == 0:
        raise Gone("it begins where it ends")
    share = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / length, 0.0, 1.0)
    draw(scene, id, shape, np.floor(levels[0] + share * (levels[1] - levels[0]) + 0.5).astype(np.int16))


def draw(scene: Scene, id: str | None, shape: Shape, levels) -> None:
    """Put a shape of a level, or of what an array int [H, W] holds there, in front."""
    if not shape.mask.size:
        raise Gone("it lies outside of the map, or is too thin to hold the centre of a pixel")
    scene.add(from_shape(id, shape, levels))


def stroke(scene: Scene, points, width: float, level: int | None = MOST, id: str | None = None) -> None:
    """Draw with a round brush; None: with what the given map has there."""
    draw(scene, id, shapes.stroke(points, width, scene.size), scene.given if level is None else level)


def line(scene: Scene, points, level: int = MOST, width: float = 1.0, id: str | None = None) -> None:
    """Draw a line."""
    draw(scene, id, shapes.stroke(points, width, scene.size), level)


def rectangle(scene: Scene, box, level: int = MOST, width: float | None = None, id: str | None = None) -> None:
    """Draw a rectangle, filled without a width."""
    draw(scene, id, shapes.rectangle(box, scene.size, width), level)


def ellipse(scene: Scene, box, level: int = MOST, width: float | None = None, id: str | None = None) -> None:
    """Draw an ellipse, filled without a width."""
    draw(scene, id, shapes.ellipse(box, scene.size, width), level)


def polygon(scene: Scene, points, level: int = MOST, width: float | None = None, id: str | None = None) -> None:
    """Draw a polygon, filled without a width."""
    whole = width is None
    shape = shapes.polygon(points, scene.size) if whole else shapes.outline(points, width, scene.size)
    draw(scene, id, shape, level)


def _at_or_within(given: frozenset[str]) -> str | None:
    return None if len(given & {"at", "within"}) == 1 else "give one of 'at', 'within'"


_ID, _WIDTH = Key("id", keys.ID), Key("size", keys.WIDTH, argument="width")
_POINTS, _BOX = Key("points", keys.POINTS, True), Key("box", keys.BOX, True)
_ERASER = keys.Kind(lambda value, palette: None if value is None else LEVEL.read(value, palette))


def table(needed: bool) -> Table:
    """The operations of both. needed: a level has to be given; else it is the highest."""
    level = Key("value", LEVEL, needed, "level")
    return {
        "lift": Form(
            (
                Key("id", keys.ID, True),
                Key("at", keys.POINT),
                Key("within", keys.POINTS),
                Key("tolerance", LEVEL),
                Key(
                    "fill",
                    keys.Kind(lambda value, palette: None if value == "surroundings" else LEVEL.read(value, None)),
                ),
            ),
            lift,
            _at_or_within,
        ),
        "transform": replace(SEGMENTATION["transform"], function=transform),
        "duplicate": replace(SEGMENTATION["duplicate"], function=duplicate),
        "delete": replace(SEGMENTATION["delete"], function=delete),
        "order": replace(SEGMENTATION["order"], function=order),
        "stroke": Form(
            (Key("value", _ERASER, needed, "level"), Key("size", keys.WIDTH, True, "width"), _POINTS, _ID), stroke
        ),
        "line": Form((level, _POINTS, _WIDTH, _ID), line),
        "rectangle": Form((level, _BOX, _WIDTH, _ID), rectangle),
        "ellipse": Form((level, _BOX, _WIDTH, _ID), ellipse),
        "polygon": Form((level, _POINTS, _WIDTH, _ID), polygon),
    }
