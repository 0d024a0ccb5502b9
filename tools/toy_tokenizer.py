"""A vocabulary of single letters in the layout of CLIP's, for tests of Stable Diffusions with random weights."""

from __future__ import annotations

import json
from pathlib import Path

LETTERS = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
"""The 256 letters that bytes stand for in the vocabularies of CLIP and GPT-2."""


def write_tokenizer(folder: Path) -> None:
    """vocab.json and merges.txt: 512 letters, 512 for the start and 513 for the end of a text."""
    folder.mkdir(parents=True)
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
