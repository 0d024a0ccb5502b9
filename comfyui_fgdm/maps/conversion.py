"""Classes of one palette as classes of another: tables of class names, and label maps converted by them.

A table is a JSON file that people can edit:

    name      text
    from, to  names of two palettes
    classes   an object {"couch": "sofa", "train": null, ...}: a class of the first, what it is in the second.
              A class with null, or left out, has no counterpart and becomes void.
    about     optional: where the table comes from
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch

from . import palettes
from .json_file import MAX_NAME, PaletteError, check_fields, check_name, read_json, said
from .palette_file import Palette


class Colours(Enum):
    """What maps are painted in: the palette they were read with, or another one that they are converted to."""

    AS_READ = "as read"
    COCO = "COCO"
    ADE20K = "ADE20K"


class Shown(Enum):
    """How the map of one variable is shown to the control net of another."""

    CLEAN = "clean"
    """A sampled map with classes: in exact class colours, without specks and void; all else as drawn."""
    AS_DRAWN = "as drawn"
    ADE20K = "ADE20K"
    """Clean, in the colours that stock segmentation ControlNets know."""


_PAINTED = {Colours.COCO: "coco183", Colours.ADE20K: "ade20k150"}
_SHIPPED = {("coco183", "ade20k150"), ("ade20k150", "coco183")}


@dataclass(frozen=True)
class Table:
    """``targets[i]`` is the label of ``target`` for label i of ``source``, the void of ``target`` if it has none."""

    name: str
    source: Palette
    target: Palette
    targets: tuple[int, ...]

    @property
    def mapped(self) -> tuple[int, ...]:
        """Labels of ``source`` that become a class."""
        return tuple(label for label, target in enumerate(self.targets) if target != self.target.void)


def convert(labels: torch.Tensor, table: Table) -> torch.Tensor:
    """Labels of the table's source, integers of any shape, as labels int64 of its target.

    PaletteError if a value is not a label of the source.
    """
    if labels.is_floating_point() or labels.is_complex():
        raise PaletteError(f"labels must be integers, got {labels.dtype}")
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < len(table.source)):
        raise PaletteError(
            f"labels must be in 0..{len(table.source) - 1} for palette {table.source.name!r}, "
            f"got values from {int(labels.min())} to {int(labels.max())}"
        )
    return torch.tensor(table.targets, device=labels.device)[labels.long()]


def table_between(source: Palette, target: Palette, own: Sequence[Table] = ()) -> Table:
    """The table from one palette to another, one of a user's ``own`` first; one that changes nothing for a palette and
    itself. PaletteError if there is none."""
    if source == target:
        return Table(source.name, source, target, tuple(range(len(source))))
    for table in own:
        if (table.source.name, table.target.name) == (source.name, target.name):
            return table
    if (source.name, target.name) not in _SHIPPED:
        pairs = _SHIPPED | {(table.source.name, table.target.name) for table in own}
        raise PaletteError(
            f"there is no table of the classes of palette {source.name!r} in palette {target.name!r}; "
            f"there is one {' and one '.join(f'from {a} to {b}' for a, b in sorted(pairs))}"
        )
    return _shipped(f"{source.name}_to_{target.name}")


def table_for(source: Palette, colours: Colours, own: Sequence[Table] = ()) -> Table:
    """The table by which maps read with ``source`` are painted in ``colours``; PaletteError if there is none."""
    name = _PAINTED.get(colours)
    return table_between(source, source if name is None else palettes.get(name), own)


@functools.lru_cache(maxsize=len(_SHIPPED))
def _shipped(name: str) -> Table:
    return read_table(palettes.DATA_DIR / f"{name}.json")


def read_table(path: Path, *own: Palette) -> Table:
    """The table in a JSON file of the format above; PaletteError names the file, the entry and the remedy.

    own: palettes that "from" and "to" may name beside the shipped ones, such as those of ``read_palette``.
    """
    try:
        return _table(read_json(path), {palette.name: palette for palette in own})
    except PaletteError as error:
        raise PaletteError(f"{path}: {error}") from None


def _table(raw: dict[str, Any], own: dict[str, Palette]) -> Table:
    check_fields(raw, ("name", "from", "to", "classes"), ("about",))
    for field in ("name", "from", "to"):
        check_name(raw[field], f"'{field}' ")
    source, target = (_palette(raw[field], field, own) for field in ("from", "to"))
    if not isinstance(raw["classes"], dict):
        raise PaletteError('\'classes\' must be an object such as {"couch": "sofa", "train": null}')
    targets: dict[int, int] = {}
    for name, counterpart in raw["classes"].items():
        where = f"entry {said(name)} of 'classes': "
        label = _class(source, name, where)
        if label in targets:
            raise PaletteError(f"{where}this class is there twice; remove one")
        if counterpart is not None and not isinstance(counterpart, str):
            raise PaletteError(f"{where}write the name of a class of {target.name!r} or null, not {said(counterpart)}")
        targets[label] = target.void if counterpart is None else _class(target, counterpart, where)
    return Table(raw["name"], source, target, tuple(targets.get(c, target.void) for c in range(len(source))))


def _palette(name: str, field: str, own: dict[str, Palette]) -> Palette:
    if name in own:
        return own[name]
    try:
        return palettes.get(name)
    except PaletteError as error:
        raise PaletteError(f"'{field}': {error}; write one of these") from None


def _class(palette: Palette, name: str, where: str) -> int:
    try:
        return palette.index(name)
    except PaletteError as error:
        if len(name) > MAX_NAME:
            raise PaletteError(f"{where}{error}; names have at most {MAX_NAME} characters") from None
        near = difflib.get_close_matches(name.lower(), [label.name for label in palette.labels], 3, 0.5)
        remedy = f"write {' or '.join(map(repr, near))}" if near else "write one of its names"
        raise PaletteError(f"{where}{error}; {remedy}") from None
