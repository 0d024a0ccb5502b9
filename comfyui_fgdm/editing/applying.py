"""Applying the operations of a recipe to a map, with a report of what was done, left out and moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from ..maps.palette_file import Palette
from ..maps.pose_bodies import Body
from . import depth, pose, sketch
from .keys import RecipeError, Scale
from .recipe import Operation, Table, rescale
from .regions import Gone
from .scene import NOTHING, Scene, common
from .segmentation import TABLE

V = TypeVar("V")


@dataclass(frozen=True)
class Edited(Generic[V]):
    """values: the edited map, of the type of what was given; of a pose map the people, in the order in which they are drawn. applied: how many operations were. skipped: (operation, why)
    of the others. moved: what became of each layer with an id, as ``_fate`` says."""

    values: V
    applied: int
    skipped: tuple[tuple[Operation, str], ...]
    moved: tuple[dict, ...]

    def report(self) -> dict:
        """For people and programs: plain numbers and texts."""
        skipped = [{"operation": one.index, "op": one.name, "why": why} for one, why in self.skipped]
        return {"applied": self.applied, "skipped": skipped, "moved": list(self.moved)}


def edit_labels(
    labels: np.ndarray,
    operations: Sequence[Operation],
    palette: Palette,
    *,
    scale: Scale = (1.0, 1.0),
    second: np.ndarray | None = None,
    load: Callable[[str], np.ndarray] | None = None,
    tick: Callable[[int], None] | None = None,
) -> Edited[np.ndarray]:
    """Apply operations of a segmentation recipe to a label map, integer [H, W].

    scale: of the recipe's coordinates, see ``Envelope.scale``. second: labels of another map, integer [h, w]. load: gives
    the picture of a name as labels int16 [h, w], -1 where nothing is painted. tick: is called before each
    operation with its index. RecipeError if something is missing without which nothing can be done.
    """
    mirrored = None if palette.mirrored == tuple(range(len(palette))) else np.array(palette.mirrored)
    other = None if second is None else second.astype(np.int16)
    scene = Scene(labels.astype(np.int16), palette.void, frozenset(palette.things), mirrored, other, load)
    edited = run(scene, operations, TABLE, scale, tick)
    names = {label.index: label.name for label in palette.labels}
    moved = tuple({**one, "class": ", ".join(names[k] for k in one["class"])} for one in edited.moved)
    return Edited(edited.values.astype(labels.dtype), edited.applied, edited.skipped, moved)


TABLES: Mapping[str, Table] = {
    "segmentation": TABLE, "depth": depth.TABLE, "sketch": sketch.TABLE, "pose": pose.TABLE
}  # fmt: skip
"""Operations by variable."""


def edit_levels(
    levels: np.ndarray,
    operations: Sequence[Operation],
    variable: str,
    *,
    scale: Scale = (1.0, 1.0),
    font: Callable[[str, float], Any] | None = None,
    tick: Callable[[int], None] | None = None,
) -> Edited[np.ndarray]:
    """Apply operations of a depth or sketch recipe to a map of levels, uint8 [H, W]; see ``edit_labels``. font: gives a Pillow font
    by the name of its file and a size."""
    scene = Scene(levels.astype(np.int16), font=font)
    edited = run(scene, operations, TABLES[variable], scale, tick)
    moved = tuple({key: value for key, value in one.items() if key != "class"} for one in edited.moved)
    return Edited(edited.values.astype(levels.dtype), edited.applied, edited.skipped, moved)


def edit_people(
    bodies: Sequence[Body],
    operations: Sequence[Operation],
    *,
    scale: Scale = (1.0, 1.0),
    tick: Callable[[int], None] | None = None,
) -> Edited[tuple[Body, ...]]:
    """Apply operations of a pose recipe to the people of a map; see ``edit_labels``."""
    crowd = pose.crowd(bodies)
    skipped = perform(crowd, operations, pose.TABLE, scale, tick)
    now = {one.id: one for one in crowd.people}
    moved = tuple(
        {"id": name, "from": _whole(first.origin), "to": _whole(now[name].box) if name in now else None}
        for name, first in crowd.made.items()
    )
    return Edited(tuple(one.joints for one in crowd.people), len(operations) - len(skipped), skipped, moved)


def _whole(box: tuple[float, ...]) -> list[int]:
    return [math.floor(edge + 0.5) for edge in box]


def run(
    scene: Scene, operations: Sequence[Operation], table: Table, scale: Scale, tick: Callable[[int], None] | None
) -> Edited[np.ndarray]:
    """Apply operations to a scene."""
    skipped = perform(scene, operations, table, scale, tick)
    moved = tuple(_fate(scene, name) for name in scene.made)
    return Edited(scene.flat().copy(), len(operations) - len(skipped), skipped, moved)


def perform(
    scene: Scene | pose.Crowd,
    operations: Sequence[Operation],
    table: Table,
    scale: Scale,
    tick: Callable[[int], None] | None,
) -> tuple[tuple[Operation, str], ...]:
    """Do operations. What is not there is left out, with all that needs it: (operation, why) of those."""
    skipped = []
    for operation in operations:
        if tick is not None:
            tick(operation.index)
        form = table[operation.name]
        fitted = rescale(operation, form, scale)
        try:
            form.function(scene, **fitted.arguments)
        except Gone as reason:
            skipped.append((operation, str(reason)))
            if made := operation.arguments.get("id"):
                scene.gone[made] = f"{operation.where} could not be done"
        except RecipeError as error:
            raise RecipeError(f"recipe: {operation.where}: {error}.") from None
    return tuple(skipped)


def _fate(scene: Scene, name: str) -> dict:
    """{id, class: the labels it holds, from: its box when it was made, to: its box now, as far as it is on the map, or None}"""
    first = scene.made[name]
    now = next((layer for layer in scene.layers if layer.id == name), None)
    held = np.unique((now or first).labels)
    box = None if now is None else common(now.box, scene.window)
    return {
        "id": name,
        "class": [int(label) for label in held if label != NOTHING],
        "from": list(first.origin),
        "to": None if box is None else list(box),
    }
