"""What a palette is, and the JSON files that palettes are written in.

A file is one JSON object:

    name         text, by which factor files name the palette
    void         index of the class of pixels that belong to no class
    labels       one {"index": 0, "name": "wall", "rgb": [120, 120, 120]} a class; indices 0..N-1 without gaps
    about        optional: where names and colours come from
    retired      optional: indices that have a colour but never occur in the data set
    same_colour  optional: groups of indices that share a colour; only the lowest of a group can be read back
    things       optional: indices of countable objects; without it, all classes but void
    synonyms     optional: {"dog": ["puppy", "hound"], "dog|cat": ["pet"]}: what people call a class, or a class and
                 those that count as well; singular
    attributes   optional: {"bald": {"absent": "hair", "present": "skin", "phrases": ["bald head"]}}: what people call it
                 when a class is missing ("absent"), on a map where another one is there ("present", optional); "a|b" is
                 any of both
    not_representable  optional: {"maps have no colours": ["pale", "tanned"]}: what people ask for and no map of this
                 palette shows, by reason

Names are one line of at most 64 printable characters; a file is UTF-8 (with or without a byte order mark) of at most
1 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import palette_words
from .json_file import PaletteError as PaletteError
from .json_file import check_fields, check_name, read_json, said
from .palette_words import Attribute

MAX_LABELS = 1024
_REQUIRED = ("name", "void", "labels")
_OPTIONAL = ("about", "retired", "same_colour", "things", "synonyms", "attributes", "not_representable")


@dataclass(frozen=True)
class Label:
    """One class: its index in label maps, its name, and its colour as three 8-bit levels."""

    index: int
    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Classes and colours of a family of maps.

    ``labels[i].index == i``. ``void`` is the label of pixels that belong to no class. ``retired`` are labels
    that have a colour but never occur in the data set, so no factor trained on it can draw them. ``things``
    are the countable objects; the rest is stuff. ``synonyms``: (labels, phrases), where the phrases mean the first
    label and the others count as well. ``attributes``: what is called by the absence of a class. ``not_representable``:
    (why, phrases).
    """

    name: str
    labels: tuple[Label, ...]
    void: int
    retired: tuple[int, ...] = ()
    things: tuple[int, ...] = ()
    synonyms: tuple[tuple[tuple[int, ...], tuple[str, ...]], ...] = ()
    attributes: tuple[Attribute, ...] = ()
    not_representable: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def index(self, name: str) -> int:
        """Index of the class called ``name`` (letter case ignored); PaletteError if there is none."""
        wanted = name.strip().lower()
        for label in self.labels:
            if label.name.lower() == wanted:
                return label.index
        raise PaletteError(f"palette {self.name!r} has no class called {said(name)}")

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Of each label, what it is in a mirror: the one called "right X" for "left X" and the other way round, else itself."""
        index = {label.name.lower(): label.index for label in self.labels}
        found = []
        for label in self.labels:
            side, _, part = label.name.lower().partition(" ")
            other = {"left": "right", "right": "left"}.get(side, side)
            found.append(index.get(f"{other} {part}", label.index) if part else label.index)
        return tuple(found)

    def check(self, classes: Sequence[int] | None) -> tuple[int, ...]:
        """``classes`` as ascending label indices without repeats (None = all labels); PaletteError if one is unknown."""
        if classes is None:
            return tuple(range(len(self)))
        chosen = tuple(sorted({int(c) for c in classes}))
        bad = [c for c in chosen if not 0 <= c < len(self)]
        if bad or not chosen:
            what = f"labels {bad}" if bad else "an empty class list"
            raise PaletteError(f"palette {self.name!r} knows labels 0..{len(self) - 1}, got {what}")
        return chosen

    def readable(self, classes: Sequence[int] | None = None) -> tuple[int, ...]:
        """``check(classes)`` without the labels whose colour a lower one of them has: what pictures can tell apart."""
        first: dict[tuple[int, int, int], int] = {}
        for c in self.check(classes):
            first.setdefault(self.labels[c].rgb, c)
        return tuple(first.values())


def read_palette(path: Path) -> Palette:
    """The palette in a JSON file of the format above; PaletteError names the file, the entry and the remedy."""
    try:
        return _palette(read_json(path))
    except PaletteError as error:
        raise PaletteError(f"{path}: {error}") from None


def _palette(raw: dict[str, Any]) -> Palette:
    check_fields(raw, _REQUIRED, _OPTIONAL)
    name, entries = check_name(raw["name"]), raw["labels"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_LABELS:
        raise PaletteError(f"'labels' must be a list of 1 to {MAX_LABELS} classes")
    labels = _labels(entries)
    void = raw["void"]
    if not _is_index(void, labels):
        raise PaletteError(
            f"'void' is {said(void)}; write the index of the class for pixels of no class, 0..{len(labels) - 1}"
        )
    _check_colours(labels, raw.get("same_colour", []))
    retired = _indices(raw, "retired", labels, ())
    things = _indices(raw, "things", labels, tuple(label.index for label in labels if label.index != void))
    index = {label.name.lower(): label.index for label in labels}
    return Palette(
        name=name,
        labels=labels,
        void=void,
        retired=retired,
        things=things,
        synonyms=palette_words.synonyms(raw.get("synonyms", {}), index),
        attributes=palette_words.attributes(raw.get("attributes", {}), index),
        not_representable=palette_words.not_representable(raw.get("not_representable", {})),
    )


def _labels(entries: list[Any]) -> tuple[Label, ...]:
    found: dict[int, Label] = {}
    by_name: dict[str, Label] = {}
    for place, entry in enumerate(entries, 1):
        where = f"entry {place} of 'labels' ({said(entry)}): "
        if not isinstance(entry, dict):
            raise PaletteError(where + 'write it as {"index": 0, "name": "wall", "rgb": [120, 120, 120]}')
        check_fields(entry, ("index", "name", "rgb"), (), where)
        index, rgb = entry["index"], entry["rgb"]
        if not _is_whole(index) or index < 0:
            raise PaletteError(f"{where}'index' must be a whole number from 0")
        name = check_name(entry["name"], f"{where}'name' ")
        if not isinstance(rgb, list) or len(rgb) != 3 or not all(_is_whole(v) and 0 <= v <= 255 for v in rgb):
            raise PaletteError(f"{where}'rgb' must be three whole numbers from 0 to 255")
        label = Label(index, name, (rgb[0], rgb[1], rgb[2]))
        if index in found:
            raise PaletteError(f"{where}index {index} is that of {found[index].name!r} already; give it another")
        if label.name.lower() in by_name:
            raise PaletteError(f"{where}the class of index {by_name[label.name.lower()].index} has this name already")
        found[index] = by_name[label.name.lower()] = label
    missing = sorted(set(range(len(found))) - set(found))
    if missing:
        raise PaletteError(
            f"no class has index {missing[0]}, but one has {said(max(found))}; "
            f"number the {len(found)} classes 0..{len(found) - 1} without gaps"
        )
    return tuple(found[index] for index in range(len(found)))


def _check_colours(labels: tuple[Label, ...], groups: Any) -> None:
    """PaletteError if two classes share a colour and are not said to, or the other way round."""
    fine = isinstance(groups, list) and all(
        isinstance(g, list) and 2 <= len(g) <= len(labels) and all(_is_index(i, labels) for i in g) for g in groups
    )
    if not fine or len(groups) > MAX_LABELS:
        raise PaletteError(f"'same_colour' must be a list of at most {MAX_LABELS} groups of indices, such as [[6, 48]]")
    for group in groups:
        if len({labels[i].rgb for i in group}) > 1:
            raise PaletteError(f"'same_colour': the classes {said(group)} have different colours; remove the group")
    told = {(min(group), index) for group in groups for index in group}
    first: dict[tuple[int, int, int], Label] = {}
    for label in labels:
        other = first.setdefault(label.rgb, label)
        if other is not label and (other.index, label.index) not in told:
            raise PaletteError(
                f"{other.name!r} (index {other.index}) and {label.name!r} (index {label.index}) have the same rgb "
                f"{list(label.rgb)}; change one, or write [{other.index}, {label.index}] into 'same_colour'"
            )


def _indices(raw: dict[str, Any], field: str, labels: Sequence[Label], default: tuple[int, ...]) -> tuple[int, ...]:
    values = raw.get(field)
    if values is None:
        return default
    bad = values if not isinstance(values, list) else [value for value in values if not _is_index(value, labels)]
    if bad or not isinstance(values, list):
        raise PaletteError(f"'{field}' must be a list of indices 0..{len(labels) - 1}, got {said(bad)}")
    return tuple(sorted(set(values)))


def _is_index(value: Any, labels: Sequence[Label]) -> bool:
    return _is_whole(value) and 0 <= value < len(labels)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
