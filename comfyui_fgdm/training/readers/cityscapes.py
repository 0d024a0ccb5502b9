"""Cityscapes as published. Splits: train, val.

    FOLDER/leftImg8bit/train/CITY/CITY_000000_000019_leftImg8bit.png         leftImg8bit_trainvaltest.zip
    FOLDER/gtFine/train/CITY/CITY_000000_000019_gtFine_labelIds.png          gtFine_trainvaltest.zip
    FOLDER/gtFine/train/CITY/CITY_000000_000019_gtFine_labelTrainIds.png     made by the data set's own scripts

Both kinds of label maps become the 19 classes that are evaluated, all else is void. There are no captions: they are made of the
classes that the map shows, unless captions/NAME.txt is there (NAME is CITY_000000_000019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...maps import palettes
from . import listing
from .captions import ClassCaption, lines, written
from .contents import Contents, gather
from .labels import ClassTable, NumberedFile
from .sources import PictureFile, Source

PALETTE = "cityscapes19"
_VOID = palettes.get(PALETTE).void
_IDS = (
    7,
    8,
    11,
    12,
    13,
    17,
    19,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
    27,
    28,
    31,
    32,
    33,
)  # of the evaluated classes, in their order
TRAIN_IDS = ClassTable(
    PALETTE, (*range(19), *[-1] * 236, _VOID), "labelTrainIds maps hold 0 to 18, and 255 for what is not evaluated"
)
LABEL_IDS = ClassTable(
    PALETTE,
    (*(_IDS.index(number) if number in _IDS else _VOID for number in range(34)), *[-1] * 221, _VOID),
    "labelIds maps hold 0 to 33",
)
_KINDS = (("_gtFine_labelTrainIds.png", TRAIN_IDS), ("_gtFine_labelIds.png", LABEL_IDS))
_PHOTO = "_leftImg8bit.png"


def recognised(folder: Path) -> bool:
    """Whether a folder looks like Cityscapes."""
    return any(listing.is_folder(folder / name) for name in ("gtFine", "leftImg8bit"))


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What is there for these variables, of "image" and "segmentation". FolderError says what is missing, and where it was looked for."""
    place = listing.first(
        folder, (f"gtFine/{split}",), f"label maps of the split {split!r}", "gtFine_trainvaltest.zip holds it"
    )
    maps: dict[str, NumberedFile] = {}
    for ending, table in reversed(_KINDS):  # train ids, where they are, in place of ids
        maps |= {n: NumberedFile(PictureFile(p), table) for n, p in _of_cities(place, ending).items()}
    found: dict[str, Mapping[str, Source]] = {"segmentation": maps}
    if "image" in variables:
        what, remedy = f"photos of the split {split!r}", "leftImg8bit_trainvaltest.zip holds it"
        photos = listing.first(folder, (f"leftImg8bit/{split}",), what, remedy)
        found["image"] = {n: PictureFile(p) for n, p in _of_cities(photos, _PHOTO).items()}
    texts = written(folder / "captions")

    def caption(name: str) -> tuple[str, ...] | ClassCaption:
        return lines(texts[name]) if name in texts else ClassCaption(maps[name], "street")

    complete, incomplete = gather(found, variables, caption)
    counts = {variable: len(files) for variable, files in found.items()}
    ready = sum(one.table is TRAIN_IDS for one in maps.values())
    notes = (
        f"{ready} maps of train ids, {len(maps) - ready} of ids",
        "captions of the classes on the map; captions/NAME.txt would be read instead",
    )
    return Contents(folder, "cityscapes", PALETTE, counts, complete, incomplete, notes=notes)


def _of_cities(place: Path, ending: str) -> dict[str, Path]:
    """The files of all cities that end so, by what is before it."""
    return {
        name.removesuffix(ending): city / name
        for city in listing.folders(place).values()
        for name in listing.names(city)
        if name.endswith(ending)
    }
