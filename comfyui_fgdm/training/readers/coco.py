"""COCO 2017 as published: photos, captions, and label maps of COCO-Stuff or panoptic ones. Splits: train, val.

    FOLDER/train2017/000000000009.jpg                    train2017.zip; also FOLDER/images/train2017
    FOLDER/annotations/captions_train2017.json           annotations_trainval2017.zip; also in FOLDER itself
    FOLDER/stuffthingmaps/train2017/000000000009.png     stuffthingmaps_trainval2017.zip; also FOLDER/annotations/train2017
or  FOLDER/annotations/panoptic_train2017.json and .../panoptic_train2017/000000000009.png
                                                         panoptic_annotations_trainval2017.zip and the zip file inside it

A stuffthingmap holds COCO's ids less 1, and 255 where there is no label. Panoptic classes are those of COCO but for some that
unite several of COCO-Stuff ("tree-merged"); these become the one of COCO-Stuff that gave them the name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...maps import palettes
from . import listing
from .contents import Contents, gather
from .labels import ClassTable, NumberedFile, PanopticFile
from .records import records
from .sources import FolderError, LabelSource, PictureFile, Source

PALETTE = palettes.COCO.name
CAPTIONS_ZIP, STUFF_ZIP = "annotations_trainval2017.zip", "stuffthingmaps_trainval2017.zip"
PANOPTIC_ZIP = "panoptic_annotations_trainval2017.zip"
STUFF = ClassTable(
    PALETTE,
    (*range(182), *[-1] * 73, palettes.COCO.void),
    "label maps of COCO-Stuff hold the ids of classes less 1, 0 to 181, and 255 where there is no label",
)


def recognised(folder: Path) -> bool:
    """Whether a folder looks like COCO 2017."""
    return any(
        listing.is_folder(folder / place / f"{split}2017")
        for place in (".", "images", "stuffthingmaps", "annotations")
        for split in ("train", "val")
    )


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What is there for these variables, of "image" and "segmentation". FolderError says what is missing, and where it was looked for."""
    found: dict[str, Mapping[str, Source]] = {}
    notes: list[str] = []
    if "image" in variables:
        found["image"] = photos(folder, split)
    if "segmentation" in variables:
        found["segmentation"], note = segmentations(folder, split)
        notes.append(note)
    texts = captions(folder, split)
    complete, incomplete = gather(found, variables, lambda name: texts.get(name, ()))
    counts = {variable: len(files) for variable, files in found.items()}
    return Contents(
        folder, "coco", PALETTE, counts, complete, incomplete, captions_in=captions_in(split), notes=tuple(notes)
    )


def photos(folder: Path, split: str) -> dict[str, Source]:
    """The photos of a split by name. FolderError if they are not there."""
    zipped = f"{split}2017.zip"
    place = listing.first(
        folder, (f"{split}2017", f"images/{split}2017"), f"photos of the split {split!r}", f"{zipped} holds them"
    )
    return {name: PictureFile(path) for name, path in listing.pictures(place, (".jpg",))[0].items()}


def segmentations(folder: Path, split: str) -> tuple[Mapping[str, LabelSource], str]:
    """(label maps of a split by name, what they are): those of COCO-Stuff if they are there, else panoptic ones."""
    stuff = [f"{place}/{split}2017" for place in ("stuffthingmaps", "stuffthingmaps_trainval2017", "annotations")]
    panoptic = [f"{place}panoptic_{split}2017" for place in ("annotations/", "")]
    place = listing.first(
        folder,
        (*stuff, *panoptic),
        f"label maps of the split {split!r}",
        f"{STUFF_ZIP} holds the first, {PANOPTIC_ZIP} (and the zip file inside it) panoptic ones",
    )
    files = listing.pictures(place, (".png",))[0]
    if place.name.startswith("panoptic"):
        return _panoptic(folder, place, files), f"segmentation from the panoptic maps in {place}"
    # other tools put converted maps beside the published ones, with a word after the number
    maps = {name: NumberedFile(PictureFile(path), STUFF) for name, path in files.items() if "_" not in name}
    return maps, f"segmentation from the maps of COCO-Stuff in {place}"


def _panoptic(folder: Path, place: Path, files: Mapping[str, Path]) -> dict[str, LabelSource]:
    file = annotation_file(folder, f"{place.name}.json", PANOPTIC_ZIP)
    labels: dict[int, int] = {}
    raw: dict[str, tuple[tuple[int, int], ...]] = {}
    for section, record in records(file, ("annotations", "categories"), PANOPTIC_ZIP):
        try:
            if section == "categories":
                labels[int(record["id"])] = panoptic_label(int(record["id"]), record["name"])
            else:
                segments = tuple((int(one["id"]), int(one["category_id"])) for one in record["segments_info"])
                raw[stem(record["file_name"])] = segments
        except (KeyError, TypeError, ValueError, AttributeError, palettes.PaletteError) as error:
            raise _unexpected(file, "panoptic", record, error, PANOPTIC_ZIP) from None
    maps: dict[str, LabelSource] = {}
    for name, path in files.items():
        segments = raw.get(name, ())
        unknown = [category for _, category in segments if category not in labels]
        if unknown:
            raise FolderError(f"{file} names the class {unknown[0]} for {path.name}, but does not list it")
        maps[name] = PanopticFile(PictureFile(path), tuple((one, labels[category]) for one, category in segments))
    return maps


def panoptic_label(number: int, name: str) -> int:
    """The label of a panoptic class: its id less 1, as in COCO-Stuff; of a united one that of its name."""
    return number - 1 if 1 <= number <= 182 else palettes.COCO.index(str(name).removesuffix("-merged"))


def captions(folder: Path, split: str) -> dict[str, tuple[str, ...]]:
    """The captions of a split by the names of photos; none if there is no file of them."""
    try:
        file = annotation_file(folder, f"captions_{split}2017.json", CAPTIONS_ZIP)
    except FolderError:
        return {}
    names: dict[int, str] = {}
    texts: dict[int, list[str]] = {}
    for section, record in records(file, ("images", "annotations"), CAPTIONS_ZIP):
        try:
            if section == "images":
                names[int(record["id"])] = stem(record["file_name"])
            else:
                texts.setdefault(int(record["image_id"]), []).append(" ".join(record["caption"].split()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unexpected(file, "caption", record, error, CAPTIONS_ZIP) from None
    return {name: tuple(text for text in texts.get(number, ()) if text) for number, name in names.items()}


def stem(file_name: str) -> str:
    """What a file name is without its folder and ending."""
    return os.path.splitext(file_name.rpartition("/")[2])[0]


def captions_in(split: str) -> str:
    """Where captions are looked for, in words."""
    return f"annotations/captions_{split}2017.json, which comes with {CAPTIONS_ZIP}"


def annotation_file(folder: Path, name: str, origin: str) -> Path:
    """A JSON file of annotations, in FOLDER/annotations or FOLDER. FolderError if it is in neither."""
    for place in (folder / "annotations", folder):
        if (place / name).is_file():
            return place / name
    raise FolderError(f"data.folder: {folder} holds no annotations/{name}; it comes with {origin}")


def _unexpected(file: Path, what: str, record: dict[str, Any], error: Exception, origin: str) -> FolderError:
    keys = ", ".join(list(record)[:8])
    return FolderError(
        f"{file} is no {what} file: an entry with the keys {keys} does not fit ({type(error).__name__}: {error}). The right one comes "
        f"with {origin}"
    )
