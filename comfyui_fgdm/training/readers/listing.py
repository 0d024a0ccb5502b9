"""Listing folders of many files: only their names are read, no file is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .sources import FolderError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def pictures(place: Path, endings: Sequence[str] = PICTURES) -> tuple[dict[str, Path], list[Path]]:
    """(the pictures in a folder by their names without ending, the other files). FolderError for two of one name."""
    found: dict[str, Path] = {}
    others: list[Path] = []
    for name in sorted(names(place)):
        stem, ending = os.path.splitext(name)
        path = place / name
        if ending.lower() not in endings:
            others.append(path)
        elif stem in found:
            raise FolderError(
                f"data.folder: {found[stem].name} and {name} in {place} have one name; remove one of them"
            )
        else:
            found[stem] = path
    return found, others


def names(place: Path) -> list[str]:
    """Names in a folder, but for hidden files. FolderError if it cannot be listed."""
    try:
        return [name for name in os.listdir(place) if not name.startswith(".")]
    except OSError as error:
        raise FolderError(f"data.folder: {place} cannot be listed ({error.strerror or error})") from None


def folders(place: Path) -> dict[str, Path]:
    """The folders in a folder by name, in order; links to themselves are none."""
    return {name: place / name for name in sorted(names(place)) if is_folder(place / name)}


def is_folder(place: Path) -> bool:
    """Whether there is a folder; false for what cannot be looked at, such as a link to itself."""
    try:
        return place.is_dir()
    except OSError:
        return False


def first(root: Path, places: Sequence[str], what: str, remedy: str) -> Path:
    """The first of these places in a folder that is a folder. FolderError: what is missing, where it was looked for, remedy."""
    for place in places:
        if is_folder(root / place):
            return root / place
    raise FolderError(f"data.folder: {root} holds no {what}: expected {' or '.join(places)}. {remedy}")
