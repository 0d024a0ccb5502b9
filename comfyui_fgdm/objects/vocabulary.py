"""Words and phrases -> classes of the COCO palette, from ``data/coco_synonyms.json``."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ..maps import palettes

_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


@dataclass(frozen=True)
class Entry:
    """What a phrase means: a label and the labels that count as well; or no label, and why (may be empty)."""

    label: int | None
    also: tuple[int, ...] = ()
    why: str = ""


def words(text: str) -> list[str]:
    """Lower-case words and single punctuation marks. Accents are dropped, hyphens and possessive 's removed."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'")).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"'s\b|s'(?=\s)", lambda m: "s" if m.group().startswith("s'") else "", plain)
    return _TOKEN.findall(re.sub(r"(?<=\w)[-_'](?=\w)", " ", plain))


class Vocabulary:
    """Phrases (tuples of words) with their entries, and words that matter for reading prompts."""

    def __init__(self, palette: palettes.Palette, table: dict) -> None:
        names = {label.name: label.index for label in palette.labels if label.index != palette.void}
        self.entries: dict[tuple[str, ...], Entry] = {}
        for key, phrases in table["synonyms"].items():
            label, *also = (names[name] for name in key.split("|"))
            for phrase in phrases:
                self._add(phrase, Entry(label, tuple(also)))
        for name, index in names.items():  # after the synonyms, which may widen a name: "table", "fruit"
            if index not in palette.retired:
                self._add(name, Entry(index))
        for why, phrases in table["excluded"].items():
            for phrase in phrases:
                self._add(phrase, Entry(None, (), why))
        for phrase in table["ignored"]:
            self._add(phrase, Entry(None))
        self.irregular: dict[str, str] = table["irregular"]
        self.modifiers = frozenset(table["modifiers"])
        self.kinds = frozenset(table["kinds"])
        self.list_only = frozenset(table["list_only"])
        self.stop = frozenset(table["stop"])
        self.ends_negation = frozenset({"and", "but", "with", "on", "in", "at", "under", "near"})
        self.longest_phrase = max(len(key) for key in self.entries)

    def _add(self, phrase: str, entry: Entry) -> None:
        self.entries.setdefault(tuple(words(phrase)), entry)

    def longest(self, text: Sequence[str], start: int) -> tuple[int, Entry | None]:
        """Words used and entry of the longest phrase at ``start``; (0, None) if there is none."""
        for length in range(min(self.longest_phrase, len(text) - start), 0, -1):
            key = tuple(text[start : start + length])
            for last in (key[-1], *self.singulars(key[-1])):
                if (entry := self.entries.get((*key[:-1], last))) is not None:
                    return length, entry
        return 0, None

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
        """Words that are never reported as unmatched."""
        return word in self.stop or word.isdigit() or not word[0].isalnum()

    def is_modifier(self, text: Sequence[str], at: int) -> bool:
        """Is the single word ``text[at]`` of a sentence no object: too vague, or a kind of what follows it?"""
        word = text[at]
        if word in self.list_only:
            return True
        if at + 1 >= len(text) or self.is_stop(text[at + 1]):
            return False
        if word in self.modifiers:
            return True
        return word in self.kinds and (entry := self.longest(text, at + 1)[1]) is not None and entry.label is not None


@functools.lru_cache(maxsize=1)
def coco() -> Vocabulary:
    """The vocabulary of the COCO palette, read once."""
    path = palettes.DATA_DIR / "coco_synonyms.json"
    return Vocabulary(palettes.COCO, json.loads(path.read_text(encoding="utf-8")))
