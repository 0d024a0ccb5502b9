"""The plain folder format of training data: one folder a variable, one picture an example, captions as text.

    FOLDER/segmentation/NAME.png     class indices (grey or indexed PNG; 255 is void) or the exact colours of a palette
    FOLDER/depth/NAME.png            and so on for other variables, and image/ for pictures; jpg and webp are read, too
    FOLDER/captions/NAME.txt         one caption a line; it may also lie beside a picture, FOLDER/image/NAME.txt

Files of one example have one NAME.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...maps import kinds
from . import captions, listing
from .contents import Contents, gather
from .sources import FolderError, PictureFile

CAPTIONS = "captions"


def recognised(folder: Path) -> bool:
    """Whether a folder holds one that is named for a variable, or for photos."""
    return any(listing.is_folder(folder / name) for name in ("image", *kinds.names()))


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What is there for these variables; the plain format has no splits. FolderError if there is no folder for one."""
    found = listing.folders(folder)
    found.pop(CAPTIONS, None)
    for variable in variables:
        if variable not in found:
            there = ", ".join(found) or "no folders"
            raise FolderError(
                f"data.folder: {folder} holds no folder {variable!r} for the {variable} maps; it has {there}. "
                f"Put them there as {variable}/NAME.png"
            )
    pictures: dict[str, dict[str, PictureFile]] = {}
    strange: list[Path] = []
    for variable, place in found.items():
        files, others = listing.pictures(place)
        pictures[variable] = {name: PictureFile(path) for name, path in files.items()}
        strange += [path for path in others if path.suffix.lower() != ".txt"]
    texts = [captions.written(place) for place in (folder / CAPTIONS, *found.values())]

    def caption(name: str) -> tuple[str, ...]:
        return _first(texts, name)

    complete, incomplete = gather(pictures, variables, caption)
    counts = {variable: len(files) for variable, files in pictures.items()}
    return Contents(folder, "folder", None, counts, complete, incomplete, tuple(strange))


def _first(texts: Sequence[Mapping[str, Path]], name: str) -> tuple[str, ...]:
    for files in texts:
        if name in files:
            return captions.lines(files[name])
    return ()
