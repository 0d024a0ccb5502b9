"""How many of something a text asks for: "three dogs", "a dozen", "a couple of", "2 cats".

A number counts the next noun that names a class if only adjectives stand between ("two big brown dogs", "four of the
chairs") and the noun is a plural: a three story building and a two car garage are one. Digits right before the last word
of an entry of a list count a singular as well ("3 dog"). A pair of what comes in pairs (scissors, skis) is one. "several"
and "many" are no numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import vocabulary
from .tokens import Token

MAX_COUNT = 99
_HALF = ("half", "a")


class Numbers:
    """The number that was read last, as long as it may belong to the noun to come."""

    def __init__(self, vocab: vocabulary.Vocabulary, found: Sequence[Token]) -> None:
        self.vocab, self.english, self.tokens = vocab, vocab.english, found
        self.words = [token.text for token in found]
        self.clear()

    def clear(self) -> None:
        self.number, self.is_pair = 0, False

    def hear(self, at: int) -> None:
        """A word that names nothing."""
        word, english = self.words[at], self.english
        value = int(word) if word.isascii() and word.isdigit() and len(word) < 4 else english.numbers.get(word, 0)
        if value and not self.tokens[at].joint:  # not the "two" of "two-door"
            half = word == "dozen" and tuple(self.words[max(0, at - 2) : at]) in (_HALF, ("a", "half"), _HALF[:1])
            many = max(1, self.number) if word == "dozen" else 1
            self.clear()
            self.number, self.is_pair = (value // 2 if half else many * value), word == "pair"
        elif word in english.ends_negation or word in english.containers or not english.is_quiet(word):
            self.clear()

    def hear_phrase(self, phrase: str) -> None:
        """A phrase that was a noun, or is known to mean nothing."""
        self.clear()
        if phrase in self.english.count_phrases:
            self.number = self.english.count_phrases[phrase]

    def said(self, at: int, end: int) -> int:
        """How many of the phrase from ``at`` to ``end`` are asked for: 1..MAX_COUNT."""
        after = self.words[end] if end < len(self.words) else "."
        listed = at > 0 and self.words[at - 1].isdigit() and not after[0].isalnum()
        if self.number < 2 or (self.is_pair and self.words[end - 1] in self.english.paired):
            return 1
        return min(self.number, MAX_COUNT) if listed or self._is_plural(at, end) else 1

    def _is_plural(self, at: int, end: int) -> bool:
        last, before = self.words[end - 1], tuple(self.words[at : end - 1])
        if last in self.english.irregular or last in self.english.uninflected:
            return True
        return any((*before, one) in self.vocab.entries for one in self.english.singulars(last))
