"""What people call the classes of a palette: the parts of its file that are about words. Format: palette_file.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .json_file import PaletteError, check_fields, check_name, said


@dataclass(frozen=True)
class Attribute:
    """What a map shows by lacking a class: held where none of ``absent`` is present and any of ``present`` is (empty: on
    any map). Labels; phrases: what it is called, beside its name."""

    name: str
    absent: tuple[int, ...]
    present: tuple[int, ...]
    phrases: tuple[str, ...]


def synonyms(raw: Any, index: Mapping[str, int]) -> tuple[tuple[tuple[int, ...], tuple[str, ...]], ...]:
    """[(labels, phrases)] of the field "synonyms". index: labels by lower-case name."""
    if not isinstance(raw, dict) or not all(isinstance(phrases, list) for phrases in raw.values()):
        raise PaletteError('\'synonyms\' must be an object of lists, such as {"dog": ["puppy", "hound"]}')
    return tuple(
        (_labels(key, index, "'synonyms': "), _phrases(phrases, f"'synonyms' of {said(key)}"))
        for key, phrases in raw.items()
    )


def attributes(raw: Any, index: Mapping[str, int]) -> tuple[Attribute, ...]:
    """The field "attributes". index: labels by lower-case name."""
    example = '{"bald": {"absent": "hair", "present": "skin", "phrases": ["bald head"]}}'
    if not isinstance(raw, dict) or not all(isinstance(one, dict) for one in raw.values()):
        raise PaletteError(f"'attributes' must be an object of objects, such as {example}")
    found = []
    for name, one in raw.items():
        where = f"'attributes' of {said(name)}: "
        check_fields(one, ("absent",), ("present", "phrases"), where)
        for field in ("absent", "present"):
            if not isinstance(one.get(field, ""), str):
                raise PaletteError(f"{where}'{field}' must be the name of a class, or several with | between")
        if not isinstance(one.get("phrases", []), list):
            raise PaletteError(f"{where}'phrases' must be a list of texts")
        absent = _labels(one["absent"], index, f"{where}'absent': ")
        present = _labels(one["present"], index, f"{where}'present': ") if "present" in one else ()
        if set(absent) & set(present):
            raise PaletteError(f"{where}a class cannot be absent and present; remove it from one")
        found.append(
            Attribute(
                check_name(name, "'attributes': a name "), absent, present, _phrases(one.get("phrases", []), where[:-2])
            )
        )
    first: dict[int, str] = {}
    for one in found:
        if (other := first.setdefault(one.absent[0], one.name)) != one.name:
            raise PaletteError(f"'attributes': {other!r} and {one.name!r} are the absence of the same class; join them")
    return tuple(found)


def not_representable(raw: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """[(why, phrases)] of the field "not_representable"."""
    if not isinstance(raw, dict) or not all(isinstance(phrases, list) for phrases in raw.values()):
        raise PaletteError(
            '\'not_representable\' must be an object of lists, such as {"maps have no colours": ["pale"]}'
        )
    found = []
    for why, phrases in raw.items():
        if not why.strip() or not why.isprintable() or len(why) > 200:
            raise PaletteError(
                f"'not_representable': a reason must be one line of 1 to 200 characters, got {said(why)}"
            )
        found.append((why.strip(), _phrases(phrases, f"'not_representable' of {said(why)}")))
    return tuple(found)


def _labels(key: str, index: Mapping[str, int], where: str) -> tuple[int, ...]:
    names = [name.strip().lower() for name in key.split("|")]
    if len(set(names)) < len(names) or any(name not in index for name in names):
        raise PaletteError(f"{where}{said(key)} must be a class, or different ones with | between")
    return tuple(index[name] for name in names)


def _phrases(phrases: list[Any], where: str) -> tuple[str, ...]:
    return tuple(check_name(one, f"{where}: a phrase ") for one in phrases)
