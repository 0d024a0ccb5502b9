"""Segmentation maps in a folder, with the captions that they were made for.

    FOLDER/NAME.png                      class indices (grey or indexed; 255 is void), or the colours of a palette
    FOLDER/NAME.txt or captions/NAME.txt its caption, in the first line; captions/ lies beside FOLDER
    FOLDER/NAME_00001_.png               another map of that caption, as Save Image numbers its files

A folder that holds a folder segmentation/ stands for that one, as in the training data that the pack writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..maps import numbered, palettes
from ..maps.likeness import looks_like
from ..maps.palette_file import Palette
from .query import ObjectsError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_NUMBERED = re.compile(r"_\d+_?$")
_CAPTIONS, _MAPS = "captions", "segmentation"


@dataclass(frozen=True)
class MapFile:
    """A map, and the caption that it was made for."""

    path: Path
    caption: str


def maps_of(folder: Path, captions: Path | None = None, caption: str | None = None) -> Iterator[MapFile]:
    """The maps of a folder by name. captions: a folder of NAME.txt instead of the usual ones. caption: of all maps.

    ObjectsError for a folder without pictures, one that cannot be read, and a map without a caption.
    """
    inner = folder / _MAPS
    folder = inner if inner.is_dir() else folder
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    except OSError as error:
        raise ObjectsError(f"{folder} cannot be read ({error.strerror or error}); check the path") from None
    if not files:
        raise ObjectsError(f"{folder} holds no pictures; give the folder of the maps, as .png files")
    places = (folder, folder.parent / _CAPTIONS) if captions is None else (captions,)
    for path in files:
        yield MapFile(path, _caption(path.stem, places) if caption is None else caption)


def _caption(name: str, places: tuple[Path, ...]) -> str:
    stems = dict.fromkeys((name, _NUMBERED.sub("", name)))
    for file in (place / f"{stem}.txt" for stem in stems for place in places):
        if file.is_file():
            try:
                lines = file.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ObjectsError(f"{file} cannot be read as text in UTF-8 ({error})") from None
            return next((line.strip() for line in lines if line.strip()), "")
    where = " or ".join(str(place / f"{name}.txt") for place in places)
    raise ObjectsError(f"map {name!r} has no caption; write it to {where}, or give one caption for all maps")


def labels_of(path: Path, palette: Palette) -> torch.Tensor:
    """Labels int64 [1, H, W] of a map file. ObjectsError for a file that is no picture, numbers that are no classes, and colours
    that are those of another shipped palette."""
    try:
        with Image.open(path) as picture:
            picture.load()
            indexed = picture.mode in numbered.MODES
            values = np.array(picture if indexed else picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ObjectsError(f"{path} cannot be read as a picture ({error})") from None
    if indexed:
        labels, strange = numbered.labels_of(values, palette)
        if strange:
            raise ObjectsError(
                f"{path}: the class numbers {strange[:8]} are none of {palette.name!r}, which has 0 to "
                f"{len(palette) - 1}; name another palette"
            )
        return torch.from_numpy(labels)[None]
    colours = torch.from_numpy(values.astype(np.float32) / 255.0)[None]
    if (other := looks_like(colours, palette, map(palettes.get, palettes.NAMES))) is not None:
        raise ObjectsError(
            f"{path}: its colours are those of {other.name!r}, not of {palette.name!r}; name that palette"
        )
    return palettes.decode(colours, palette)
