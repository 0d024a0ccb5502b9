"""Reads a text into objects: words to classes, denials, compounds and numbers, in one pass from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..maps.palette_file import Palette
from . import vocabulary
from .compounds import LIST_WORDS, Compounds
from .numbers import Numbers
from .query import ABSENT, DESCRIBES, ObjectItem, ObjectQuery
from .tokens import BREAKS, Token

_LOOK_AHEAD = 6
"""Entries after a comma that are searched for the "or" of "no cats, dogs or birds"."""


@dataclass(frozen=True)
class Reading:
    """What of a text is asked for beside its classes.

    counts: "three dogs" asks for three regions; without it, for one. absences: "no cars" asks for a map without cars;
    without it, what a text denies is left out.
    """

    counts: bool = False
    absences: bool = False


CLASSES = Reading()
"""As the FG-DM paper counts objects: by their classes alone."""


class Sentence:
    """Reads a text once from left to right. ``negated``: a denial holds; ``passed``: it has met a word already."""

    def __init__(self, found: Sequence[Token], palette: Palette, listed: bool, reading: Reading = CLASSES) -> None:
        self.tokens, self.palette, self.listed, self.reading = found, palette, listed, reading
        self.words = [token.text for token in found]
        self.vocab = vocabulary.of(palette)
        self.english = self.vocab.english
        self.at = self.start = 0  # of the token that is read, and of the entry that it is in
        self.compounds = Compounds(found, self.vocab, listed)
        self.numbers = Numbers(self.vocab, found)
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
                self.numbers.clear()
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
        self.numbers.hear(self.at)
        self.passed = self.passed or not english.is_stop(word)
        self.at += 1

    def _named(self, end: int, entry: vocabulary.Entry) -> None:
        """Take the phrase up to ``end``, which the vocabulary knows."""
        end, role = self.compounds.role(self.start, self.at, end, entry)
        phrase = self._phrase(self.at, end)
        self.passed = True
        if role == DESCRIBES:
            self._exclude(phrase, role)
        elif role == "":
            self._leave(phrase)
            self.numbers.hear_phrase(phrase)
        else:
            self._object(phrase, end, entry, self.negated or role == ABSENT)
            self.numbers.hear_phrase(phrase)
            follows = self.words[end] if end < len(self.words) else "."
            self.negated = self.negated and (follows in ("or", "nor", "and") or not follows[0].isalnum())
        self.at = end

    def _object(self, phrase: str, end: int, entry: vocabulary.Entry, denied: bool) -> None:
        """Something that the text names, or denies."""
        plain = denied and entry.label is not None and not entry.absent
        attribute = self.vocab.attributes.get(entry.label) if entry.label is not None else None
        if plain and attribute is not None:  # "no hair" says "bald"
            self._require(phrase, attribute, 1)
        elif plain and self.reading.absences:
            self._require(phrase, replace(entry, absent=True), 1)
        elif denied:
            self._exclude(phrase, ABSENT)
        elif entry.label is not None:
            countable = self.reading.counts and entry.label in self.palette.things and not entry.absent
            self._require(phrase, entry, self.numbers.said(self.at, end) if countable else 1)
        elif entry.why:
            self._exclude(phrase, entry.why)
        else:
            self._leave(phrase)

    def _require(self, phrase: str, entry: vocabulary.Entry, count: int) -> None:
        """A class that is named twice is one object, with the larger count, held by all that either name means ("dining table"
        and "table"); a class that is to be there and to be absent is what the text says first."""
        assert entry.label is not None
        self.hit = True
        name = self.palette.labels[entry.label].name
        if entry.absent:
            name = entry.name or f"no {name}"
        item = ObjectItem(phrase, entry.label, name, entry.also, count, entry.absent, entry.needs)
        known = self.items.setdefault(entry.label, item)
        if known.absent == item.absent:
            also = tuple(dict.fromkeys((*known.also, *item.also)))
            self.items[entry.label] = replace(known, count=max(count, known.count), also=also)

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
