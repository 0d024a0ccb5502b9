"""A prompt as words and marks: emphasis, weights, escapes, embeddings and the like are read away here.

What is left are words (letters and digits, lower case, without accents) and these marks:

    .  ends a thought: full stop, ? and !, BREAK, AND
    ,  separates entries: comma, semicolon, colon, line, dash
    (  and ) stand for all brackets
    /  joins alternatives: slash and bar
    &  joins: ampersand and plus
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

BREAKS = frozenset(".,")
"""Marks between entries of a list."""

_MARKS = {"?": ".", "!": ".", ";": ",", ":": ",", "\n": ",", "|": "/", "+": "&"}
_MARKS |= dict.fromkeys("[{", "(") | dict.fromkeys("]}", ")") | {mark: mark for mark in ".,()/&"}
_TYPOGRAPHY = {
    "\u2019": "'",
    "\u2018": "'",
    "\u00b4": "'",
    "\u2013": " - ",
    "\u2014": " - ",
    "\u3001": ",",
    "\u3002": ".",
}
_TAGS = re.compile(r"<[^<>]*>|\bembedding:\S+|(?<!\S)--[a-z]+(?:\s+[\d.:]+)?", re.IGNORECASE)
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_WEIGHT = re.compile(rf"::?\s*-?{_NUMBER}(?=\s*[)\]}}\n]|\s*$|\s*[,.]?\s)")
_NOTHING = re.compile(rf"\(([^()]*):\s*(?:-\s*{_NUMBER}|0+(?:\.0*)?|\.0+)\s*\)")
_NOT = re.compile(r"\b(?:is|are|was|were|do|does|did|has|have|had|ca|could|would|should|wo)n'?t\b|\bcannot\b")
_TOKEN = re.compile(r"'s(?![^\W_])|(\d+(?:\.\d+)?(?![^\W_]))|([^\W_]+)|([-.,;:!?()\[\]{}|/&+\n])")


@dataclass(frozen=True)
class Token:
    """A word or a mark. joint: what ties a word to the next one: "-" a hyphen, "'" a possessive, "" nothing."""

    text: str
    joint: str = ""

    @property
    def is_word(self) -> bool:
        return self.text[0].isalnum()


def tokens(text: str) -> list[Token]:
    """Words and marks of a prompt, in order. Time is linear in the length of the text."""
    found: list[Token] = []
    for match in _TOKEN.finditer(_plain(text)):
        number, word, mark = match.groups()
        if number or word:
            found.append(Token(number or word, _joint(match.string, match.end())))
        elif mark and mark != "-":
            found.append(Token(_MARKS[mark]))
        elif mark and match.string[match.end() : match.end() + 1].isspace():  # a dash, or the mark of a list
            found.append(Token(","))
    return found


def ends(found: Sequence[Token]) -> list[tuple[int, int]]:
    """Of each token, the place of the last word of its compound and the end (exclusive) of its entry."""
    places, entry_end = [(0, 0)] * len(found), len(found)
    for place in range(len(found) - 1, -1, -1):
        if found[place].text in BREAKS:
            entry_end = place
        tied = found[place].joint == "-" and place + 1 < len(found)
        places[place] = places[place + 1][0] if tied else place, entry_end
    return places


def _plain(text: str) -> str:
    text = text.translate(str.maketrans(_TYPOGRAPHY))
    text = _TAGS.sub(" ", text).replace("\\", "")
    text = re.sub(r"\bBREAK\b", " . ", text)
    if not text.isupper():
        text = re.sub(r"\bAND\b", " . ", text)
    text = _NOTHING.sub(r" , without \1 , ", text)  # a weight of nothing or less
    text = _WEIGHT.sub(" ", text)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    text = re.sub(r"\bw/o\b", "without", _NOT.sub(" not ", text))
    text = re.sub(r"(?<=\d)(?=[^\W\d_]{3})", " ", text)  # 1girl, 2cats; but 35mm, 8k
    return re.sub(r"[^\S\n]+", " ", text)


def _joint(text: str, end: int) -> str:
    rest = text[end : end + 2]
    if rest[:1] == "'":
        return "'" if rest == "'s" or not rest[1:].isalnum() else ""
    return "-" if rest[:1] == "-" and rest[1:].isalnum() else ""
