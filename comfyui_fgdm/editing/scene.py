"""A map while it is edited: the ground and layers over it, back to front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from ..maps.palette_file import MAX_LABELS
from .keys import RecipeError
from .regions import Gone
from .shapes import Shape

NOTHING = -1
"""Label of pixels of a layer that hold nothing."""
MOST_PIXELS = 1 << 28
"""Pixels that all layers may hold together: half a gigabyte."""
MOST_WORK = 4e9
"""Pixels that may be painted while a recipe is applied, each painting of a layer counting ``_CALL`` more: some 20 seconds."""
_CALL = 3000
_EPS = 1e-7  # parts of a pixel; keeps rounding from choosing between two pixels

Box = tuple[int, int, int, int]
Matrix = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x' = a x + b y + c, y' = d x + e y + f, of edges of pixels: the first pixel is from 0 to 1."""
PLACE: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def after(first: Matrix, then: Matrix) -> Matrix:
    """The transform that does ``first`` and then ``then``."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = then
    return p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u


def about(centre: tuple[float, float], linear: tuple[float, float, float, float]) -> Matrix:
    """A linear map (a, b, d, e) about a centre, which stays where it is."""
    (x, y), (a, b, d, e) = centre, linear
    return a, b, x - a * x - b * y, d, e, y - d * x - e * y


def turn(degrees: float) -> tuple[float, float, float, float]:
    """A turn clockwise, y down; exact for quarter turns."""
    quarters, rest = divmod(degrees, 90.0)
    cos, sin = (1.0, 0.0) if rest == 0 else (math.cos(math.radians(rest)), math.sin(math.radians(rest)))
    for _ in range(int(quarters) % 4):
        cos, sin = -sin, cos
    return cos, -sin, sin, cos


P = TypeVar("P", bound="Placed")


class Placed(Protocol):
    """What lies on a map and can be moved about there."""

    @property
    def id(self) -> str | None: ...

    @property
    def centre(self) -> tuple[float, float]: ...

    def then(self: P, matrix: Matrix) -> P: ...


def transformed(one: P, flip: str | None, scale: tuple[float, float], rotate: float, move: tuple[float, float]) -> P:
    """Flipped, scaled and turned about its centre, then moved."""
    x, y = -1.0 if flip == "horizontal" else 1.0, -1.0 if flip == "vertical" else 1.0
    centre = one.centre
    one = one.then(about(centre, (x * scale[0], 0.0, 0.0, y * scale[1])))
    if rotate:
        one = one.then(about(centre, turn(rotate)))
    return one.then(moved(move))


def moved(way: tuple[float, float]) -> Matrix:
    """A move by so many pixels."""
    return 1.0, 0.0, way[0], 0.0, 1.0, way[1]


def place_of(target: str, those: Sequence[Placed], gone: Mapping[str, str]) -> int:
    """Where something is among others; Gone, with the reason that is known, if it is not there any more."""
    for place, one in enumerate(those):
        if one.id == target:
            return place
    raise Gone(f"{target!r} is gone: {gone.get(target, 'it was never made')}")


@dataclass(frozen=True, eq=False)
class Layer:
    """labels: int16 [h, w], NOTHING where it holds nothing; matrix: from its pixels to those of the map; id: by which
    operations find it, None for what was only drawn; origin: its box on the map when it was made."""

    id: str | None
    labels: np.ndarray
    matrix: Matrix
    origin: Box = (0, 0, 0, 0)

    @property
    def centre(self) -> tuple[float, float]:
        height, width = self.labels.shape
        a, b, c, d, e, f = self.matrix
        return a * width / 2 + b * height / 2 + c, d * width / 2 + e * height / 2 + f

    @property
    def box(self) -> Box:
        """(left, top, right, bottom) of all pixels that it may reach, on the map and beside it; the last two exclusive."""
        height, width = self.labels.shape
        a, b, c, d, e, f = self.matrix
        xs = [a * x + b * y + c for x in (0, width) for y in (0, height)]
        ys = [d * x + e * y + f for x in (0, width) for y in (0, height)]
        return (
            math.floor(min(xs) + _EPS), math.floor(min(ys) + _EPS), math.ceil(max(xs) - _EPS), math.ceil(max(ys) - _EPS)
        )  # fmt: skip

    def then(self, matrix: Matrix) -> Layer:
        """Transformed further, on the map."""
        return replace(self, matrix=after(self.matrix, matrix))

    def paint(self, canvas: np.ndarray, window: Box) -> None:
        """Put its labels onto ``canvas`` int [h, w], which shows the part ``window`` of the map."""
        box = common(self.box, window)
        if box is None:
            return
        x0, y0, x1, y1 = box
        part = canvas[y0 - window[1] : y1 - window[1], x0 - window[0] : x1 - window[0]]
        values = self._sample(box)
        np.copyto(part, values, where=values != NOTHING)

    def _sample(self, box: Box) -> np.ndarray:
        """Its labels on the pixels of a box of the map, int16 [h, w]: those of the nearest pixel."""
        x0, y0, x1, y1 = box
        height, width = self.labels.shape
        a, b, c, d, e, f = self.matrix
        if (a, b, d, e) == (1.0, 0.0, 0.0, 1.0) and c == round(c) and f == round(f):
            left, top = x0 - int(c), y0 - int(f)
            return self.labels[top : top + y1 - y0, left : left + x1 - x0]
        scale = a * e - b * d
        x, y = np.arange(x0, x1) + 0.5 - c, np.arange(y0, y1)[:, None] + 0.5 - f
        columns = np.floor((e * x - b * y) / scale + _EPS).astype(np.int64)
        rows = np.floor((a * y - d * x) / scale + _EPS).astype(np.int64)
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        columns, rows = np.broadcast_arrays(columns, rows)
        found = self.labels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        return np.where(inside, found, np.int16(NOTHING))


def common(one: Box, other: Box) -> Box | None:
    """What two boxes share, or None."""
    x0, y0, x1, y1 = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(eq=False)
class Scene:
    """given: the labels that came in, int16 [H, W]. void: label of pixels of no class, if there is one; things: labels of countable
    objects; mirrored: of each label, what it is in a mirror. second: another map's labels, of any size. load: gives a
    picture of labels, int16 [h, w] with NOTHING, by the name of its file; font: a Pillow font by the name of its file and its size.

    ground: a copy of what was given, which operations change. layers: back to front. made: those that can be found, as
    they were made, by id. gone: of each id that is not there any more, why.
    """

    given: np.ndarray
    void: int | None = None
    things: frozenset[int] = frozenset()
    mirrored: np.ndarray | None = None
    second: np.ndarray | None = None
    load: Callable[[str], np.ndarray] | None = None
    font: Callable[[str, float], Any] | None = None
    most_work: float = MOST_WORK
    ground: np.ndarray = field(init=False)
    layers: list[Layer] = field(init=False, default_factory=list)
    gone: dict[str, str] = field(init=False, default_factory=dict)
    made: dict[str, Layer] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.ground = self.given.copy()
        self._flat = self.given.copy()
        self._stale: Box | None = None
        self._pixels = 0
        self._work = 0
        self.usable = np.ones(MAX_LABELS, dtype=bool)  # labels that may close a hole
        self.usable[[*self.things, *([] if self.void is None else [self.void])]] = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.given.shape[1], self.given.shape[0]

    @property
    def window(self) -> Box:
        return 0, 0, *self.size

    def find(self, target: str) -> int:
        """Place of a layer; Gone if it is not there any more."""
        return place_of(target, self.layers, self.gone)

    def add(self, layer: Layer, place: int | None = None) -> None:
        """Put a layer in front, or before the layers from ``place`` on."""
        layer = replace(layer, origin=layer.box)
        front = place is None or place == len(self.layers)
        last = self.layers[-1] if self.layers else None
        self._pixels += layer.labels.size
        merged = None
        if front and layer.id is None and last is not None and last.id is None:
            merged = _merged(last, layer)
        if last is not None and merged is not None:
            self._pixels += merged.labels.size - layer.labels.size - last.labels.size
            self.layers[-1] = merged
        else:
            self.layers.insert(len(self.layers) if place is None else place, layer)
        if self._pixels > MOST_PIXELS:
            raise RecipeError("the layers hold too many pixels; split the recipe, or use a smaller map")
        if layer.id is not None:
            self.made[layer.id] = layer
        if front and self._stale is None:
            self._paint(layer, self._flat, self.window)
        else:
            self.touch(layer.box)

    def put(self, layer: Layer, place: int) -> None:
        """Put a layer that was removed back, before the layers from ``place`` on."""
        self._pixels += layer.labels.size
        self.layers.insert(place, layer)
        self.touch(layer.box)

    def change(self, place: int, layer: Layer) -> None:
        """Put a layer, of as many pixels, in the place of one."""
        self.touch(self.layers[place].box)
        self.layers[place] = layer
        self.touch(layer.box)

    def remove(self, place: int) -> Layer:
        layer = self.layers.pop(place)
        self._pixels -= layer.labels.size
        self.touch(layer.box)
        return layer

    def touch(self, box: Box) -> None:
        """The map has changed inside of a box."""
        box = common(box, self.window) or (0, 0, 0, 0)
        old = self._stale
        if old is not None and box[2]:
            box = min(old[0], box[0]), min(old[1], box[1]), max(old[2], box[2]), max(old[3], box[3])
        self._stale = box if box[2] else old

    def flat(self) -> np.ndarray:
        """The map as it looks now, int16 [H, W]; not to be changed. Only what has changed is painted anew."""
        if self._stale is not None:
            x0, y0, x1, y1 = self._stale
            part = self._flat[y0:y1, x0:x1]
            part[:] = self.ground[y0:y1, x0:x1]
            for layer in self.layers:
                self._paint(layer, part, self._stale)
            self._stale = None
        return self._flat

    def _paint(self, layer: Layer, canvas: np.ndarray, window: Box) -> None:
        if (box := common(layer.box, window)) is None:
            return
        self._work += (box[2] - box[0]) * (box[3] - box[1]) + _CALL
        if self._work > self.most_work:
            raise RecipeError("up to here it takes more work than a recipe may; split it, or draw with fewer ids")
        layer.paint(canvas, window)


def from_shape(id: str | None, shape: Shape, labels: np.ndarray | int) -> Layer:
    """A layer of a shape: of one label, or of what a map, int [H, W], holds there."""
    left, top, right, bottom = shape.box
    values = labels if isinstance(labels, int) else labels[top:bottom, left:right]
    return Layer(id, np.where(shape.mask, values, NOTHING).astype(np.int16), (1.0, 0.0, left, 0.0, 1.0, top))


def _merged(below: Layer, above: Layer) -> Layer | None:
    """Two layers that were drawn in one, which may be the lower one painted over, if they lie so near to each other that this
    saves memory; else None."""
    one, other = below.box, above.box
    box = min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
    width, height = box[2] - box[0], box[3] - box[1]
    if box == one and below.matrix == (1.0, 0.0, box[0], 0.0, 1.0, box[1]):
        above.paint(below.labels, box)
        return below
    if width * height > 2 * (below.labels.size + above.labels.size):
        return None
    labels = np.full((height, width), NOTHING, dtype=np.int16)
    below.paint(labels, box)
    above.paint(labels, box)
    return Layer(None, labels, (1.0, 0.0, box[0], 0.0, 1.0, box[1]), box)
