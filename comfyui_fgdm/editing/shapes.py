"""Shapes on the grid of pixels: which pixels have their centres in a stroke, polygon, rectangle or ellipse.

No edge is smoothed. Points are pixels (pixel [x, y] has its centre at x + 0.5, y + 0.5), boxes are edges of pixels. A shape
is given as ``Shape``: the part of the map it covers and a mask of that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]
_ROWS_AT_ONCE = 1 << 20
_EPS = 1e-9  # what rounding may add to a distance


@dataclass(frozen=True)
class Shape:
    """left, top: where the mask, bool [h, w], lies on the map. It may be empty."""

    left: int
    top: int
    mask: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom), the last two exclusive."""
        height, width = self.mask.shape
        return self.left, self.top, self.left + width, self.top + height


def tight(left: int, top: int, mask: np.ndarray) -> Shape:
    """A shape cut to the rows and columns that hold something."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Shape(left, top, mask[:0, :0])
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Shape(left + int(columns[0]), top + int(rows[0]), part)


def stroke(points: Sequence[Point], width: float, size: tuple[int, int]) -> Shape:
    """What a round brush of a diameter covers on its way along the points: pixels with centres within width / 2 of it.

    size: (width, height) of the map, to which the shape is cut.
    """
    path = np.asarray(points, dtype=np.float64)
    starts, ends = (path, path) if len(path) == 1 else (path[:-1], path[1:])
    reach = max(width, 0.0) / 2 + _EPS
    corners = _window(path.min(0) - reach, path.max(0) + reach, size)
    x0, y0, x1, y1 = corners
    if x1 <= x0 or y1 <= y0:
        return Shape(0, 0, np.zeros((0, 0), dtype=bool))
    edges = np.zeros((y1 - y0, x1 - x0 + 1), dtype=np.int32)
    first = np.maximum(np.ceil(np.minimum(starts[:, 1], ends[:, 1]) - reach), y0).astype(np.int64)
    last = np.minimum(np.floor(np.maximum(starts[:, 1], ends[:, 1]) + reach), y1 - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    done = 0
    while done < len(counts):  # as many segments at once as fit
        stop = done + max(1, int(np.searchsorted(np.cumsum(counts[done:]), _ROWS_AT_ONCE)))
        part = np.repeat(np.arange(done, min(stop, len(counts))), counts[done:stop])
        offset = np.arange(len(part)) - np.repeat(np.cumsum(counts[done:stop]) - counts[done:stop], counts[done:stop])
        rows = first[part] + offset
        low, high = _capsule_rows(starts[part], ends[part], rows, reach)
        left = np.maximum(np.ceil(low), x0).astype(np.int64)
        right = np.minimum(np.floor(high), x1 - 1).astype(np.int64)
        some = left <= right
        np.add.at(edges, (rows[some] - y0, left[some] - x0), 1)
        np.add.at(edges, (rows[some] - y0, right[some] - x0 + 1), -1)
        done = stop
    return tight(x0, y0, edges.cumsum(1)[:, :-1] > 0)


def _capsule_rows(start: np.ndarray, end: np.ndarray, rows: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest x of all within ``reach`` of a segment on a row; one segment and row an entry. The set is convex, so
    it is one interval: the hull of those of the two discs and of the band between them."""
    low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for centre in (start, end):
        rest = reach**2 - (rows - centre[:, 1]) ** 2
        half = np.sqrt(np.maximum(rest, 0.0))
        low = np.where(rest >= 0, np.minimum(low, centre[:, 0] - half), low)
        high = np.where(rest >= 0, np.maximum(high, centre[:, 0] + half), high)
    dx, dy = (end - start).T
    length = np.hypot(dx, dy)
    height = rows - start[:, 1]
    # across: |dx * height - dy * x| <= reach * length; along: 0 <= dx * x + dy * height <= length^2
    a = _interval(-dy, dx * height, -reach * length, reach * length)
    b = _interval(dx, dy * height, np.zeros_like(length), length**2)
    left, right = np.maximum(a[0], b[0]) + start[:, 0], np.minimum(a[1], b[1]) + start[:, 0]
    band = (left <= right) & (length > 0)
    return np.where(band, np.minimum(low, left), low), np.where(band, np.maximum(high, right), high)


def _interval(slope: np.ndarray, at_zero: np.ndarray, least: np.ndarray, most: np.ndarray):
    """The x with least <= slope * x + at_zero <= most."""
    flat = slope == 0
    divisor = np.where(flat, 1.0, slope)
    one, other = (least - at_zero) / divisor, (most - at_zero) / divisor
    inside = (least <= at_zero) & (at_zero <= most)
    low = np.where(flat, np.where(inside, -np.inf, np.inf), np.minimum(one, other))
    high = np.where(flat, np.where(inside, np.inf, -np.inf), np.maximum(one, other))
    return low, high


def polygon(points: Sequence[Point], size: tuple[int, int]) -> Shape:
    """Pixels whose centres are inside of, or on, a closed line through the points (even-odd rule)."""
    path = np.asarray(points, dtype=np.float64)
    x0, y0, x1, y1 = _window(path.min(0), path.max(0), size)
    if x1 <= x0 or y1 <= y0:
        return Shape(0, 0, np.zeros((0, 0), dtype=bool))
    turns = np.zeros((y1 - y0, x1 - x0 + 1), dtype=np.int32)
    for (ax, ay), (bx, by) in zip(path, np.roll(path, -1, axis=0)):
        if ay == by:
            continue
        low, high = min(ay, by), max(ay, by)
        rows = np.arange(max(int(np.ceil(low)), y0), min(int(np.ceil(high)), y1))  # each edge without its lower end
        crossings = ax + (rows - ay) * ((bx - ax) / (by - ay))
        columns = np.clip(np.ceil(crossings), x0, x1).astype(np.int64)
        np.add.at(turns, (rows - y0, columns - x0), 1)
    mask = turns.cumsum(1)[:, :-1] % 2 == 1
    edge = stroke([*points, points[0]], 0.0, size)
    if edge.mask.size:
        left, top, right, bottom = edge.box
        mask[top - y0 : bottom - y0, left - x0 : right - x0] |= edge.mask
    return tight(x0, y0, mask)


def outline(points: Sequence[Point], width: float, size: tuple[int, int]) -> Shape:
    """A stroke along the closed line through the points."""
    return stroke([*points, points[0]], width, size)


def rectangle(box: Sequence[float], size: tuple[int, int], width: float | None = None) -> Shape:
    """Pixels with centres in a box; width: only those nearer to its edge than that."""
    return _in_box(box, size, width, lambda x, y, rx, ry: (np.abs(x) <= rx) & (np.abs(y) <= ry))


def ellipse(box: Sequence[float], size: tuple[int, int], width: float | None = None) -> Shape:
    """Pixels with centres in the ellipse in a box; width: without those in one that is smaller by that on every side."""
    return _in_box(
        box, size, width, lambda x, y, rx, ry: (rx > 0) & (ry > 0) & ((x / (rx or 1)) ** 2 + (y / (ry or 1)) ** 2 <= 1)
    )


def _in_box(box: Sequence[float], size: tuple[int, int], width: float | None, inside) -> Shape:
    low, high = np.asarray(box[:2], dtype=np.float64), np.asarray(box[2:], dtype=np.float64)
    x0, y0, x1, y1 = _window(low - 0.5, high - 0.5, size)
    if x1 <= x0 or y1 <= y0:
        return Shape(0, 0, np.zeros((0, 0), dtype=bool))
    (cx, cy), (rx, ry) = (low + high) / 2, (high - low) / 2
    x, y = np.arange(x0, x1)[None] + 0.5 - cx, np.arange(y0, y1)[:, None] + 0.5 - cy
    mask = np.array(inside(x, y, rx, ry))
    if width is not None and rx > width and ry > width:
        mask &= ~inside(x, y, rx - width - _EPS, ry - width - _EPS)
    return tight(x0, y0, mask)


def _window(low: np.ndarray, high: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a map whose pixels, as points, may lie from low to high: (x0, y0, x1, y1), the last two exclusive."""
    (x0, y0), (x1, y1) = np.floor(low).astype(int), np.floor(high).astype(int) + 1
    return max(0, int(x0)), max(0, int(y0)), min(size[0], int(x1)), min(size[1], int(y1))
