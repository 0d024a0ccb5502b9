"""Judging pictures inside the host: by a detector's boxes, by a segmentation of them, or by the judge of the tiny family."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch
from torch.nn import functional as F

from ..iconworld.family import judge as family_judge
from ..maps.palettes import COCO, PaletteError
from ..maps.reader import reader
from ..objects import charts, verdict
from ..objects.choices import Pairs
from ..objects.judge import COCO_THINGS, JudgeError, Judgement, by_boxes, by_labels, read_boxes
from ..objects.judge_chart import judge_table
from ..objects.query import ObjectQuery
from ..objects.recall import RULE, PresenceRule
from . import folders, own
from .choices import By
from .reading import pictures_of, read_maps, to_image

EMBEDDED_FILE = folders.EMBEDDED / "judge" / "fgdm-iconworld-judge.safetensors"
EMBEDDED_NAME = "the judge of the tiny family"
_MULTIPLE = 32  # of the sides that its network takes, in pixels
_AT_ONCE = 8  # pictures


@dataclass(frozen=True)
class Judging:
    """How pictures are judged. palette: name of that of the segmentation; empty: that of the objects. classes: names, with
    commas, of all that the detector can find; empty: the 80 of COCO. threshold: least score of a box, 0..1. name: what the
    judge is called; empty: by its kind. pairs: which map of the selector a picture was made from."""

    by: By
    palette: str = ""
    classes: str = ""
    threshold: float = 0.5
    name: str = ""
    pairs: Pairs = Pairs.BEST_FIRST
    rule: PresenceRule = RULE


@dataclass(frozen=True)
class Verdict:
    """Mean recall, that of each picture, the table IMAGE, JSON text, and all in a line."""

    recall: float
    recalls: list[float]
    table: torch.Tensor
    json: str
    summary: str


def judge_image(
    image: torch.Tensor,
    query: ObjectQuery,
    judging: Judging,
    boxes: Any = None,
    segmentation: torch.Tensor | None = None,
    selector: str | None = None,
) -> Verdict:
    """What a judge finds of the objects on an IMAGE batch, beside what the selector's JSON found on the maps.

    JudgeError, ObjectsError or NotAMapError that name the input: what the judge needs is not connected, or is of another
    class list, palette or number of pictures; the judge knows none of the objects; the selector's report is none.
    """
    pictures = pictures_of(image, "image")
    told = (
        None
        if selector is None or not selector.strip()
        else verdict.read_selector(selector, len(pictures), judging.pairs)
    )
    if judging.by is By.BOXES:
        judgement = _by_boxes(pictures, query, judging, boxes)
    elif judging.by is By.SEGMENTATION:
        judgement = _by_segmentation(len(pictures), query, judging, segmentation)
    else:
        judgement = _by_family(pictures, query, judging)
    report = verdict.report(judgement, told)
    return Verdict(
        recall=report["mean_recall"],
        recalls=[one["recall"] for one in report["images"]],
        table=to_image(charts.to_tensor(judge_table(judgement, pictures, told))),
        json=json.dumps(report, indent=1),
        summary=report["summary"],
    )


def _by_boxes(pictures: torch.Tensor, query: ObjectQuery, judging: Judging, boxes: Any) -> Judgement:
    if boxes is None:
        raise JudgeError(
            "boxes: nothing is connected; connect the bboxes of core's RT-DETR node, or choose another judge."
        )
    classes = (
        tuple(name.strip() for name in judging.classes.replace("\n", ",").split(",") if name.strip()) or COCO_THINGS
    )
    only = classes[0] if len(classes) == 1 else ""
    frames = read_boxes(boxes, [(pictures.shape[2], pictures.shape[1])] * len(pictures), only)
    name = f"boxes of {judging.name}" if judging.name.strip() else "boxes of a detector"
    return by_boxes(frames, query, name, classes, judging.threshold)


def _by_segmentation(count: int, query: ObjectQuery, judging: Judging, maps: torch.Tensor | None) -> Judgement:
    if maps is None:
        raise JudgeError(
            "segmentation: nothing is connected; connect segmentations of the pictures, or choose another judge."
        )
    library = own.library()
    try:
        palette = library.palette(judging.palette) if judging.palette else query.palette
    except PaletteError as error:
        raise JudgeError(f"palette: {error}.") from None
    if len(maps) != count:
        raise JudgeError(f"segmentation: it has {len(maps)} pictures, image has {count}; connect one of each picture.")
    read = reader("segmentation", palette.name, (), library)
    labels = read_maps(maps, read, name="segmentation", others=library.all).labels
    name = judging.name.strip() or f"a segmentation in the colours of {palette.name}"
    return by_labels(labels, query, palette, name, rule=judging.rule, tables=library.tables)


def _by_family(pictures: torch.Tensor, query: ObjectQuery, judging: Judging) -> Judgement:
    folders.verify_embedded(EMBEDDED_FILE)
    read = family_judge.load(EMBEDDED_FILE)
    seen = []
    for part in pictures.split(_AT_ONCE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        seen.append(read(_fitted(part)))
    return by_labels(torch.cat(seen), query, COCO, EMBEDDED_NAME, read.classes, judging.rule, own.library().tables)


def _fitted(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures [B, H, W, 3] with sides that are multiples of 32."""
    size = [max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE) for side in pictures.shape[1:3]]
    if size == list(pictures.shape[1:3]):
        return pictures
    resized = F.interpolate(pictures.permute(0, 3, 1, 2), size=size, mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1)
