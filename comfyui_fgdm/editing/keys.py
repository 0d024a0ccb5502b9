"""What the keys of an operation may hold: how each kind of value is checked, and how it changes with the size of the map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..maps.palette_file import Palette, PaletteError

FURTHEST = 1e6
"""Largest coordinate, in pixels."""
LARGEST_SCALE = 100.0
MAX_ID = 64

Scale = tuple[float, float]
"""How many pixels of the map that is edited one pixel of the map that the recipe was made on is wide and high."""


class RecipeError(ValueError):
    """A recipe that is no recipe, or cannot be applied as a whole; says where and what to do."""


@dataclass(frozen=True)
class Kind:
    """A kind of value. read(value, palette) gives it checked or raises ValueError with what is expected; rescale(value,
    scale) gives it for a map of another size."""

    read: Callable[[Any, Palette | None], Any]
    rescale: Callable[[Any, Scale], Any] = lambda value, scale: value


@dataclass(frozen=True)
class Key:
    """One key of an operation. argument: the name by which the operation's function takes it."""

    name: str
    kind: Kind
    required: bool = False
    argument: str = ""

    @property
    def parameter(self) -> str:
        return self.argument or self.name


def said(value: Any, most: int = 40) -> str:
    """A value as an error shows it, in at most so many characters."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def meant(word: Any, known: Sequence[str]) -> str:
    """ "; did you mean 'x'?" if something that is known comes close, else what there is."""
    near = get_close_matches(str(word), known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(known)}"


def number(low: float = -FURTHEST, high: float = FURTHEST) -> Callable[[Any, Palette | None], float]:
    """Reads a number within low..high."""

    def read(value: Any, palette: Palette | None) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"expected a number, got {said(value)}")
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}, got {said(value)}")
        return float(value)

    return read


def _pair(value: Any, palette: Palette | None) -> tuple[float, float]:
    numbers = _numbers(value, 2, "[x, y]")
    return numbers[0], numbers[1]


def _numbers(value: Any, count: int, form: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"expected {form}, got {said(value)}")
    return tuple(number()(one, None) for one in value)


def _points(value: Any, palette: Palette | None) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected points [[x, y], ...], got {said(value)}")
    return tuple(_pair(one, palette) for one in value)


def _box(value: Any, palette: Palette | None) -> tuple[float, ...]:
    x0, y0, x1, y1 = _numbers(value, 4, "[x0, y0, x1, y1]")
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _factor(value: Any, palette: Palette | None) -> tuple[float, float]:
    read = number(1 / LARGEST_SCALE, LARGEST_SCALE)
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError(f"expected a number or [x, y], got {said(value)}")
        return read(value[0], None), read(value[1], None)
    return read(value, None), read(value, None)


def _class(value: Any, palette: Palette | None) -> int:
    if palette is None:
        raise ValueError("these maps have no classes")
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(palette):
            raise ValueError(f"palette {palette.name!r} has classes 0..{len(palette) - 1}, got {value}")
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected the name of a class, got {said(value)}")
    try:
        return palette.index(value)
    except PaletteError as error:
        names = get_close_matches(value.lower(), [label.name.lower() for label in palette.labels], 3, 0.6)
        raise ValueError(f"{error}" + (f"; did you mean {', '.join(names)}?" if names else "")) from None


def _fill(value: Any, palette: Palette | None) -> int | None:
    return None if value == "surroundings" else _class(value, palette)


def _class_or_null(value: Any, palette: Palette | None) -> int | None:
    return None if value is None else _class(value, palette)


def _id(value: Any, palette: Palette | None) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_ID or not value.isprintable():
        raise ValueError(f"expected a short name of printable characters, got {said(value)}")
    return value


def text(longest: int) -> Kind:
    """A text of at most so many characters."""

    def read(value: Any, palette: Palette | None) -> str:
        if not isinstance(value, str) or not value or len(value) > longest:
            raise ValueError(f"expected a text of 1 to {longest} characters, got {said(value)}")
        return value

    return Kind(read)


def choice(*options: str) -> Kind:
    """One of these words."""

    def read(value: Any, palette: Palette | None) -> str:
        if value not in options:
            raise ValueError(f"expected {' or '.join(map(repr, options))}, got {said(value)}")
        return value

    return Kind(read)


def move_point(point: tuple[float, float], scale: Scale) -> tuple[float, float]:
    """A pixel of one map on a map of another size: the one in which its centre lies, as a fraction."""
    return (point[0] + 0.5) * scale[0] - 0.5, (point[1] + 0.5) * scale[1] - 0.5


def _rescale_vector(value, scale: Scale):
    return value[0] * scale[0], value[1] * scale[1]


POINT = Kind(_pair, move_point)
POINTS = Kind(_points, lambda value, scale: tuple(move_point(one, scale) for one in value))
POINT_OF_SECOND = Kind(_pair)
POINTS_OF_SECOND = Kind(_points)
VECTOR = Kind(_pair, _rescale_vector)
BOX = Kind(_box, lambda value, scale: (*_rescale_vector(value[:2], scale), *_rescale_vector(value[2:], scale)))
WIDTH = Kind(number(1.0, 1e4), lambda value, scale: max(1.0, value * math.sqrt(scale[0] * scale[1])))
FACTOR = Kind(_factor)
ANGLE = Kind(number(-3600.0, 3600.0))
CLASS = Kind(_class)
CLASS_OR_NULL = Kind(_class_or_null)
FILL = Kind(_fill)
ID = Kind(_id)
FLIP = choice("horizontal", "vertical")
