"""Which classes of a palette a text names: the required objects of object recall.

Longest match of words over the class names and their synonyms (see vocabulary.py), with plain English plurals, denials
("no people", "a street without cars"), numbers and compounds ("a queen-size bed" holds no queen); no language model. Every
entry of a list is read as a sentence is. What a user writes as a short list always wins over what a prompt seems to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ..maps import palettes
from ..maps.palette_file import Palette, PaletteError
from . import vocabulary
from .compounds import LIST_WORDS
from .query import ObjectItem as ObjectItem
from .query import ObjectQuery, ObjectsError, nothing_found
from .query import describe as describe
from .query import not_counted as not_counted
from .query import restrict as restrict
from .query import summary as summary
from .sentence import CLASSES, Reading, Sentence
from .tokens import BREAKS, Token, tokens


class ObjectMode(str, Enum):
    """How a text is read: as a prompt, as a list of names, or as whichever of the two it looks like."""

    AUTO = "auto"
    PROMPT = "prompt"
    LIST = "list"


def parse(
    text: str,
    mode: ObjectMode | str = ObjectMode.AUTO,
    palette: Palette = palettes.COCO,
    reading: Reading = CLASSES,
) -> ObjectQuery:
    """The required objects of a text, as classes of ``palette``; ObjectsError if it names none.

    The two ways of reading differ little. In a list, words too vague for a sentence ("light", "wood") count where they
    are an entry of their own, and an entry that names nothing is reported as a whole. AUTO reads a list where commas,
    semicolons or lines separate entries of at most ``LIST_WORDS`` words of which one or more are classes or synonyms.
    """
    query = read(text, mode, palette, reading)
    if not query.items:
        raise ObjectsError(nothing_found(text, query))
    return query


def read(
    text: str,
    mode: ObjectMode | str = ObjectMode.AUTO,
    palette: Palette = palettes.COCO,
    reading: Reading = CLASSES,
) -> ObjectQuery:
    """``parse`` without the error: a text that names nothing gives a query without items."""
    mode = ObjectMode(mode)
    found = tokens(text)
    if mode is ObjectMode.AUTO:
        mode = ObjectMode.LIST if _looks_like_a_list(found, palette) else ObjectMode.PROMPT
    return Sentence(found, palette, mode is ObjectMode.LIST, reading).read()


def from_list(text: str, palette: Palette = palettes.COCO) -> ObjectQuery:
    """Objects of a list such as "dog, bicycle and a tree; no people"; ObjectsError if none."""
    return parse(text, ObjectMode.LIST, palette)


def from_prompt(text: str, palette: Palette = palettes.COCO) -> ObjectQuery:
    """Objects named in a sentence; ObjectsError if none."""
    return parse(text, ObjectMode.PROMPT, palette)


def find_class(text: str, palette: Palette, classes: Sequence[int] | None = None) -> tuple[int, ...]:
    """Labels that a class name, its plural or a synonym means; the best one first, empty if it means none.

    An exact class name is that class alone; "wall" is all kinds of wall. classes: labels that may be among them.
    """
    allowed = palette.check(classes)
    try:
        found: tuple[int, ...] = (palette.index(text),)
    except PaletteError:
        entry = vocabulary.of(palette).whole(vocabulary.words(text))
        found = () if entry is None or entry.label is None else (entry.label, *entry.also)
    return tuple(label for label in found if label in allowed)


def _looks_like_a_list(found: Sequence[Token], palette: Palette) -> bool:
    entries: list[list[str]] = [[]]
    for token in found:
        if token.text in BREAKS:
            entries.append([])
        elif token.is_word:
            entries[-1].append(token.text)
    entries = [entry for entry in entries if entry]
    short = len(entries) > 1 and all(len(entry) <= LIST_WORDS for entry in entries)
    vocab = vocabulary.of(palette)
    return short and any(vocab.whole(entry) for entry in entries)
