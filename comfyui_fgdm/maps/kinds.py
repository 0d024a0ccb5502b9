"""The table of the kinds of variables: those of this pack, one file each, and those that other code registers."""

from __future__ import annotations

import re

from . import depth, normal, pose, segmentation, sketch
from .variable import VariableError, VariableKind

__all__ = ["VariableError", "VariableKind", "find", "get", "names", "of_unknown_name", "register"]

_KINDS: dict[str, VariableKind] = {}


def register(kind: VariableKind) -> None:
    """Add a variable; VariableError for a name that is taken or is no lower-case word of letters, digits and _."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind.name):
        raise VariableError(f"a variable's name is a lower-case word of letters, digits and _, got {kind.name!r}")
    if _KINDS.get(kind.name, kind) != kind:
        raise VariableError(f"there is a variable {kind.name!r} already; choose another name")
    _KINDS[kind.name] = kind


for _module in (segmentation, depth, normal, sketch, pose):
    register(_module.KIND)


def names() -> tuple[str, ...]:
    """Names of the known variables, in alphabetical order."""
    return tuple(sorted(_KINDS))


def find(name: str) -> VariableKind | None:
    """The variable of that name, or None."""
    return _KINDS.get(name)


def get(name: str) -> VariableKind:
    """The variable of that name; VariableError naming the known ones if there is none."""
    if name not in _KINDS:
        raise VariableError(f"unknown variable {name!r}; known: {', '.join(names())}")
    return _KINDS[name]


def of_unknown_name(name: str, palette: str | None) -> VariableKind:
    """What can be known of a variable that is not in the table: its factor can be sampled; if its maps have a palette
    they are read and painted as label maps, otherwise only shown as drawn."""
    about = "a variable that this installation does not know"
    if palette is None:
        return VariableKind(name, name, about, "values of an unknown kind")
    labels = segmentation.KIND
    return VariableKind(name, name, about, labels.values, labels.draw, labels.read, clean=labels.clean, palette=palette)
