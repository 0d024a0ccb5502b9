"""The tiny family's tokenizer: one token per known word, the same table for training and for the host."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

START, END, UNKNOWN = 0, 1, 2
LENGTH = 48
_PIECES = re.compile(r"[a-z]+|,")


@lru_cache(maxsize=1)
def table() -> dict[str, int]:
    """word -> token id, from data/iconworld_vocab.json (ids are stable: words are only ever appended)."""
    words = json.loads((Path(__file__).parents[2] / "data" / "iconworld_vocab.json").read_text(encoding="utf-8"))
    return {word: number + UNKNOWN + 1 for number, word in enumerate(words)}


def words_of(text: str) -> list[str]:
    """Lower-case words and commas of a text; everything else separates."""
    return _PIECES.findall(text.lower())


def encode(words: Sequence[str], length: int = LENGTH) -> list[int]:
    """Token ids with start and end, padded with END to `length`; longer texts are cut."""
    known = table()
    ids = [START, *(known.get(word, UNKNOWN) for word in words)][: length - 1]
    return ids + [END] * (length - len(ids))
