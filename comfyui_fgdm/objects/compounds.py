"""Which nouns of a text are objects, and which only say more of the noun after them.

The head of an English compound is its last noun: a kite workshop is no kite, a queen-size bed no queen. So a noun in the
singular, right before another one, is no object

1. tied by a hyphen ("a bear-shaped cookie"), but for what the compound shows ("a snow-covered roof") and lists ("cat-and-dog");
2. before a size ("queen size bed") or the like;
3. before one of the ``heads`` ("a cat tail", "a hot dog stand"); of persons only those that are no verbs as well;
4. as a material or colour before any noun ("a metal bench"), as one of the ``kinds`` before a class ("a city bus");
5. after an article, before a person ("a bus driver"), or before one or two words that name nothing and look like nouns,
   where a word that ends such a phrase follows ("a kite workshop in town", but "a boat tied to it", "a cat pixar style").

Of persons, 5 does not hold ("a woman samurai"). The lists are those of ``data/english.json``.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import vocabulary
from .query import ABSENT, DESCRIBES
from .tokens import Token, ends

LIST_WORDS = 4
"""Words that an entry of a list has at most; a longer one is taken for part of a sentence."""


class Compounds:
    """What the phrases of one text are. ``at``: of the first word of a phrase; ``start``: of its entry; ``end``: exclusive."""

    def __init__(self, found: Sequence[Token], vocab: vocabulary.Vocabulary, listed: bool) -> None:
        self.tokens, self.vocab, self.english, self.listed = found, vocab, vocab.english, listed
        self.words = [token.text for token in found]
        self.ends = ends(found)

    def role(self, start: int, at: int, end: int, entry: vocabulary.Entry) -> tuple[int, str | None]:
        """Where a phrase that the vocabulary knows ends, and what it is: None an object, ABSENT, DESCRIBES, or "" a word
        without a class."""
        english, words = self.english, self.words
        phrase = words[at:end]
        follows = words[end] if end < len(words) else "."
        if self.tokens[end - 1].joint == "-" and follows not in ("and", "or", "n"):
            return self._hyphened(end)
        alone = len(phrase) == 1
        quiet = alone and english.is_quiet(phrase[0])
        if quiet and entry.why:
            return end, None  # a word for looks, of which the palette says why it cannot be drawn
        vague = quiet or phrase[0] in english.list_only
        if alone and vague and not (self.listed and self.is_whole_entry(start, at, end)):
            return end, ""
        if follows in ("size", "sized"):
            return end + 1, DESCRIBES
        tied = not self.tokens[end - 1].joint and follows[0].isalnum() and not english.is_stop(follows)
        if not entry.is_thing or not tied or tuple(phrase) not in self.vocab.entries:
            return end, None  # nothing follows, or this is a plural, which seldom describes
        if follows in english.attributes and self._thing(end + 1):
            return end + 1, DESCRIBES
        person = vocabulary.is_person(phrase)
        if follows in english.heads and not (person and english.is_quiet(follows)):
            return (end, DESCRIBES) if self._thing(end) else (end + 1, "")
        if english.is_quiet(follows):
            return end, None
        if alone and phrase[0] in english.modifiers:
            return end, DESCRIBES
        kind = phrase[-1] in english.kinds or " ".join(phrase) in english.kinds
        if kind and self._thing(end) and follows not in english.list_only and not self._is_bare_list(start, at):
            return end, DESCRIBES
        if person or not self._is_determined(start, at):
            return end, None
        return self._before_nouns(end)

    def is_whole_entry(self, start: int, at: int, end: int) -> bool:
        """Is the phrase from ``at`` to ``end`` all that its entry says?"""
        rest = self._entry(start, at)
        del rest[at - start : end - start]
        return bool(self._entry(start, at)) and all(self.english.is_stop(word) for word in rest)

    def _hyphened(self, end: int) -> tuple[int, str | None]:
        last = self.ends[end][0]
        if self.words[last] in ("free", "less"):
            return last + 1, ABSENT
        if self.words[last] in self.english.shows:
            return last + 1, None
        return (end if self._thing(end) else last + 1), DESCRIBES

    def _before_nouns(self, end: int) -> tuple[int, str | None]:
        """Rule 5 for a phrase that stands after an article."""
        if self._thing(end):
            length = self.vocab.longest(self.words, end)[0]
            return end, (DESCRIBES if vocabulary.is_person(self.words[end : end + length]) else None)
        last = end
        while last < min(end + 2, len(self.words)) and self.english.may_be_noun(self.words[last]):
            last += 1
            if self.tokens[last - 1].joint or self._thing(last):
                return end, None
        after = self.words[last] if last < len(self.words) else "."
        ended = self.english.is_stop(after) or after in self.english.ends_negation
        return (last, "") if last > end and ended else (end, None)

    def _is_determined(self, start: int, at: int) -> bool:
        """Do an article or the like and nothing but adjectives stand before the phrase?"""
        before = at - 1
        while before >= start and self.english.is_quiet(self.words[before]) and self.words[before][0].isalnum():
            if self.words[before] in self.english.determiners:
                return True
            before -= 1
        return False

    def _thing(self, at: int) -> bool:
        entry = self.vocab.longest(self.words, at)[1] if at < len(self.words) else None
        return entry is not None and entry.is_thing

    def _entry(self, start: int, at: int) -> list[str]:
        """The words and marks of an entry; none if they are more than a short list has."""
        end = self.ends[at][1]
        return self.words[start:end] if end - start <= 2 * LIST_WORDS else []

    def _is_bare_list(self, start: int, at: int) -> bool:
        """Are there three or more classes in a row and nothing else in this entry ("dog cat tree")?"""
        entry = self._entry(start, at)
        return len(entry) > 2 and all(
            (word,) in self.vocab.entries and self._thing(start + k) for k, word in enumerate(entry)
        )
