"""Which classes of a palette a text names: the required objects of object recall.

Longest match of words over the class names and their synonyms (see vocabulary.py), with plain English plurals, denials
("no people", "a street without cars") and compounds ("a queen-size bed" holds no queen); no language model. Every
entry of a list is read as a sentence is. What a user writes as a short list always wins over what a prompt seems to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ..maps import palettes
from ..maps.palette_file import Palette, PaletteError
from . import vocabulary
from .query import ABSENT, DESCRIBES, ObjectItem, ObjectQuery, ObjectsError, nothing_found
from .query import describe as describe
from .query import not_counted as not_counted
from .query import restrict as restrict
from .query import summary as summary
from .tokens import BREAKS, Token, ends, tokens


class ObjectMode(str, Enum):
    """How a text is read: as a prompt, as a list of names, or as whichever of the two it looks like."""

    AUTO = "auto"
    PROMPT = "prompt"
    LIST = "list"


LIST_WORDS = 4
"""Longest entry, in words, that still looks like part of a list rather than of a sentence."""
_LOOK_AHEAD = 6
"""Entries after a comma that are searched for the "or" of "no cats, dogs or birds"."""


def parse(text: str, mode: ObjectMode | str = ObjectMode.AUTO, palette: Palette = palettes.COCO) -> ObjectQuery:
    """The required objects of a text, as classes of ``palette``; ObjectsError if it names none.

    The two ways of reading differ little. In a list, words too vague for a sentence ("light", "wood") count where they
    are an entry of their own, and an entry that names nothing is reported as a whole. AUTO reads a list where commas,
    semicolons or lines separate entries of at most ``LIST_WORDS`` words of which one or more are classes or synonyms.
    """
    query = read(text, mode, palette)
    if not query.items:
        raise ObjectsError(nothing_found(text, query))
    return query


def read(text: str, mode: ObjectMode | str = ObjectMode.AUTO, palette: Palette = palettes.COCO) -> ObjectQuery:
    """``parse`` without the error: a text that names nothing gives a query without items."""
    mode = ObjectMode(mode)
    found = tokens(text)
    if mode is ObjectMode.AUTO:
        mode = ObjectMode.LIST if _looks_like_a_list(found, palette) else ObjectMode.PROMPT
    return _Reader(found, palette, mode is ObjectMode.LIST).read()


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


class _Reader:
    """Reads a text once from left to right. ``negated``: a denial holds; ``passed``: it has met a word already."""

    def __init__(self, found: Sequence[Token], palette: Palette, listed: bool) -> None:
        self.tokens, self.palette, self.listed = found, palette, listed
        self.words = [token.text for token in found]
        self.vocab = vocabulary.of(palette)
        self.english = self.vocab.english
        self.at = self.start = 0  # of the token that is read, and of the entry that it is in
        self.ends = ends(found)
        self.negated = self.passed = False
        self.items: dict[int, ObjectItem] = {}
        self.unmatched: list[str] = []
        self.excluded: list[tuple[str, str]] = []
        self.left: list[str] = []  # of this entry: words without a class
        self.hit = False  # has this entry named anything?

    def read(self) -> ObjectQuery:
        english = self.english
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if not token.is_word:
                self._mark(token.text)
                self.at += 1
            elif length := self._starts(english.affirmations):
                self.negated = False
                self.at += length
            elif length := self._starts(english.nobody):
                self._exclude(self._phrase(self.at, self.at + length), ABSENT)
                self.at += length
            elif length := self._starts(english.negation_phrases) or int(token.text in english.negations | {"0"}):
                self.negated, self.passed = True, False
                self.at += length
            else:
                self._word()
        self._end_entry()
        excluded = tuple(dict.fromkeys(self.excluded))
        return ObjectQuery(tuple(self.items.values()), tuple(dict.fromkeys(self.unmatched)), excluded, self.palette)

    def _mark(self, mark: str) -> None:
        if mark == ".":
            self.negated = False
        elif mark == ",":
            self.negated = self.negated and self.passed and self._or_follows()
        elif mark == ")" and self.passed:
            self.negated = False
        elif mark == "&":
            self._and()
        if mark in BREAKS:
            self._end_entry()
            self.start = self.at + 1

    def _word(self) -> None:
        length, entry = self.vocab.longest(self.words, self.at)
        if entry is not None:
            self._named(self.at + length, entry)
            return
        word, english = self.words[self.at], self.english
        if word in english.turns:
            self.negated = False
        elif word == "and":
            self._and()
        elif word in english.ends_negation:
            self.negated = self.negated and not self.passed
        elif not english.is_quiet(word):
            self._leave(word)
        self.passed = self.passed or not english.is_stop(word)
        self.at += 1

    def _named(self, end: int, entry: vocabulary.Entry) -> None:
        """Take the phrase up to ``end``, which the vocabulary knows."""
        end, role = self._role(end, entry)
        phrase = self._phrase(self.at, end)
        if role is not None and role != ABSENT:
            if role == DESCRIBES:
                self._exclude(phrase, role)
            else:
                self._leave(phrase)
            self.passed = True
        else:
            if self.negated or role == ABSENT:
                self._exclude(phrase, ABSENT)
            elif entry.label is not None:
                self.hit = True
                name = self.palette.labels[entry.label].name
                self.items.setdefault(entry.label, ObjectItem(phrase, entry.label, name, entry.also))
            elif entry.why:
                self._exclude(phrase, entry.why)
            else:
                self._leave(phrase)
            self.passed = True
            follows = self.words[end] if end < len(self.words) else "."
            self.negated = self.negated and (follows in ("or", "nor", "and") or not follows[0].isalnum())
        self.at = end

    def _role(self, end: int, entry: vocabulary.Entry) -> tuple[int, str | None]:
        """Where the phrase ends and what it is: None an object, ABSENT, DESCRIBES, or "" a word without a class."""
        english, words = self.english, self.words
        phrase = words[self.at : end]
        follows = words[end] if end < len(words) else "."
        if self.tokens[end - 1].joint == "-" and follows not in ("and", "or", "n"):
            last = self.ends[end][0]
            if words[last] in ("free", "less"):
                return last + 1, ABSENT
            if words[last] in english.shows:
                return last + 1, None
            return (end if self._thing(end) else last + 1), DESCRIBES
        alone = len(phrase) == 1
        vague = phrase[0] in english.list_only or english.is_quiet(phrase[0])
        if alone and vague and not (self.listed and self._is_whole_entry(end)):
            return end, ""
        if follows in ("size", "sized"):
            return end + 1, DESCRIBES
        tied = not self.tokens[end - 1].joint and follows[0].isalnum() and not english.is_stop(follows)
        if not entry.is_thing or not tied or tuple(phrase) not in self.vocab.entries:
            return end, None  # nothing follows, or this is a plural, which seldom describes
        if follows in english.attributes and self._thing(end + 1):
            return end + 1, DESCRIBES
        if english.is_quiet(follows):
            return end, None
        if alone and phrase[0] in english.modifiers:
            return end, DESCRIBES
        if follows in english.heads:
            return end + 1, ""
        kind = phrase[-1] in english.kinds or " ".join(phrase) in english.kinds
        if kind and self._thing(end) and follows not in english.list_only and not self._is_bare_list():
            return end, DESCRIBES
        return end, None

    def _thing(self, at: int) -> bool:
        entry = self.vocab.longest(self.words, at)[1] if at < len(self.words) else None
        return entry is not None and entry.is_thing

    def _entry(self) -> list[str]:
        """The words and marks of this entry; none if they are more than a short list has."""
        end = self.ends[self.at][1]
        return self.words[self.start : end] if end - self.start <= 2 * LIST_WORDS else []

    def _is_whole_entry(self, end: int) -> bool:
        """Is the phrase from here to ``end`` all that its entry says?"""
        rest = self._entry()
        del rest[self.at - self.start : end - self.start]
        return bool(self._entry()) and all(self.english.is_stop(word) for word in rest)

    def _is_bare_list(self) -> bool:
        """Are there three or more classes in a row and nothing else in this entry ("dog cat tree")?"""
        entry = self._entry()
        return len(entry) > 2 and all(
            (word,) in self.vocab.entries and self._thing(self.start + k) for k, word in enumerate(entry)
        )

    def _and(self) -> None:
        """A denial goes past "and" only to a bare noun: "no cars and buses", but "no cars and a bus"."""
        if self.negated and self.passed:
            self.negated = self.at + 1 < len(self.words) and self.vocab.longest(self.words, self.at + 1)[1] is not None

    def _or_follows(self) -> bool:
        """After a comma: do bare nouns and an "or" follow, as in "no cats, dogs or birds"?"""
        entry: list[str] = []
        entries = 0
        for word in self.words[self.at + 1 : self.at + 1 + _LOOK_AHEAD * (LIST_WORDS + 1)]:
            if word in ("or", "nor"):
                return True
            if word == ",":
                entries, entry = entries + 1, []
            elif word in ("any",) or (word[0].isalnum() and not self.english.is_quiet(word)):
                entry.append(word)
            else:
                return False
            if entries >= _LOOK_AHEAD or len(entry) >= LIST_WORDS:
                return False
        return False

    def _starts(self, phrases: frozenset[tuple[str, ...]]) -> int:
        """Length of the one of ``phrases`` that starts here, or 0."""
        return next((n for n in (1, 2) if tuple(self.words[self.at : self.at + n]) in phrases), 0)

    def _phrase(self, start: int, end: int) -> str:
        parts = [token.text + ("-" if token.joint == "-" else " ") for token in self.tokens[start : end - 1]]
        return "".join(parts) + self.words[end - 1]

    def _leave(self, phrase: str) -> None:
        if self.negated:
            self._exclude(phrase, ABSENT)
        else:
            self.left.append(phrase)

    def _exclude(self, phrase: str, why: str) -> None:
        self.hit = True
        self.excluded.append((phrase, why))

    def _end_entry(self) -> None:
        if self.listed and self.left and not self.hit:
            words = [word for word in self.words[self.start : self.at] if word[0].isalnum()]
            while self.english.is_stop(words[0]):
                words.pop(0)
            self.left = [" ".join(words)]
        self.unmatched += self.left
        self.left, self.hit = [], False
