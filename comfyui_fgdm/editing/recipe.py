"""Reading and writing recipes: the envelope, the map that a recipe was made on, and operations checked against a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..maps.palette_file import Palette
from .keys import Key, RecipeError, Scale, meant, said

VERSION = 1
MOST = 10_000
"""Operations of one recipe."""
MAX_CHARACTERS = 8_000_000
_ENVELOPE = ("version", "variable", "map", "operations")


@dataclass(frozen=True)
class MapMark:
    """What is remembered of the map that a recipe was made on: its fingerprint, size and palette (None: no classes)."""

    sha256: str
    width: int
    height: int
    palette: str | None = None


@dataclass(frozen=True)
class Envelope:
    """A recipe whose operations have not been looked at yet."""

    variable: str = "segmentation"
    made_on: MapMark | None = None
    operations: tuple[Any, ...] = ()

    def fits(self, mark: MapMark) -> bool:
        """Was it made on this map, or on none in particular? One that does nothing fits every map."""
        return not self.operations or self.made_on is None or self.made_on == mark

    def scale(self, mark: MapMark) -> Scale:
        """Pixels of the map ``mark`` per pixel of the one that this was made on."""
        made = self.made_on or mark
        return mark.width / made.width, mark.height / made.height


@dataclass(frozen=True)
class Operation:
    """A checked operation. index: its place in the recipe, from 1. arguments: of its function, by name."""

    name: str
    index: int
    arguments: Mapping[str, Any]

    @property
    def where(self) -> str:
        return f"operation {self.index} ({self.name})"


@dataclass(frozen=True)
class Form:
    """An operation of a variable: its keys, its function, and what else has to hold of the keys that are given (a text
    that says what is wrong, or None)."""

    keys: tuple[Key, ...]
    function: Callable[..., None]
    rule: Callable[[frozenset[str]], str | None] = lambda given: None


Table = Mapping[str, Form]
"""The operations of a variable, by name."""


def mark(values: np.ndarray, palette: Palette | None = None, variable: str = "segmentation") -> MapMark:
    """The mark of a map: labels, integer [H, W], or values without classes, uint8 [H, W(, C)].

    The fingerprint is SHA-256 over the line "fgdm-map 1 VARIABLE PALETTE WIDTH HEIGHT" (ending in a line feed; "-" for no
    palette) and the values row by row: labels as one byte each, or as two (the low one first) for palettes of more than 255
    classes.
    """
    height, width = values.shape[:2]
    kind = "<u2" if palette is not None and len(palette) > 255 else "u1"
    name = "-" if palette is None else palette.name
    digest = hashlib.sha256(f"fgdm-map 1 {variable} {name} {width} {height}\n".encode())
    digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return MapMark(digest.hexdigest(), width, height, None if palette is None else palette.name)


def read(text: str) -> Envelope:
    """The envelope of a recipe; RecipeError for a text that is none. Empty: does nothing."""
    if not text.strip():
        return Envelope()
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(f"recipe: it has {len(text)} characters, more than {MAX_CHARACTERS}; make fewer strokes.")
    try:
        raw = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"recipe: this is no JSON ({error}). Leave it empty to start again.") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"recipe: expected a JSON object with 'operations', got {said(raw)}.")
    for key in raw:
        if key not in _ENVELOPE:
            raise RecipeError(f"recipe: unknown key {said(key)}{meant(key, _ENVELOPE)}.")
    if raw.get("version") != VERSION:
        raise RecipeError(
            f"recipe: 'version' is {said(raw.get('version'))}, and this pack reads {VERSION}. Update the pack."
        )
    variable, operations = raw.get("variable", "segmentation"), raw.get("operations")
    if not isinstance(variable, str):
        raise RecipeError(f"recipe: 'variable' has to be a name, got {said(variable)}.")
    if not isinstance(operations, list):
        raise RecipeError(f"recipe: 'operations' has to be a list, got {said(operations)}.")
    if len(operations) > MOST:
        raise RecipeError(f"recipe: it has {len(operations)} operations; at most {MOST} are applied.")
    return Envelope(variable, _mark(raw.get("map")), tuple(operations))


def write(operations: Sequence[Mapping[str, Any]], made_on: MapMark | None, variable: str = "segmentation") -> str:
    """The text of a recipe of operations as they stand in JSON."""
    where = {} if made_on is None else {"map": asdict(made_on)}
    return json.dumps({"version": VERSION, "variable": variable, **where, "operations": list(operations)})


def check(
    operations: Sequence[Any], table: Table, palette: Palette | None = None, known: Iterable[str] = ()
) -> tuple[Operation, ...]:
    """The operations of a recipe, checked; RecipeError names the first one that is wrong, the key, and the remedy. known: ids that
    were made before."""
    made = set(known)
    found = []
    for index, raw in enumerate(operations, 1):
        name = raw.get("op") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(name, str):
            raise RecipeError(f"recipe: operation {index} has to be an object with 'op', got {said(raw)}.")
        if name not in table:
            raise RecipeError(f"recipe: operation {index}: unknown operation {said(name)}{meant(name, list(table))}.")
        try:
            found.append(Operation(name, index, _arguments(raw, table[name], palette, made)))
        except ValueError as error:
            raise RecipeError(f"recipe: operation {index} ({name}): {error}.") from None
    return tuple(found)


def rescale(operation: Operation, form: Form, scale: Scale) -> Operation:
    """The operation for a map of another size."""
    if scale == (1.0, 1.0):
        return operation
    kinds = {key.parameter: key.kind for key in form.keys}
    given = operation.arguments.items()
    changed = {name: kinds[name].rescale(value, scale) if name in kinds else value for name, value in given}
    return Operation(operation.name, operation.index, MappingProxyType(changed))


def _arguments(raw: Mapping[str, Any], form: Form, palette: Palette | None, made: set[str]) -> Mapping[str, Any]:
    known = {key.name: key for key in form.keys}
    for name in raw:
        if name != "op" and name not in known:
            raise ValueError(f"unknown key {said(name)}{meant(name, list(known))}")
    missing = [name for name, key in known.items() if key.required and name not in raw]
    if missing:
        raise ValueError(f"{missing[0]!r} is missing")
    values = {}
    for name, key in known.items():
        if name not in raw:
            continue
        try:
            values[key.parameter] = key.kind.read(raw[name], palette)
        except ValueError as error:
            raise ValueError(f"{name!r}: {error}") from None
    wrong = form.rule(frozenset(name for name in raw if name != "op"))
    if wrong:
        raise ValueError(wrong)
    for name in ("target", "before", "behind"):
        if name in known and name in raw and raw[name] not in made:
            raise ValueError(f"{name!r}: nothing before it makes {said(raw[name])}; use an id that an operation gave")
    if "id" in raw:
        if raw["id"] in made:
            raise ValueError(f"'id': {said(raw['id'])} is taken; choose another")
        made.add(raw["id"])
    return MappingProxyType(values)


def _mark(raw: Any) -> MapMark | None:
    if raw is None:
        return None
    keys = ("sha256", "width", "height", "palette")
    if not isinstance(raw, dict) or set(raw) - set(keys) or not {"sha256", "width", "height"} <= set(raw):
        raise RecipeError(f"recipe: 'map' has to hold {', '.join(keys)}, got {said(raw)}. Leave it out for any map.")
    sizes = raw["width"], raw["height"]
    if any(isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= 1 << 20 for one in sizes):
        raise RecipeError(f"recipe: 'map': width and height have to be whole numbers of pixels, got {said(sizes)}.")
    palette = raw.get("palette")
    if not isinstance(raw["sha256"], str) or not (palette is None or isinstance(palette, str)):
        raise RecipeError("recipe: 'map': sha256 and palette have to be texts.")
    return MapMark(raw["sha256"], *sizes, palette)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
