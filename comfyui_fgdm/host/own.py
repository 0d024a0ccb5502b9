"""Palettes and class tables of the user's own: what is in the palette folders, read again when a file changes."""

from __future__ import annotations

import logging

from ..maps import own_files
from . import folders

log = logging.getLogger(__name__)

_seen: list[str] = []


def fingerprint() -> str:
    """A text that changes when a file of the palette folders is added, changed or removed."""
    return ";".join(f"{file}:{(stat := file.stat()).st_mtime_ns}:{stat.st_size}" for file in folders.palette_files())


def refresh() -> None:
    """Use the palettes and tables that are in the folders now. Files that cannot be used are logged, once."""
    now = fingerprint()
    if _seen == [now]:
        return
    own = own_files.read(folders.palette_files())
    own_files.use(own)
    _seen[:] = [now]
    for problem in own.problems:
        log.warning("FGDM: left out a palette or table of your own: %s", problem)
