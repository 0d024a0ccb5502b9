"""The operations on segmentation maps. Each changes a ``Scene``; ``TABLE`` says which keys it has in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from . import keys, regions, shapes
from .keys import Key, RecipeError
from .recipe import Form, Table
from .regions import Gone
from .scene import NOTHING, Layer, Scene, from_shape, moved, transformed
from .shapes import Shape

Point = tuple[float, float]


def lift(
    scene: Scene,
    id: str,
    label: int | None = None,
    at: Point | None = None,
    within=None,
    fill: int | None = None,
    mask: np.ndarray | None = None,
) -> None:
    """Make a layer of part of the ground and close the hole. fill: class that closes it, None: its surroundings. mask: what to
    take, bool [H, W]; recipes have no such key."""
    shape = regions.pick(scene.ground, label, at, within, mask)
    layer = from_shape(id, shape, scene.ground)
    regions.close(scene.ground, shape, fill, scene.usable, scene.void or 0)
    scene.add(layer)


def transform(
    scene: Scene,
    target: str,
    flip: str | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
    rotate: float = 0.0,
    move: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Flip, scale, turn about the centre, then move."""
    place = scene.find(target)
    layer = scene.layers[place]
    if (
        flip == "horizontal"
        and scene.mirrored is not None
        and len(np.unique(layer.labels[layer.labels != NOTHING])) > 1
    ):
        # what has a left and a right of its own, such as a face, is a mirror image of one; a single part keeps its name
        swapped = scene.mirrored[layer.labels.clip(0)].astype(np.int16)
        layer = replace(layer, labels=np.where(layer.labels == NOTHING, layer.labels, swapped))
    scene.change(place, transformed(layer, flip, scale, rotate, move))


def duplicate(scene: Scene, target: str, id: str, move: tuple[float, float] = (0.0, 0.0)) -> None:
    """Put a copy of a layer right before it."""
    place = scene.find(target)
    copy = replace(scene.layers[place], id=id).then(moved(move))
    scene.add(copy, place + 1)


def delete(scene: Scene, target: str) -> None:
    """Take a layer away."""
    scene.remove(scene.find(target))
    scene.gone[target] = "it was deleted"


def order(
    scene: Scene, target: str, to: str | None = None, before: str | None = None, behind: str | None = None
) -> None:
    """Put a layer at another place in the order. forward, backward: past the next one that has an id, if there is one."""
    place = scene.find(target)
    other = None if to else scene.find(before or behind or "")
    layer = scene.remove(place)
    named = [k for k, one in enumerate(scene.layers) if one.id is not None]
    if other is not None:
        new = other - (other > place) + bool(before)
    elif to in ("front", "forward"):
        new = next((k + 1 for k in named if to == "forward" and k >= place), len(scene.layers))
    else:
        new = next((k for k in reversed(named) if to == "backward" and k < place), 0)
    scene.put(layer, min(new, len(scene.layers)))


def reclass(scene: Scene, target: str, label: int) -> None:
    """Give all of a layer another class."""
    place = scene.find(target)
    layer = scene.layers[place]
    scene.change(place, replace(layer, labels=np.where(layer.labels == NOTHING, layer.labels, np.int16(label))))


def paste(
    scene: Scene,
    id: str,
    label: int | None = None,
    at: Point | None = None,
    within=None,
    to: Point | None = None,
    mask: np.ndarray | None = None,
) -> None:
    """Make a layer of part of the second map. to: pixel of this map at which its centre is to be. mask: what to take, bool [h, w]
    of the second map; recipes have no such key."""
    second = _second(scene)
    layer = from_shape(id, regions.pick(second, label, at, within, mask), second)
    layer = layer.then(_onto(scene, second))
    if to is not None:
        x, y = layer.centre
        layer = layer.then(moved((to[0] + 0.5 - x, to[1] + 0.5 - y)))
    scene.add(layer)


def background(scene: Scene, label: int | None = None, source: str | None = None) -> None:
    """Give all of the ground that is no thing a class, or what the second map has there behind its things."""
    stuff = ~np.isin(scene.ground, list(scene.things))
    if source is None:
        scene.ground[stuff] = label
    else:
        behind = _second(scene).copy()
        things = np.isin(behind, list(scene.things))
        if things.any():
            regions.close(behind, shapes.tight(0, 0, things), None, scene.usable, scene.void or 0)
        whole = np.empty_like(scene.ground)
        Layer(None, behind, _onto(scene, behind)).paint(whole, scene.window)
        scene.ground[stuff] = whole[stuff]
    scene.touch(scene.window)


def recolour(scene: Scene, old: int, new: int) -> None:
    """Give all pixels of a class another one, on the ground and on every layer."""
    scene.ground[scene.ground == old] = new
    for place, layer in enumerate(scene.layers):
        if (layer.labels == old).any():
            scene.layers[place] = replace(layer, labels=np.where(layer.labels == old, np.int16(new), layer.labels))
    scene.touch(scene.window)


def fill(scene: Scene, label: int, at: Point, id: str | None = None) -> None:
    """Give the region at a point, as the map looks now, a class."""
    _draw(scene, id, regions.pick(scene.flat(), None, at), label)


def stroke(scene: Scene, label: int | None, points, width: float, id: str | None = None) -> None:
    """Draw with a round brush; None: with what the given map has there."""
    _draw(scene, id, shapes.stroke(points, width, scene.size), scene.given if label is None else label)


def line(scene: Scene, label: int, points, width: float = 1.0, id: str | None = None) -> None:
    """Draw a line."""
    _draw(scene, id, shapes.stroke(points, width, scene.size), label)


def rectangle(scene: Scene, label: int, box, width: float | None = None, id: str | None = None) -> None:
    """Draw a rectangle."""
    _draw(scene, id, shapes.rectangle(box, scene.size, width), label)


def ellipse(scene: Scene, label: int, box, width: float | None = None, id: str | None = None) -> None:
    """Draw an ellipse."""
    _draw(scene, id, shapes.ellipse(box, scene.size, width), label)


def polygon(scene: Scene, label: int, points, width: float | None = None, id: str | None = None) -> None:
    """Draw a polygon."""
    whole = width is None
    shape = shapes.polygon(points, scene.size) if whole else shapes.outline(points, width, scene.size)
    _draw(scene, id, shape, label)


def paint(scene: Scene, png: str, id: str | None = None) -> None:
    """Paint a picture of classes over the map."""
    if scene.load is None:
        raise RecipeError("pictures cannot be read here")
    labels = scene.load(png).astype(np.int16)  # a copy: later strokes may be painted into it
    layer = Layer(id, labels, _onto(scene, labels))
    scene.add(layer)


def _draw(scene: Scene, id: str | None, shape: Shape, labels) -> None:
    if not shape.mask.size:
        raise Gone("it lies outside of the map, or is too thin to hold the centre of a pixel")
    scene.add(from_shape(id, shape, labels))


def _second(scene: Scene) -> np.ndarray:
    if scene.second is None:
        raise RecipeError("it needs a second map: connect one to 'second'")
    return scene.second


def _onto(scene: Scene, labels: np.ndarray):
    """The transform that stretches a map of another size over this one."""
    width, height = scene.size
    return width / labels.shape[1], 0.0, 0.0, 0.0, height / labels.shape[0], 0.0


def one_of(*names: str) -> Callable[[frozenset[str]], str | None]:
    """The rule that exactly one of these keys is given."""

    def rule(given: frozenset[str]) -> str | None:
        return None if len(given & set(names)) == 1 else f"give one of {', '.join(map(repr, names))}"

    return rule


def _says_what(given: frozenset[str]) -> str | None:
    if not given & {"class", "at", "within"}:
        return "say what: give 'class', 'at' or 'within'"
    return "give 'at' or 'within', not both" if {"at", "within"} <= given else None


def _says_something(given: frozenset[str]) -> str | None:
    return None if given & {"flip", "scale", "rotate", "move"} else "give 'flip', 'scale', 'rotate' or 'move'"


_ID, _MADE = Key("id", keys.ID), Key("id", keys.ID, True)
_TARGET = Key("target", keys.ID, True)
_CLASS, _NEEDED = Key("class", keys.CLASS, argument="label"), Key("class", keys.CLASS, True, "label")
_POINTS, _BOX = Key("points", keys.POINTS, True), Key("box", keys.BOX, True)
_WIDTH = Key("size", keys.WIDTH, argument="width")
_MOVE = Key("move", keys.VECTOR)

TABLE: Table = {
    "lift": Form(
        (_MADE, _CLASS, Key("at", keys.POINT), Key("within", keys.POINTS), Key("fill", keys.FILL)), lift, _says_what
    ),
    "transform": Form(
        (_TARGET, Key("flip", keys.FLIP), Key("scale", keys.FACTOR), Key("rotate", keys.ANGLE), _MOVE),
        transform,
        _says_something,
    ),
    "duplicate": Form((_TARGET, _MADE, _MOVE), duplicate),
    "delete": Form((_TARGET,), delete),
    "order": Form(
        (
            _TARGET,
            Key("to", keys.choice("front", "back", "forward", "backward")),
            Key("before", keys.ID),
            Key("behind", keys.ID),
        ),
        order,
        one_of("to", "before", "behind"),
    ),
    "reclass": Form((_TARGET, _NEEDED), reclass),
    "paste": Form(
        (
            _MADE,
            _CLASS,
            Key("at", keys.POINT_OF_SECOND),
            Key("within", keys.POINTS_OF_SECOND),
            Key("to", keys.POINT),
        ),
        paste,
        _says_what,
    ),
    "background": Form((_CLASS, Key("source", keys.choice("second"))), background, one_of("class", "source")),
    "recolour": Form((Key("from", keys.CLASS, True, "old"), Key("to", keys.CLASS, True, "new")), recolour),
    "fill": Form((_NEEDED, Key("at", keys.POINT, True), _ID), fill),
    "stroke": Form(
        (
            Key("class", keys.CLASS_OR_NULL, True, "label"),
            Key("size", keys.WIDTH, True, "width"),
            _POINTS,
            _ID,
        ),
        stroke,
    ),
    "line": Form((_NEEDED, _POINTS, _WIDTH, _ID), line),
    "rectangle": Form((_NEEDED, _BOX, _WIDTH, _ID), rectangle),
    "ellipse": Form((_NEEDED, _BOX, _WIDTH, _ID), ellipse),
    "polygon": Form((_NEEDED, _POINTS, _WIDTH, _ID), polygon),
    "paint": Form((Key("png", keys.text(255), True), _ID), paint),
}
"""Operations of segmentation maps by name."""
