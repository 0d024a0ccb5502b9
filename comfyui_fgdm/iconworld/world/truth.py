"""Exact ground truth of a drawn scene beside its label map: boxes, layers, depth, normals, edges, joints, scene graph.

Conventions: x right, y down, pixels; depth 0 near ... 1 far; normals are unit vectors as in ``maps.normal``, with
x to the left, y up, z to the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...maps.pose import MIRRORED
from . import classes as c
from .canvas import STUFF_ENTITY, stuff_entity
from .captions import Caption
from .draw import Scene


@dataclass(frozen=True)
class Box:
    """entity: id in `Scene.entities`; index: COCO label; x0, y0, x1, y1: visible pixels, x1 and y1 exclusive; area in pixels."""

    entity: int
    index: int
    x0: int
    y0: int
    x1: int
    y1: int
    area: int


def boxes(scene: Scene) -> list[Box]:
    """The visible things from back to front; a thing that is wholly covered has no box."""
    result = []
    for number, instance in enumerate(scene.layout.instances, start=1):
        mask = scene.entities == number
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            result.append(
                Box(
                    number,
                    instance.index,
                    int(columns[0]),
                    int(rows[0]),
                    int(columns[-1]) + 1,
                    int(rows[-1]) + 1,
                    int(mask.sum()),
                )
            )
    return result


def _depth_at(layout, base: float) -> float:
    """Depth of a point of the ground whose height in the picture is `base` (1 nearest): 0.05 at the bottom, 0.9 at the horizon."""
    share = np.clip((base - layout.horizon) / max(1e-6, 1 - layout.horizon), 0, 1)
    return float(0.9 - 0.85 * share)


def depth(scene: Scene) -> np.ndarray:
    """float32 H x W in 0..1: the ground is a plane, things and pieces of background stand upright on it, the sky is at 1."""
    size = scene.labels.shape[0]
    rows = (np.arange(size) + 0.5) / size
    ground = np.array([_depth_at(scene.layout, row) for row in rows], np.float32)
    result = np.ones((size, size), np.float32)
    on_ground = scene.entities == stuff_entity(scene.layout.ground)
    result[on_ground] = np.broadcast_to(ground[:, None], (size, size))[on_ground]
    if scene.layout.top == c.WALL:
        result[scene.entities == stuff_entity(c.WALL)] = 0.9
    for element in scene.layout.elements:
        value = 0.97 if element.index == c.MOUNTAIN else _depth_at(scene.layout, element.base)
        mask = scene.entities == stuff_entity(element.index)
        result[mask] = np.minimum(result[mask], value)
    for number, instance in enumerate(scene.layout.instances, start=1):
        in_air = instance.base < scene.layout.horizon
        result[scene.entities == number] = 0.5 if in_air else max(0.0, _depth_at(scene.layout, instance.base) - 0.01)
    return result


def _distance(mask: np.ndarray) -> np.ndarray:
    """float64 H x W: how far each pixel of the mask is from the nearest pixel outside it."""
    return np.asarray(ndimage.distance_transform_edt(mask))


def normals(scene: Scene) -> np.ndarray:
    """float32 H x W x 3 unit vectors: sky, walls and background face the viewer, the ground faces up, things bulge."""
    size = scene.labels.shape[0]
    result = np.zeros((size, size, 3), np.float32)
    result[..., 2] = 1
    ground = scene.entities == stuff_entity(scene.layout.ground)
    result[ground] = (0.0, np.sin(np.radians(75)), np.cos(np.radians(75)))
    for number in range(1, len(scene.layout.instances) + 1):
        mask = scene.entities == number
        if not mask.any():
            continue
        inside = _distance(mask)
        bulge = np.sqrt(np.clip(inside / max(inside.max(), 1e-6), 0, 1)) * inside.max()
        dy, dx = np.gradient(ndimage.gaussian_filter(bulge, 1.0))
        vector = np.dstack([dx, dy, np.ones_like(dx)])
        result[mask] = (vector / np.linalg.norm(vector, axis=2, keepdims=True))[mask]
    return result


def edges(scene: Scene, width: float = 1.0) -> np.ndarray:
    """float32 H x W in 0..1: soft outlines of things and stuff, 1 on the border, falling off over about `width` pixels."""
    e = scene.entities
    border = np.zeros(e.shape, bool)
    border[:, 1:] |= e[:, 1:] != e[:, :-1]
    border[1:, :] |= e[1:, :] != e[:-1, :]
    return np.exp(-((_distance(~border) / max(width, 1e-6)) ** 2) / 2).astype(np.float32)


def joints(scene: Scene) -> dict[int, np.ndarray]:
    """{entity id: 18 x 3} of the drawn figures: x, y in pixels, and 1 where the joint lies on a visible pixel of its figure
    (within two pixels), else 0. A mirrored figure has its left and right joints exchanged."""
    result = {}
    for entity, points in scene.joints.items():
        if scene.layout.instances[entity - 1].flip:
            points = points[list(MIRRORED)]
        near = ndimage.binary_dilation(scene.entities == entity, iterations=2)
        size = scene.labels.shape[0]
        column, row = np.round(points).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < size) & (row < size)
        seen = inside.copy()
        seen[inside] = near[row[inside], column[inside]]
        result[entity] = np.column_stack([points, seen.astype(float)])
    return result


def scene_graph(scene: Scene, caption: Caption) -> dict:
    """What the caption says, as data: {objects: [{entity, name, index, attributes}], relations: [[subject, predicate, object]]}.

    Subjects and objects are positions in the list of objects; background that the caption names comes last.
    """
    things = [
        {
            "entity": number,
            "name": c.THING_BY_INDEX[i.index].name,
            "index": i.index,
            "attributes": [i.tint]
            if i.tint and any(w.text == i.tint and number in w.refers for w in caption.words)
            else [],
        }
        for number, i in enumerate(scene.layout.instances, start=1)
    ]
    stuff = [
        {"entity": stuff_entity(index), "name": c.STUFF_BY_INDEX[index].name, "index": index, "attributes": []}
        for index in caption.named
        if index in c.STUFF_BY_INDEX
    ]
    objects = things + stuff
    place = {entry["entity"]: at for at, entry in enumerate(objects)}
    relations = [[place[r.subject], r.predicate, place[r.object]] for r in caption.relations]
    return {"objects": objects, "relations": relations}


def layer_order(scene: Scene) -> list[int]:
    """Entity ids of the visible things from back to front."""
    present = set(np.unique(scene.entities).tolist())
    return [
        number for number in range(1, len(scene.layout.instances) + 1) if number in present and number < STUFF_ENTITY
    ]
