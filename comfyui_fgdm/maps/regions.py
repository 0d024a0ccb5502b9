"""Connected regions of label maps with their boxes, and the same as SEGS, the type of the Impact Pack.

A region counts by the rule by which recall counts an object: enough area left after an erosion. Seams between
colours and specks of a noisy map are no regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from . import presence
from .cleaning import pieces
from .palettes import Palette

CROP_FACTOR = 3.0
"""Side of the context that a detailer sees, in sides of the box; the default of the Impact Pack's own nodes."""


@dataclass(frozen=True)
class Region:
    """One island of a class. box: (left, top, right, bottom), the last two exclusive; mask: bool [bottom - top,
    right - left], what of the box belongs to it; area: pixels of the mask."""

    label: int
    box: tuple[int, int, int, int]
    mask: np.ndarray
    area: int


class SEG(NamedTuple):
    """One segment as the Impact Pack reads it, by attribute names.

    cropped_mask: float32 [y1 - y0, x1 - x0] in 0..1, the part of the mask inside crop_region; crop_region:
    [x0, y0, x1, y1] and bbox: (x0, y0, x1, y1) in pixels of the map, the last two exclusive.
    """

    cropped_image: None
    cropped_mask: np.ndarray
    confidence: float
    crop_region: list[int]
    bbox: tuple[int, int, int, int]
    label: str
    control_net_wrapper: None = None


Segs = tuple[tuple[int, int], list[SEG]]
"""((height, width), segments): what a SEGS socket carries."""


def find_regions(
    labels: torch.Tensor, classes: Sequence[int] | None = None, rule: presence.PresenceRule = presence.RULE
) -> list[Region]:
    """Regions of one label map int [H, W], largest first (then by label, top and left edge).

    classes: labels whose regions are wanted, None = all that occur. Pixels that touch at a corner are
    connected, as in the editor of the FG-DM release. ``rule.min_area`` is the least share of the map.
    """
    from scipy import ndimage  # comes with ComfyUI; slow to import

    if labels.ndim != 2:
        raise ValueError(f"expected one label map [H, W], got shape {list(labels.shape)}")
    least = max(1.0, rule.min_area * labels.numel())
    solid = presence.solid(labels[None].float(), rule.erode)[0].cpu().numpy()
    values = labels.cpu().numpy()
    present, counts = np.unique(values[solid], return_counts=True)
    extents = ndimage.find_objects(values + 1)
    found = []
    for label in present[counts >= least].tolist():
        if classes is not None and label not in classes:
            continue
        extent = extents[label]
        islands, count = pieces(values[extent] == label)
        core = np.bincount(islands[solid[extent]], minlength=count + 1)
        core[0] = 0  # what belongs to other classes
        boxes = ndimage.find_objects(islands)
        for island in np.flatnonzero(core >= least).tolist():
            rows, columns = boxes[island - 1]
            mask = islands[rows, columns] == island
            left, top = extent[1].start + columns.start, extent[0].start + rows.start
            box = (left, top, left + mask.shape[1], top + mask.shape[0])
            found.append(Region(label, box, mask, int(mask.sum())))
    return sorted(found, key=lambda region: (-region.area, region.label, region.box[1], region.box[0]))


def to_segs(regions: Sequence[Region], size: tuple[int, int], palette: Palette, factor: float = CROP_FACTOR) -> Segs:
    """SEGS of regions of a map of ``size`` (height, width): one SEG a region, labelled with the class name.

    factor: how many times as wide and high as its box a crop is, at least 1; crops are moved into the map and cut
    where they are larger than it. Confidence is 1: the map says so. SEGS has no place for several maps.
    """
    if not factor >= 1:
        raise ValueError(f"factor: a crop must hold the box, so give at least 1, not {factor}")
    return size, [_seg(region, size, palette, factor) for region in regions]


def _seg(region: Region, size: tuple[int, int], palette: Palette, factor: float) -> SEG:
    left, top, right, bottom = region.box
    x0, x1 = _grow(left, right, size[1], factor)
    y0, y1 = _grow(top, bottom, size[0], factor)
    mask = np.zeros((y1 - y0, x1 - x0), dtype=np.float32)
    mask[top - y0 : bottom - y0, left - x0 : right - x0] = region.mask
    return SEG(None, mask, 1.0, [x0, y0, x1, y1], region.box, palette.labels[region.label].name)


def _grow(start: int, stop: int, limit: int, factor: float) -> tuple[int, int]:
    """An interval around [start, stop) of ``factor`` times its length, moved into [0, limit)."""
    length = min(limit, int((stop - start) * factor))
    first = min(max(0, start - (length - (stop - start)) // 2), limit - length)
    return first, first + length
