"""Regions of a label map: finding one by class and point, and closing the hole that it leaves."""

from __future__ import annotations

import math
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
    mask: np.ndarray | None = None,
) -> Shape:
    """The pixels that a class, a point, a polygon or a mask, bool [H, W], stand for on a map, int [H, W]; Gone if there are none.

    See ``editing`` for what the three mean together. Regions are connected over edges and corners. The nearest region is
    looked for among those that are as large as an object has to be to count (``presence.RULE``), if there are any.
    """
    height, width = labels.shape
    if mask is not None:
        shape = shapes.tight(0, 0, mask if label is None else mask & (labels == label))
        if not shape.mask.size:
            raise Gone("there is nothing of it inside the mask" if label is not None else "the mask is empty")
        return shape
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


def close(labels: np.ndarray, hole: Shape, label: int | None, usable: np.ndarray, void: int) -> None:
    """Fill a hole of a label map in place: with a class, or (None) each pixel with the nearest label around that is usable, bool
    [K]: a hole is no reason for other objects to grow. If there is none, with any that is around; if nothing is, with ``void``."""
    left, top, right, bottom = hole.box
    if label is not None:
        labels[top:bottom, left:right][hole.mask] = label
        return
    height, width = labels.shape
    reach = 4
    while True:
        x0, y0 = max(0, left - reach), max(0, top - reach)
        part = labels[y0 : bottom + reach, x0 : right + reach]
        gone = np.zeros(part.shape, dtype=bool)
        gone[top - y0 : bottom - y0, left - x0 : right - x0] = hole.mask
        whole = part.shape == (height, width)
        if _spread(part, gone, usable[part], math.inf if whole else reach):
            return
        if whole:
            break
        reach *= 4
    if not _spread(part, gone, np.ones_like(gone), math.inf):
        part[gone] = void


def _spread(part: np.ndarray, gone: np.ndarray, usable: np.ndarray, farthest: float) -> bool:
    """Give every pixel of a hole the nearest usable label; False, and nothing done, if for one it may lie outside."""
    from scipy import ndimage  # comes with ComfyUI; slow to import

    sources = usable & ~gone
    if not sources.any():
        return False
    distances, nearest = ndimage.distance_transform_edt(~sources, return_indices=True)  # type: ignore[misc]
    if distances[gone].max() > farthest:
        return False
    rows, columns = np.asarray(nearest)
    part[gone] = part[rows[gone], columns[gone]]
    return True
