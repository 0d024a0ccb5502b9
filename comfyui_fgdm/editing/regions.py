"""Regions of a label map: finding one by class and point, and closing the hole that it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..maps.cleaning import pieces
from ..maps.presence import RULE
from . import shapes
from .shapes import Shape

_FIRST_LOOK = 64


class Gone(Exception):
    """What an operation needs is not on the map; says why."""


def pick(
    labels: np.ndarray,
    label: int | None = None,
    at: tuple[float, float] | None = None,
    within: Sequence[tuple[float, float]] | None = None,
) -> Shape:
    """The pixels that a class, a point or a polygon stand for on a map, int [H, W]; Gone if there are none.

    See ``editing`` for what the three mean together. Regions are connected over edges and corners. The nearest region is
    looked for among those that are as large as an object has to be to count (``presence.RULE``), if there are any.
    """
    height, width = labels.shape
    if within is not None:
        shape = shapes.polygon(within, (width, height))
        if label is not None and shape.mask.size:
            left, top, right, bottom = shape.box
            shape = shapes.tight(left, top, shape.mask & (labels[top:bottom, left:right] == label))
        if not shape.mask.size:
            raise Gone("there is nothing of it inside the outline" if label is not None else "the outline is empty")
        return shape
    if at is None:
        shape = shapes.tight(0, 0, labels == label)
        if not shape.mask.size:
            raise Gone("the map has none of this class")
        return shape
    x, y = int(np.floor(at[0] + 0.5)), int(np.floor(at[1] + 0.5))
    inside = 0 <= x < width and 0 <= y < height
    if label is None:
        if not inside:
            raise Gone("the point is outside of the map")
        label = int(labels[y, x])
    if inside and labels[y, x] == label:
        return _island(labels, label, x, y)
    return _nearest(labels, label, x, y)


def _island(labels: np.ndarray, label: int, x: int, y: int) -> Shape:
    """The connected region at a pixel. Looks around it first, and farther where the region goes on."""
    height, width = labels.shape
    reach = _FIRST_LOOK
    while True:
        left, top = max(0, x - reach), max(0, y - reach)
        part = labels[top : min(height, y + reach + 1), left : min(width, x + reach + 1)] == label
        numbers, _ = pieces(part)
        mask = numbers == numbers[y - top, x - left]
        cut = [left > 0 and mask[:, 0].any(), top > 0 and mask[0].any()]
        cut += [left + mask.shape[1] < width and mask[:, -1].any(), top + mask.shape[0] < height and mask[-1].any()]
        if not any(cut):
            return shapes.tight(left, top, mask)
        reach *= 3


def _nearest(labels: np.ndarray, label: int, x: int, y: int) -> Shape:
    numbers, count = pieces(labels == label)
    if not count:
        raise Gone("the map has none of this class")
    areas = np.bincount(numbers.ravel(), minlength=count + 1)
    areas[0] = 0
    large = areas >= max(1.0, RULE.min_area * labels.size)
    ys, xs = np.nonzero(large[numbers] if large.any() else numbers)
    nearest = int(np.argmin((xs - x) ** 2 + (ys - y) ** 2))
    return shapes.tight(0, 0, numbers == numbers[ys[nearest], xs[nearest]])


def close(labels: np.ndarray, hole: Shape, label: int | None, void: int) -> None:
    """Fill a hole of a label map in place: with a class, or each pixel with the nearest label around (None). If nothing is
    around, with ``void``."""
    from scipy import ndimage  # comes with ComfyUI; slow to import

    left, top, right, bottom = hole.box
    if label is not None:
        labels[top:bottom, left:right][hole.mask] = label
        return
    # the nearest pixel outside is at most one row or column out of the box: from farther ones, the way leads over these
    x0, y0 = max(0, left - 1), max(0, top - 1)
    part = labels[y0 : bottom + 1, x0 : right + 1]
    gone = np.zeros(part.shape, dtype=bool)
    gone[top - y0 : bottom - y0, left - x0 : right - x0] = hole.mask
    if gone.all():
        part[:] = void
        return
    nearest = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
    rows, columns = np.asarray(nearest)
    part[gone] = part[rows[gone], columns[gone]]
