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

Names are one line of at most 64 printable characters; a file is UTF-8 (with or without a byte order mark) of at most
1 MB.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_LABELS = 1024
MAX_NAME = 64
MAX_BYTES = 1_000_000
_REQUIRED = ("name", "void", "labels")
_OPTIONAL = ("about", "retired", "same_colour", "things", "synonyms")


class PaletteError(ValueError):
    """A label, class, picture or file that a palette cannot represent."""


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
    label and the others count as well.
    """

    name: str
    labels: tuple[Label, ...]
    void: int
    retired: tuple[int, ...] = ()
    things: tuple[int, ...] = ()
    synonyms: tuple[tuple[tuple[int, ...], tuple[str, ...]], ...] = ()

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


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; PaletteError if it cannot be read, is something else or repeats a key."""
    try:
        raw = json.loads(_text(Path(path)), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise PaletteError(f"cannot be read ({error.strerror or error}); check the path") from None
    except json.JSONDecodeError as error:
        raise PaletteError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise PaletteError("is not JSON of a palette: nested too deeply") from None
    except PaletteError:
        raise
    except ValueError:  # of Python's limit, some 4300
        raise PaletteError("holds a number of too many digits; colours and indices have at most four") from None
    if not isinstance(raw, dict):
        raise PaletteError(f"must hold a JSON object {{...}}, not {type(raw).__name__}")
    return raw


def _text(path: Path) -> str:
    """The text of a file; OSError if it cannot be read, PaletteError for one that is too large or no text."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise PaletteError("is no file; remove it")
    if found.st_size > MAX_BYTES:
        raise PaletteError(
            f"is {found.st_size / 1e6:.1f} MB, a palette or table has at most {MAX_BYTES / 1e6:.1f} MB; remove it"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors begin files with a byte order mark
    except UnicodeDecodeError:
        raise PaletteError("is no text in UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise PaletteError("is no text in UTF-8 (it looks like UTF-16 or UTF-32); save it as UTF-8")
    return text


def said(value: Any, most: int = 80) -> str:
    """A value for a message: shortened, in printable characters."""
    try:
        text = json.dumps(value) if isinstance(value, (dict, list)) else repr(value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def check_name(value: Any, where: str = "'name' ") -> str:
    """A name without blanks around it; PaletteError unless it is one line of 1 to ``MAX_NAME`` printable characters."""
    if not isinstance(value, str) or not value.strip():
        raise PaletteError(f"{where}must be a text that is not empty, got {said(value)}")
    if len(name := value.strip()) > MAX_NAME:
        raise PaletteError(f"{where}must have at most {MAX_NAME} characters, has {len(name)}; shorten it")
    if not name.isprintable():
        raise PaletteError(f"{where}must be one line of printable characters, got {said(name)}")
    return name


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise PaletteError(f"{said(key)} is there twice; remove one")
        found[key] = value
    return found


def check_fields(raw: dict[str, Any], required: Sequence[str], optional: Sequence[str], where: str = "") -> None:
    """PaletteError if a field is missing or unknown; ``where`` names the entry, with a colon at its end."""
    for name in required:
        if name not in raw:
            raise PaletteError(f"{where}{name!r} is missing; add it")
    for name in raw:
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise PaletteError(f"{where}unknown field {said(name)}; remove or rename it, the fields are {known}")


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
    return Palette(name, labels, void, retired, things, _synonyms(raw.get("synonyms", {}), labels))


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


def _synonyms(raw: Any, labels: Sequence[Label]) -> tuple[tuple[tuple[int, ...], tuple[str, ...]], ...]:
    if not isinstance(raw, dict) or not all(isinstance(phrases, list) for phrases in raw.values()):
        raise PaletteError('\'synonyms\' must be an object of lists, such as {"dog": ["puppy", "hound"]}')
    index = {label.name.lower(): label.index for label in labels}
    found = []
    for key, phrases in raw.items():
        names = [name.strip().lower() for name in key.split("|")]
        unknown = [name for name in names if name not in index]
        if unknown or len(set(names)) < len(names):
            raise PaletteError(f"'synonyms': {said(key)} must be a class, or different ones with | between")
        where = f"'synonyms' of {said(key)}: a phrase "
        found.append((tuple(index[name] for name in names), tuple(check_name(one, where) for one in phrases)))
    return tuple(found)


def _is_index(value: Any, labels: Sequence[Label]) -> bool:
    return _is_whole(value) and 0 <= value < len(labels)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
