"""Two versions of a map: which regions stayed, moved, came or went, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..maps.palette_file import Palette
from ..maps.regions import Region, find_regions

DIM = 0.25
"""How much of its colour a pixel keeps, in the picture of a difference, where nothing has changed."""


def differences(before: np.ndarray, after: np.ndarray, palette: Palette) -> dict:
    """What differs between two label maps, integer [H, W] of one size.

    {"changed": share of pixels, "things": [{"class", "what", "from": box or None, "to": box or None, "moved": [dx, dy], "size": ratio
    of the areas}], "classes": {name: [share before, share after]} of those whose share changed}. what: moved, resized,
    reshaped, new, gone; regions that stayed are left out. Only countable objects are followed; regions of one class are
    matched by the nearest centres.
    """
    things = []
    sides = [find_regions(torch.from_numpy(one.astype(np.int64)), palette.things) for one in (before, after)]
    for label in sorted({one.label for side in sides for one in side}):
        old, new = ([one for one in side if one.label == label] for side in sides)
        for one, other in _pairs(old, new):
            entry = _entry(one, other)
            if entry is not None:
                things.append({"class": palette.labels[label].name, **entry})
    shares = [np.bincount(one.ravel(), minlength=len(palette)) / one.size for one in (before, after)]
    classes = {
        palette.labels[k].name: [round(float(shares[0][k]), 6), round(float(shares[1][k]), 6)]
        for k in np.flatnonzero(shares[0] != shares[1])
    }
    return {"changed": round(float((before != after).mean()), 6), "things": things, "classes": classes}


def picture(before: np.ndarray, after: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The later map, dimmed where it is as before, and with the earlier one beside it, dimmed alike: float32 [H, 2 W, 3].

    before, after: labels, integer [H, W]. colours: float [K, 3] in 0..1, of every label.
    """
    same = (before == after)[..., None]
    sides = []
    for labels in (before, after):
        full = colours[labels]
        grey = full.mean(-1, keepdims=True) * 0.3 + 0.35
        sides.append(np.where(same, full * DIM + grey * (1 - DIM), full))
    return np.concatenate(sides, axis=1).astype(np.float32)


def _pairs(old: Sequence[Region], new: Sequence[Region]) -> list[tuple[Region | None, Region | None]]:
    """Each region with the one that it became; first those that stayed, then by distance."""
    distances = sorted((_distance(a, b), i, j) for i, a in enumerate(old) for j, b in enumerate(new))
    left, right = set(range(len(old))), set(range(len(new)))
    pairs: list[tuple[Region | None, Region | None]] = []
    for _, i, j in distances:
        if i in left and j in right:
            pairs.append((old[i], new[j]))
            left.discard(i)
            right.discard(j)
    return [*pairs, *((old[i], None) for i in sorted(left)), *((None, new[j]) for j in sorted(right))]


def _distance(one: Region, other: Region) -> float:
    if one.box == other.box and np.array_equal(one.mask, other.mask):
        return -1.0
    return sum((a + c - b - d) ** 2 for a, b, c, d in zip(one.box[:2], other.box[:2], one.box[2:], other.box[2:])) / 4


def _entry(old: Region | None, new: Region | None) -> dict | None:
    if old is None or new is None:
        what = "new" if old is None else "gone"
        return {"what": what, "from": old and list(old.box), "to": new and list(new.box)}
    if _distance(old, new) < 0:
        return None
    moved = [(new.box[k] + new.box[k + 2] - old.box[k] - old.box[k + 2]) / 2 for k in (0, 1)]
    sides = [one.box[2] - one.box[0] for one in (old, new)], [one.box[3] - one.box[1] for one in (old, new)]
    resized = any(a != b for a, b in sides)
    what = "resized" if resized else "moved" if any(moved) else "reshaped"
    size = round(new.area / old.area, 6)
    return {"what": what, "from": list(old.box), "to": list(new.box), "moved": moved, "size": size}
