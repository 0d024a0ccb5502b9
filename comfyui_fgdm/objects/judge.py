"""Object recall of a finished picture, as somebody else sees it: a detector's boxes, or a segmentation of the picture.

Recall of maps says what the map holds; whether the picture kept it is for an instrument to say that had no part in the choice.
A judge knows some classes; objects that it does not know are left out of its recall and named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..maps import conversion
from ..maps.palettes import COCO, Palette, PaletteError
from . import recall
from .query import ObjectItem, ObjectQuery, ObjectsError
from .recall import RULE, PresenceRule, Scores
from .words import find_class

COCO_THINGS = tuple(x.name for x in COCO.labels if x.index in COCO.things and x.index not in COCO.retired)
"""The 80 classes of detectors trained on COCO, in their usual order."""


BOXES_HELD = "an object is held if there are at least as many boxes of its class as are asked for (one)"


class JudgeError(ValueError):
    """What a judge says cannot be used; names the input and what to do."""


@dataclass(frozen=True)
class Judgement:
    """What a judge found on B pictures. query: the objects that it knows, under the names they are asked by; unknown: (name,
    why) of the others; instrument: what it is, in words; held: when it says that an object is there."""

    instrument: str
    query: ObjectQuery
    unknown: tuple[tuple[str, str], ...]
    scores: Scores
    held: str = recall.HELD


@dataclass(frozen=True)
class Box:
    """One detection. share: of the picture's area, 0..1."""

    label: str
    score: float
    share: float


def by_labels(
    labels: torch.Tensor,
    query: ObjectQuery,
    palette: Palette,
    instrument: str,
    classes: Sequence[int] | None = None,
    rule: PresenceRule = RULE,
    tables: Sequence[conversion.Table] = (),
) -> Judgement:
    """The judgement of segmentations int [B, H, W] in ``palette``. classes: labels that the judge can give, None = all;
    tables: of a user's own, from classes of one palette to those of another. ObjectsError if it knows none of the objects."""
    known = set(palette.readable(classes)) - {palette.void, *(() if classes is not None else palette.retired)}
    items, unknown = [], []
    for item in query.items:
        found = tuple(label for label in _same(item, query.palette, palette, tables) if label in known)
        if not found:
            unknown.append((item.name, f"{instrument} knows no such class"))
            continue
        needs = [_same(ObjectItem("", label, ""), query.palette, palette, tables) for label in item.needs]
        items.append(
            replace(item, label=found[0], also=found[1:], needs=tuple(x for one in needs for x in one if x in known))
        )
    told = [palette.labels[label].name for label in sorted(known)]
    judged = _judged(items, unknown, query, instrument, told, palette)
    return Judgement(instrument, judged, tuple(unknown), recall.score(labels, judged, rule))


def by_boxes(
    frames: Sequence[Sequence[Box]],
    query: ObjectQuery,
    instrument: str,
    classes: Sequence[str] = COCO_THINGS,
    threshold: float = 0.5,
) -> Judgement:
    """The judgement of a detector's boxes, one list a picture (see ``read_boxes``).

    An object is held if there are as many boxes of its class, or of one that counts as well, as are asked for (one), each
    with a score of at least ``threshold``. classes: all that the detector can find, by name; a box of another class is a
    JudgeError, and objects that none of them is are unknown. ObjectsError if that leaves none.
    """
    meaning = {name.strip().lower(): find_class(name, query.palette) for name in classes}
    for place, frame in enumerate(frames):
        for box in frame:
            if box.label.strip().lower() not in meaning:
                raise JudgeError(
                    f"boxes: picture {place} has a box of {box.label!r}, which is none of the {len(meaning)} classes that the "
                    f"detector is said to know ({', '.join(list(meaning)[:6])}, ...); write its own into 'classes', with commas"
                )
    known = {label for labels in meaning.values() for label in labels[:1]}
    items, unknown = [], []
    for item in query.items:
        labels = (item.label, *item.also)
        if known & set(labels) and (not item.needs or known & set(item.needs)):
            items.append(item)
        else:
            unknown.append((item.name, f"{instrument} knows no such class"))
    judged = _judged(items, unknown, query, instrument, list(meaning), query.palette)
    seen = [[(meaning[b.label.strip().lower()][:1], b) for b in frame if b.score >= threshold] for frame in frames]
    rows = [[_boxes_of(item, frame) for item in items] for frame in seen]
    counts = torch.tensor([[len(found) for found in row] for row in rows])
    area = torch.tensor([[min(1.0, sum(box.share for box in found)) for found in row] for row in rows])
    wanted = torch.tensor([item.count for item in items])
    held = torch.where(torch.tensor([item.absent for item in items]), counts == 0, counts >= wanted)
    for k, item in enumerate(items):
        if item.needs:
            held[:, k] &= torch.tensor([any(set(m) & set(item.needs) for m, _ in frame) for frame in seen])
    asked = {label for item in items if not item.absent for label in (item.label, *item.also, *item.needs)}
    extra = tuple(tuple(sorted({m[0] for m, _ in frame if m and m[0] not in asked})) for frame in seen)
    scores = Scores(
        recall=held.float().mean(1),
        present=held,
        area=area.float(),
        spurious=torch.tensor([len(one) for one in extra], dtype=torch.int64),
        spurious_labels=extra,
        regions=counts,
    )
    return Judgement(
        instrument, judged, tuple(unknown), scores, f"{BOXES_HELD}, with a score of at least {threshold:g}"
    )


def read_boxes(boxes: Any, sizes: Sequence[tuple[int, int]], only: str = "") -> list[list[Box]]:
    """Boxes as core's detectors give them, one list of {x, y, width, height, label, score} a picture (a plain list for one
    picture), checked. sizes: (width, height) of the pictures; only: what boxes without a label are of, as of a detector that
    was asked for one thing. JudgeError that names the box."""
    if isinstance(boxes, dict):
        boxes = [[boxes]]
    if isinstance(boxes, list) and len(sizes) == 1 and all(isinstance(one, dict) for one in boxes):
        boxes = [boxes]
    if not isinstance(boxes, list) or not all(isinstance(one, list) for one in boxes):
        raise JudgeError("boxes: expected one list of boxes a picture, as core's RT-DETR node gives them")
    if len(boxes) != len(sizes):
        raise JudgeError(
            f"boxes: they are of {len(boxes)} pictures, image has {len(sizes)}; connect the same batch to both"
        )
    return [
        [_box(one, f"boxes: box {k} of picture {i}", sizes[i], only) for k, one in enumerate(frame)]
        for i, frame in enumerate(boxes)
    ]


def _box(one: Any, where: str, size: tuple[int, int], only: str) -> Box:
    label = one.get("label", only) if isinstance(one, dict) else None
    if not isinstance(label, str) or not label.strip():
        raise JudgeError(
            f"{where} has no label, so it is no detection; connect a detector that names what it finds, or write into 'classes' "
            "the one thing that it was asked for"
        )
    numbers = [one.get(key, 1.0 if key == "score" else None) for key in ("x", "y", "width", "height", "score")]
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise JudgeError(f"{where}: x, y, width, height and score must be finite numbers")
    x, y, width, height, score = (float(n) for n in numbers)
    across = max(0.0, min(x + width, size[0]) - max(x, 0.0))
    down = max(0.0, min(y + height, size[1]) - max(y, 0.0))
    return Box(label, score, across * down / (size[0] * size[1]))


def _boxes_of(item: ObjectItem, frame: Sequence[tuple[tuple[int, ...], Box]]) -> list[Box]:
    return [box for labels, box in frame if set(labels) & {item.label, *item.also}]


def _same(item: ObjectItem, source: Palette, target: Palette, tables: Sequence[conversion.Table]) -> tuple[int, ...]:
    """Labels of ``target`` that mean the labels of an item, by a table between the palettes or by their names."""
    labels = (item.label, *item.also)
    if source == target:
        return labels
    try:
        table = conversion.table_between(source, target, tables)
        found = [table.targets[label] for label in labels if label in table.mapped]
    except PaletteError:
        found = []
    if not found:
        found = [twin for label in labels for twin in find_class(source.labels[label].name, target)]
    return tuple(dict.fromkeys(found))


def _judged(
    items: list[ObjectItem],
    unknown: list[tuple[str, str]],
    query: ObjectQuery,
    instrument: str,
    classes: list[str],
    palette: Palette,
) -> ObjectQuery:
    if not items:
        shown = ", ".join(classes[:12]) + (f" and {len(classes) - 12} more" if len(classes) > 12 else "")
        raise ObjectsError(f"objects: {instrument} knows none of: {query.text}; it knows {shown}. Choose another judge")
    return replace(query, items=tuple(items), palette=palette)
