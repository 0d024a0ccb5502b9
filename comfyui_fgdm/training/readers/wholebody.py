"""COCO-WholeBody as published: people's keypoints in COCO 2017, drawn as pose maps. Splits: train, val.

    FOLDER/annotations/coco_wholebody_train_v1.0.json     also in FOLDER itself
    photos, captions and label maps                       as in COCO (coco.py)

A person has 133 points: 17 of the body, 6 of the feet, 68 of the face, 21 of each hand; body, hands and face are drawn. Hands
and faces count if the file says that they are valid. Pictures without a person whose body has points are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import coco
from .contents import Contents, gather
from .keypoints import WholeBody
from .records import records
from .sources import FolderError, Source

ORIGIN = "the releases of COCO-WholeBody"
_PARTS = (("keypoints", 17, None), ("foot_kpts", 6, "foot_valid"), ("face_kpts", 68, "face_valid"),
          ("lefthand_kpts", 21, "lefthand_valid"), ("righthand_kpts", 21, "righthand_valid"))  # fmt: skip


def file_of(split: str) -> str:
    """Name of the annotation file of a split."""
    return f"coco_wholebody_{split}_v1.0.json"


def recognised(folder: Path) -> bool:
    """Whether a folder holds annotations of COCO-WholeBody."""
    return any(
        (folder / place / file_of(split)).is_file() for place in ("annotations", ".") for split in ("train", "val")
    )


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What is there for these variables, of "pose", "image" and "segmentation". FolderError says what is missing, and where."""
    people, left_out = poses(coco.annotation_file(folder, file_of(split), ORIGIN))
    found: dict[str, Mapping[str, Source]] = {"pose": people}
    notes = [f"{left_out} pictures without people are left out"]
    if "image" in variables:
        found["image"] = _of(coco.photos(folder, split), people)
    if "segmentation" in variables:
        maps, note = coco.segmentations(folder, split)
        found["segmentation"] = _of(maps, people)
        notes.append(note)
    texts = coco.captions(folder, split)
    complete, incomplete = gather(found, variables, lambda name: texts.get(name, ()))
    counts = {variable: len(files) for variable, files in found.items()}
    return Contents(
        folder, "wholebody", coco.PALETTE, counts, complete, incomplete,
        captions_in=coco.captions_in(split), notes=tuple(notes),
    )  # fmt: skip


def poses(file: Path) -> tuple[dict[str, WholeBody], int]:
    """(the people of each picture by its name, how many pictures show none)."""
    images: dict[int, tuple[str, int, int]] = {}
    people: dict[int, list[np.ndarray]] = {}
    for section, record in records(file, ("images", "annotations"), ORIGIN):
        try:
            if section == "images":
                size = int(record["width"]), int(record["height"])
                images[int(record["id"])] = (coco.stem(record["file_name"]), *size)
            elif not record.get("iscrowd") and (points := _points(record))[:17, 2].any():
                people.setdefault(int(record["image_id"]), []).append(points)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FolderError(
                f"{file} is no file of COCO-WholeBody: an entry with the keys {', '.join(list(record)[:8])} does not fit "
                f"({type(error).__name__}: {error}). The right one is {file_of('train')} of {ORIGIN}"
            ) from None
    found = {}
    for number, (name, width, height) in images.items():
        if number in people:
            found[name] = WholeBody(np.stack(people[number]), width, height, f"the people of {name} in {file}")
    return found, len(images) - len(found)


def _points(record: Mapping[str, Any]) -> np.ndarray:
    """float32 [133, 3] of a person; what is not valid is not known."""
    parts = []
    for key, count, valid in _PARTS:
        points = np.array(record[key], np.float32).reshape(count, 3)
        parts.append(points if valid is None or record[valid] else np.zeros_like(points))
    return np.concatenate(parts)


def _of(sources: Mapping[str, Source], names: Mapping[str, Any]) -> dict[str, Source]:
    return {name: source for name, source in sources.items() if name in names}
