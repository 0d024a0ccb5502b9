"""Where a text says a thing: its words, and, where tokens are counted, the token by which a text encoder says it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import words

_PARTS = re.compile(r"[^\W_]+")
_AFTER = re.compile(r"[,.;:!?]+$")
MOST_TOKENS = 76
"""That a text encoder of Stable Diffusion sees, the start among them."""


@dataclass(frozen=True)
class Subjects:
    """Which tokens of a prompt are to be attended to. names: their words. length: tokens of the prompt, the start among them."""

    tokens: tuple[int, ...]
    names: tuple[str, ...]
    length: int


def mention(text: str, phrase: str) -> tuple[int, ...]:
    """Numbers of the words of a text (split at blanks, from 0) that are a phrase, at its first mention; empty if there is none."""
    parts = [(number, part) for number, word in enumerate(text.lower().split()) for part in _PARTS.findall(word)]
    wanted = _PARTS.findall(phrase.lower())
    for at in range(len(parts) - len(wanted) + 1):
        if wanted and [part for _, part in parts[at : at + len(wanted)]] == wanted:
            return tuple(number for number, _ in parts[at : at + len(wanted)])
    return ()


def subjects_of(text: str, count: Callable[[str], int], asked: str = "") -> Subjects:
    """The last token of each subject. count: of the tokens of a word, or of signs. asked: subjects as the text has them,
    separated by commas; empty: all objects that the text names.

    ValueError that names the input for a text without any, words that are not in it, and a text that is too long.
    """
    parts = text.split()
    counts = [count(part) for part in parts]
    wanted = [one.strip() for one in asked.split(",") if one.strip()]
    found: dict[str, int] = {}
    for phrase in wanted or [item.phrase for item in words.read(text).items if not item.absent]:
        if at := mention(text, phrase):
            after = _AFTER.search(parts[at[-1]])
            found[phrase] = sum(counts[: at[-1] + 1]) - (count(after[0]) if after else 0)
        elif wanted:
            raise ValueError(f"words: {phrase!r} is not in the text {text[:60]!r}. Write it as it stands there.")
    if not found:
        raise ValueError(f"words: no object is named in {text[:60]!r}. Write words of the text, such as its nouns.")
    length = 1 + sum(counts)
    if length > MOST_TOKENS:
        raise ValueError(
            f"text: it has {length - 1} tokens, and at most {MOST_TOKENS - 1} are attended to. Shorten it."
        )
    return Subjects(tuple(found.values()), tuple(found), length)
