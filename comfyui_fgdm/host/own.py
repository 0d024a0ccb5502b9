"""Palettes and class tables of the user's own: what is in the palette folders, read again when a file changes."""

from __future__ import annotations

import logging

from ..maps import own_files
from ..maps.library import SHIPPED, Library
from . import folders

log = logging.getLogger(__name__)

_seen: tuple[str, Library] = ("", SHIPPED)


def fingerprint() -> str:
    """A text that changes when a file of the palette folders is added, changed or removed."""
    return folders.fingerprint(folders.palette_files())


def library() -> Library:
    """The palettes and tables that are in the folders now. Files that cannot be used are logged, once."""
    global _seen
    now = fingerprint()
    if _seen[0] != now:
        _seen = now, own_files.read(folders.palette_files())
        for problem in _seen[1].problems:
            log.warning("FGDM: left out a palette or table of your own: %s", problem)
    return _seen[1]


def latest() -> Library:
    """What ``library`` gave last, without a look at the folders: for what happens at every step of a run."""
    return _seen[1]
