"""Words and phrases -> classes of a palette.

A palette's phrases are, the first going before the later ones: attributes, synonyms and what cannot be drawn in its own file; for shipped palettes
those in ``data``; the names of its classes; and the synonyms of those COCO classes that are classes of the palette as
well, by name or by a table of classes. What holds for English whatever the classes is in ``data/english.json``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..maps import conversion, palettes
from ..maps.palette_file import Label, Palette, PaletteError
from . import tokens

_PERSON = palettes.COCO.index("person")
MAX_PHRASE = 16
"""Longest name, in words, that is looked for in a text."""


@dataclass(frozen=True)
class Entry:
    """What a phrase means: a label and the labels that count as well; or no label, and why (may be empty).

    absent: it means that these labels are missing, on a map where any of ``needs`` is there; it is then called ``name``.
    """

    label: int | None
    also: tuple[int, ...] = ()
    why: str = ""
    absent: bool = False
    needs: tuple[int, ...] = ()
    name: str = ""

    @property
    def is_thing(self) -> bool:
        """Does the phrase name something, if only something that cannot be drawn?"""
        return self.label is not None or bool(self.why)


def words(text: str) -> list[str]:
    """Lower-case words and single marks of a text, as phrases are looked up; see ``tokens``."""
    return [token.text for token in tokens.tokens(text)]


@dataclass(frozen=True)
class English:
    """Word lists of ``data/english.json``, where each is explained."""

    irregular: dict[str, str]
    stop: frozenset[str]
    quiet: frozenset[str]
    negations: frozenset[str]
    negation_phrases: frozenset[tuple[str, ...]]
    affirmations: frozenset[tuple[str, ...]]
    nobody: frozenset[tuple[str, ...]]
    ends_negation: frozenset[str]
    turns: frozenset[str]
    list_only: frozenset[str]
    modifiers: frozenset[str]
    kinds: frozenset[str]
    heads: frozenset[str]
    attributes: frozenset[str]
    follows: frozenset[str]
    determiners: frozenset[str]
    numbers: dict[str, int]
    count_phrases: dict[str, int]
    containers: frozenset[str]
    uninflected: frozenset[str]
    paired: frozenset[str]
    shows: frozenset[str]
    ignored: tuple[str, ...]

    def singulars(self, word: str) -> list[str]:
        """Forms of which ``word`` may be the plural, the likeliest first; none for words that are no plurals."""
        if word in self.irregular:
            return [self.irregular[word]]
        if len(word) < 3 or not word.endswith("s") or word.endswith("ss"):
            return []
        if word.endswith("ies"):
            return [word[:-3] + "y", word[:-1]]
        if word.endswith("ves"):
            return [word[:-3] + "f", word[:-3] + "fe", word[:-1]]
        if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
            return [word[:-2], word[:-1]]
        return [word[:-1]]

    def is_stop(self, word: str) -> bool:
        """Words that say nothing of objects, numbers and marks: never part of a name, never reported."""
        return word in self.stop or word.isdigit() or not word[0].isalnum()

    def may_be_noun(self, word: str) -> bool:
        """May a word that names nothing, right after a noun, be the head of its compound ("a kite workshop")? Not if it is
        a verb, an adjective, an adverb or a preposition: by its ending, or because the lists say so."""
        if word in self.heads:
            return True
        known = self.is_quiet(word) or word in self.follows or word in self.determiners
        return not known and not word.endswith(("s", "ing", "ed", "ly")) and word.isalpha()

    def is_quiet(self, word: str) -> bool:
        """Words that are not worth reporting where they name no class."""
        return self.is_stop(word) or word in self.quiet or word in self.negations or word[0].isdigit()


@functools.lru_cache(maxsize=1)
def english() -> English:
    """The word lists, read once."""
    raw = json.loads((palettes.DATA_DIR / "english.json").read_text(encoding="utf-8"))
    phrases = ("negation_phrases", "affirmations", "nobody")
    tables = ("irregular", "numbers", "count_phrases")
    sets: dict[str, Any] = {
        name: frozenset(raw[name]) for name in English.__annotations__ if name not in (*phrases, *tables, "ignored")
    }
    split: dict[str, Any] = {name: frozenset(tuple(phrase.split()) for phrase in raw[name]) for name in phrases}
    return English(ignored=tuple(raw["ignored"]), **{name: raw[name] for name in tables}, **sets, **split)


class Vocabulary:
    """Phrases (tuples of words) of a palette with their entries."""

    def __init__(self, palette: Palette) -> None:
        self.english = english()
        self.entries: dict[tuple[str, ...], Entry] = {}
        self.attributes: dict[int, Entry] = {}  # by the label that is missing
        for one in palette.attributes:
            entry = Entry(one.absent[0], one.absent[1:], "", True, one.present, one.name)
            self.attributes[one.absent[0]] = entry
            self._add_all((one.name, *one.phrases), entry)
        for labels, phrases in palette.synonyms:
            self._add_all(phrases, Entry(labels[0], labels[1:]))
        for why, phrases in palette.not_representable:
            self._add_all(phrases, Entry(None, (), why))
        coco = palette == palettes.COCO
        if coco:
            for labels, phrases in _coco_synonyms():
                self._add_all(phrases, Entry(labels[0], labels[1:]))
        named = [label for label in palette.labels if label.index != palette.void]
        usable, unusable = _usable(palette), {}
        if not coco:  # whose own table says so
            unusable = {x.index: _why_not(palette, x) for x in named if x.index not in usable}
        for label in named:  # after the synonyms, which may widen a name: "table", "fruit"
            if label.index in usable:
                self._add(label.name, Entry(label.index))
            elif label.index in unusable:
                self._add(label.name, Entry(None, (), unusable[label.index]))
        for label in named:
            if label.index in usable:
                self._add_singular(label.name, Entry(label.index))
        if coco:
            for why, phrases in _coco_table()["excluded"].items():
                self._add_all(phrases, Entry(None, (), why))
        else:
            for phrase, entry in _from_coco(palette):
                self._add(phrase, entry)
            for phrase in (phrase for phrases in _coco_table()["excluded"].values() for phrase in phrases):
                if any((singular,) in self.entries for singular in self.english.singulars(phrase)):
                    self._add(phrase, Entry(None))  # "glasses" are no plural of "glass"
        self._add_all(self.english.ignored, Entry(None))
        self.longest_phrase = max(len(key) for key in self.entries)

    def _add_all(self, phrases, entry: Entry) -> None:
        for phrase in phrases:
            self._add(phrase, entry)

    def _add(self, phrase: str, entry: Entry) -> None:
        key = tuple(words(phrase))
        if 0 < len(key) <= MAX_PHRASE:
            self.entries.setdefault(key, entry)

    def _add_singular(self, name: str, entry: Entry) -> None:
        key = tuple(words(name))
        for last in self.english.singulars(key[-1]) if key else ():
            self.entries.setdefault((*key[:-1], last), entry)

    def longest(self, text: Sequence[str], start: int) -> tuple[int, Entry | None]:
        """Words used and entry of the longest phrase at ``start``; (0, None) if there is none."""
        for length in range(min(self.longest_phrase, len(text) - start), 0, -1):
            key = tuple(text[start : start + length])
            for last in (key[-1], *self.english.singulars(key[-1])):
                if (entry := self.entries.get((*key[:-1], last))) is not None:
                    return length, entry
        return 0, None

    def whole(self, text: Sequence[str]) -> Entry | None:
        """The entry that the words name as a whole, articles and numbers before it left out."""
        start = 0
        while start < len(text) - 1 and self.english.is_stop(text[start]) and self.longest(text, start)[1] is None:
            start += 1
        length, entry = self.longest(text, start)
        return entry if entry is not None and start + length == len(text) else None


@functools.lru_cache(maxsize=16)
def of(palette: Palette) -> Vocabulary:
    """The vocabulary of a palette, built once."""
    return Vocabulary(palette)


def is_person(phrase: Sequence[str]) -> bool:
    """Do the words, in the singular, name a person, whatever the palette?"""
    entry = of(palettes.COCO).entries.get(tuple(phrase))
    return entry is not None and entry.label == _PERSON


@functools.lru_cache(maxsize=1)
def _coco_table() -> dict:
    return json.loads((palettes.DATA_DIR / "coco_synonyms.json").read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=1)
def _coco_synonyms() -> list[tuple[tuple[int, ...], list[str]]]:
    """[(labels, phrases)]: the first label and those that count as well."""
    index = {label.name: label.index for label in palettes.COCO.labels}
    return [(tuple(index[name] for name in key.split("|")), found) for key, found in _coco_table()["synonyms"].items()]


def _from_coco(palette: Palette) -> Iterator[tuple[str, Entry]]:
    """Names and synonyms of the COCO classes that are classes of another palette."""
    twins = _twins(palette)
    for labels, phrases in _coco_synonyms():
        found = tuple(dict.fromkeys(twins[label] for label in labels if label in twins))
        if found:
            yield from ((phrase, Entry(found[0], found[1:])) for phrase in phrases)
    for label, twin in twins.items():
        yield palettes.COCO.labels[label].name, Entry(twin)


def _twins(palette: Palette) -> dict[int, int]:
    """Labels of COCO -> labels of another palette that mean the same."""
    twins: dict[int, int] = {}
    try:
        table = conversion.table_between(palettes.COCO, palette)
        twins.update((label, table.targets[label]) for label in table.mapped)
    except PaletteError:
        pass  # there is no table, so classes are the same if their names are
    usable = _usable(palette)
    named = {palette.labels[label].name.lower(): label for label in usable}
    twins.update((x.index, named[x.name]) for x in palettes.COCO.labels if x.name in named)
    return {label: twin for label, twin in twins.items() if twin in usable}


def _usable(palette: Palette) -> frozenset[int]:
    """Labels that can be found on a map: those that occur, have a colour of their own and are not void."""
    return frozenset(palette.readable()) - {palette.void, *palette.retired}


def _why_not(palette: Palette, label: Label) -> str:
    if label.index in palette.retired:
        return f"maps of {palette.name!r} have no regions of this class"
    same = next(other for other in palette.labels if other.rgb == label.rgb)
    return f"its colour on maps of {palette.name!r} is that of {same.name!r}"
