"""Captions for data that has none: from files of texts, or of the classes that a label map shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ...maps import palettes, presence
from .pictures import read_labels
from .sources import FolderError, LabelSource
from .view import View

SIDE = 256  # of the square in which classes are counted: the middle of the picture, which training sees
MOST = 8  # classes that a caption names


@dataclass(frozen=True)
class ClassCaption:
    """A caption of what is on a label map, such as "bedroom with bed, wall and lamp": the classes that recall would find in
    its middle square, largest first, at most ``MOST``. beginning: what it starts with."""

    source: LabelSource
    beginning: str = ""

    def text(self) -> str:
        palette = palettes.get(self.source.palette)
        labels = read_labels(self.source, SIDE, View(), palette)
        solid = presence.solid(labels[None].float(), presence.RULE.erode)[0]
        areas = torch.bincount(labels[solid], minlength=len(palette)).float() / labels.numel()
        areas[palette.void] = 0
        order = sorted(range(len(palette)), key=lambda label: -float(areas[label]))
        there = [label for label in order[:MOST] if float(areas[label]) >= presence.RULE.min_area]
        names = listed([palette.labels[label].name for label in there])
        return " with ".join(part for part in (self.beginning, names) if part)


def listed(words: Sequence[str]) -> str:
    """Words as people list them: "a, b and c"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def lines(file: Path) -> tuple[str, ...]:
    """The captions in a file of text, one a line. FolderError if it is no text."""
    try:
        return of_text(file.read_bytes(), str(file))
    except OSError as error:
        raise FolderError(f"{file} cannot be read ({error.strerror or error})") from None


def of_text(data: bytes, name: str) -> tuple[str, ...]:
    """The captions in the bytes of a text, one a line. FolderError, in which it is called ``name``, if it is no text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FolderError(f"data.folder: {name} is no text in UTF-8; save it as such") from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def written(place: Path) -> dict[str, Path]:
    """The caption files NAME.txt in a folder, by NAME; none if there is no such folder."""
    if not place.is_dir():
        return {}
    return {path.stem: path for path in place.iterdir() if path.suffix == ".txt"}
