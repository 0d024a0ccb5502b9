"""What is to be added and what removed, as a user writes it: "+elephant -dog, -red car"."""

from __future__ import annotations

import re
from typing import NamedTuple

_ENTRIES = re.compile(r"[,;\n]|(?<!\S)(?=[+\-\u2212]\s*\w)")
_SIGNS = {"+": False, "-": True, "\u2212": True}


class Change(NamedTuple):
    """One concept. remove: away from it instead of towards it."""

    text: str
    remove: bool


def read_changes(text: str) -> list[Change]:
    """The concepts of a text, in order. Commas, semicolons, lines and signs at the start of a word separate them; a minus
    removes, a plus or no sign adds. Hyphens inside words are part of them. Empty if no words are left."""
    found = []
    for entry in _ENTRIES.split(text):
        words = entry.strip()
        remove = False
        if words[:1] in _SIGNS:
            remove, words = _SIGNS[words[0]], words[1:].strip()
        if any(letter.isalnum() for letter in words):
            found.append(Change(words, remove))
    return found
