"""ADE20K as published for scene parsing, ADEChallengeData2016.zip. Splits: train, val.

    FOLDER/images/training/ADE_train_00000001.jpg
    FOLDER/annotations/training/ADE_train_00000001.png     0: other objects, 1 to 150: the class, in the palette's order
    FOLDER/sceneCategories.txt                             ADE_train_00000001 airport_terminal

FOLDER may also be the one that holds ADEChallengeData2016. There are no captions: they are made of the scene and of the classes
that the map shows, unless captions/NAME.txt is there.
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

PALETTE = "ade20k150"
ARCHIVE = "ADEChallengeData2016.zip"
SPLITS = {"train": "training", "val": "validation"}
TABLE = ClassTable(
    PALETTE,
    (palettes.get(PALETTE).void, *range(150)),
    "label maps of ADE20K hold 0 for other objects and 1 to 150 for the classes",
)


def root_of(folder: Path) -> Path:
    """The folder itself, or ADEChallengeData2016 in it."""
    inner = folder / "ADEChallengeData2016"
    return inner if listing.is_folder(inner) else folder


def recognised(folder: Path) -> bool:
    """Whether a folder looks like ADEChallengeData2016."""
    root = root_of(folder)
    return any(
        listing.is_folder(root / place / split) for place in ("images", "annotations") for split in SPLITS.values()
    )


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What is there for these variables, of "image" and "segmentation". FolderError says what is missing, and where it was looked for."""
    root, name = root_of(folder), SPLITS.get(split, split)
    remedy = f"{ARCHIVE} holds it"
    place = listing.first(root, (f"annotations/{name}",), f"label maps of the split {split!r}", remedy)
    maps = {n: NumberedFile(PictureFile(p), TABLE) for n, p in listing.pictures(place, (".png",))[0].items()}
    found: dict[str, Mapping[str, Source]] = {"segmentation": maps}
    if "image" in variables:
        place = listing.first(root, (f"images/{name}",), f"photos of the split {split!r}", remedy)
        found["image"] = {n: PictureFile(p) for n, p in listing.pictures(place, (".jpg",))[0].items()}
    scenes, texts = _scenes(root / "sceneCategories.txt"), written(root / "captions")

    def caption(name: str) -> tuple[str, ...] | ClassCaption:
        return lines(texts[name]) if name in texts else ClassCaption(maps[name], scenes.get(name, ""))

    complete, incomplete = gather(found, variables, caption)
    counts = {variable: len(files) for variable, files in found.items()}
    note = "captions of the scene and the classes on the map; captions/NAME.txt would be read instead"
    return Contents(folder, "ade20k", PALETTE, counts, complete, incomplete, notes=(note,))


def _scenes(file: Path) -> dict[str, str]:
    """Scene by name, in words; none if there is no such file. "misc" says nothing."""
    if not file.is_file():
        return {}
    pairs = (line.split() for line in lines(file))
    return {pair[0]: pair[1].replace("_", " ") for pair in pairs if len(pair) == 2 and pair[1] != "misc"}
