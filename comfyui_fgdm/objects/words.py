"""Which classes of the palette a text names: the required objects of object recall.

Longest match of words over the class names and a table of synonyms (``data/coco_synonyms.json``), with plain
English plurals; no language model. A short list written by the user always wins over what is found in a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from ..maps import palettes
from . import vocabulary


class ObjectsError(ValueError):
    """A text that names no class that can be drawn; says what to write instead."""


class ObjectMode(str, Enum):
    """How a text is read: as a prompt, as a list of names, or as whichever of the two it looks like."""

    AUTO = "auto"
    PROMPT = "prompt"
    LIST = "list"


@dataclass(frozen=True)
class ObjectItem:
    """One required object: the words of the text that name it, its label index, and the name of that class.

    also: labels that count as this object as well ("wall" is any of the seven kinds of wall).
    """

    phrase: str
    label: int
    name: str
    also: tuple[int, ...] = ()


@dataclass(frozen=True)
class ObjectQuery:
    """The required objects of a text, each label once, in the order of the text.

    unmatched: words that name no class. excluded: (phrase, why) of objects that are named but not required.
    """

    items: tuple[ObjectItem, ...]
    unmatched: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """Label index of each item, in order."""
        return tuple(item.label for item in self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Class name of each item, in order."""
        return tuple(item.name for item in self.items)

    @property
    def text(self) -> str:
        """The items as a list that ``from_list`` reads back: "dog, bicycle"."""
        return ", ".join(self.names)


_NEGATIONS = {"no", "without"}
_MARKUP = re.compile(r"<[^<>]*>|\bembedding:\S+|:\s*-?[0-9]*\.?[0-9]+(?=\s*\))")
LIST_WORDS = 4
"""Longest entry, in words, that still looks like part of a list rather than of a sentence."""


def parse(text: str, mode: ObjectMode | str = ObjectMode.AUTO) -> ObjectQuery:
    """The required objects of a text; ObjectsError if it names none.

    AUTO reads a list where commas, semicolons or lines separate entries of at most ``LIST_WORDS`` words of
    which one or more are class names or synonyms; otherwise a prompt.
    """
    mode = ObjectMode(mode)
    if mode is ObjectMode.AUTO:
        entries = _entries(text)
        short = len(entries) > 1 and all(len(entry.split()) <= LIST_WORDS for entry in entries)
        listed = short and any(_whole(_words(entry)) for entry in entries)
        mode = ObjectMode.LIST if listed else ObjectMode.PROMPT
    return from_list(text) if mode is ObjectMode.LIST else from_prompt(text)


def from_list(text: str) -> ObjectQuery:
    """Objects of a list such as "dog, bicycle; tree" (commas, semicolons, new lines); ObjectsError if none.

    An entry counts when it is a class name or synonym as a whole, or ends in one ("a small brown dog").
    """
    found = _Found()
    for entry in _entries(text):
        words = _words(entry)
        match = _whole(words) or _head(words)
        if match is None:
            found.unmatched.append(entry)
        else:
            found.add(entry, match)
    return found.query(text)


def from_prompt(text: str) -> ObjectQuery:
    """Objects named in a sentence, by longest match from the left; ObjectsError if none.

    Things the text says are absent ("no people", "without a dog") are excluded. Emphasis marks, weights,
    embeddings and tags in angle brackets, as used in prompts, are skipped.
    """
    vocab = vocabulary.coco()
    words = _words(text)
    found, start, negated = _Found(), 0, False
    while start < len(words):
        word = words[start]
        if word in _NEGATIONS:
            negated = True
        length, entry = vocab.longest(words, start)
        if entry is None:
            if not word[0].isalnum() or word in vocab.ends_negation:
                negated = False
            elif not vocab.is_stop(word):
                found.unmatched.append(word)
            start += 1
            continue
        phrase = " ".join(words[start : start + length])
        if length == 1 and vocab.is_modifier(words, start):
            found.unmatched.append(phrase)
        elif negated:
            found.excluded.append((phrase, "the text says that it is absent"))
            negated = words[start + length : start + length + 1] in (["or"], ["nor"])
        else:
            found.add(phrase, entry)
        start += length
    return found.query(text)


def restrict(query: ObjectQuery, classes: Iterable[int]) -> ObjectQuery:
    """The part of a query that a factor trained on ``classes`` can draw; ObjectsError if that is nothing.

    An item whose own label is not among them is kept under another of its labels (``also``) if possible, else
    it moves to ``excluded``. Empty ``classes`` mean that the factor does not say: nothing is moved.
    """
    known = set(classes)
    if not known:
        return query
    items: list[ObjectItem] = []
    excluded = list(query.excluded)
    for item in query.items:
        options = [label for label in (item.label, *item.also) if label in known]
        if not options:
            excluded.append((item.phrase, f"the factor was not trained to draw {item.name!r}"))
        elif options[0] not in {kept.label for kept in items}:
            name = palettes.COCO.labels[options[0]].name
            items.append(ObjectItem(item.phrase, options[0], name, tuple(options[1:])))
    if not items:
        names = ", ".join(palettes.COCO.labels[c].name for c in sorted(known))
        raise ObjectsError(f"the factor can draw none of: {query.text}; write some of these instead: {names}")
    return ObjectQuery(tuple(items), query.unmatched, tuple(excluded))


def describe(query: ObjectQuery) -> str:
    """A short report for people: required objects, excluded ones with the reason, and words without a class."""
    lines = []
    for item in query.items:
        name = item.name if item.phrase == item.name else f"{item.name} (from {item.phrase!r})"
        lines.append(f"required: {name}")
    lines += [f"not required: {phrase}: {why}" for phrase, why in query.excluded]
    if query.unmatched:
        lines.append("no class for: " + ", ".join(query.unmatched))
    return "\n".join(lines)


class _Found:
    """Collects the parts of a query in the order of the text."""

    def __init__(self) -> None:
        self.items: dict[int, ObjectItem] = {}
        self.unmatched: list[str] = []
        self.excluded: list[tuple[str, str]] = []

    def add(self, phrase: str, entry: vocabulary.Entry) -> None:
        if entry.label is None:
            if entry.why:
                self.excluded.append((phrase, entry.why))
            else:
                self.unmatched.append(phrase)
        elif entry.label not in self.items:
            name = palettes.COCO.labels[entry.label].name
            self.items[entry.label] = ObjectItem(phrase, entry.label, name, entry.also)

    def query(self, text: str) -> ObjectQuery:
        unmatched, excluded = tuple(dict.fromkeys(self.unmatched)), tuple(dict.fromkeys(self.excluded))
        if not self.items:
            raise ObjectsError(_nothing(text, excluded))
        return ObjectQuery(tuple(self.items.values()), unmatched, excluded)


def _nothing(text: str, excluded: Sequence[tuple[str, str]]) -> str:
    shown = text.strip()
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    told = "".join(f"; {phrase}: {why}" for phrase, why in excluded[:3])
    if not shown:
        return "the text is empty: write the objects to look for, for example: dog, bicycle, tree"
    return f"no object found in {shown!r}{told}; write COCO classes instead, for example: dog, bicycle, tree"


def _entries(text: str) -> list[str]:
    parts = re.split(r"[,;\n]", _MARKUP.sub(" ", text))
    return [" ".join(part.split()) for part in parts if any(ch.isalnum() for ch in part)]


def _words(text: str) -> list[str]:
    return vocabulary.words(_MARKUP.sub(" ", text))


def _whole(words: Sequence[str]) -> vocabulary.Entry | None:
    """The entry that the words name as a whole, articles and numbers before it left out."""
    vocab = vocabulary.coco()
    start = 0
    while start < len(words) - 1 and vocab.is_stop(words[start]):
        start += 1
    length, entry = vocab.longest(words, start)
    return entry if entry is not None and start + length == len(words) else None


def _head(words: Sequence[str]) -> vocabulary.Entry | None:
    """The entry of the longest phrase that ends the words: the head of an English noun phrase comes last."""
    vocab = vocabulary.coco()
    for start in range(len(words)):
        length, entry = vocab.longest(words, start)
        if entry is not None and start + length == len(words):
            return entry
    return None
