"""Cleaning sampled label maps for control nets: no pixels without a class, no specks."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

SMALLEST = 0.0025
"""Default share of a map below which a connected piece is a speck (41 pixels of 128 x 128)."""


def pieces(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """(number of the connected piece of each pixel, 0 outside; how many) of a mask; corners connect, as in the editor of
    the FG-DM release."""
    from scipy import ndimage  # ComfyUI installs it; imported where it is used, it takes a while

    return cast(tuple[np.ndarray, int], ndimage.label(mask, structure=np.ones((3, 3))))


def clean(labels: torch.Tensor, void: int, smallest: float = SMALLEST) -> torch.Tensor:
    """Label maps int [B, H, W] without void pixels and without connected (8 neighbours) pieces of less than the share
    `smallest` (0..1) of the map: these pixels take the class of the nearest pixel that stays.

    0 changes nothing. A map of which nothing would stay is left as it is. ValueError for a share outside 0..1.
    """
    if not 0.0 <= smallest <= 1.0:
        raise ValueError(f"the smallest piece must be a share of the map, 0..1, got {smallest}")
    if smallest == 0.0:
        return labels
    return torch.stack([torch.from_numpy(_clean(one.cpu().numpy(), void, smallest)) for one in labels]).to(labels)


def _clean(labels: np.ndarray, void: int, smallest: float) -> np.ndarray:
    from scipy import ndimage

    least = smallest * labels.size
    areas = np.bincount(labels.ravel())
    few = areas < least  # a map in the making has pixels of most classes, and pieces of few
    few[void : void + 1] = True
    gone = few[labels]
    extents = ndimage.find_objects(labels + 1)
    for label in np.flatnonzero((areas > 0) & ~few):
        extent = extents[label]
        numbers, _ = pieces(labels[extent] == label)
        small = np.bincount(numbers.ravel()) < least
        small[0] = False  # what belongs to other classes
        if small.any():
            gone[extent] |= small[numbers]
    if gone.all() or not gone.any():
        return labels.copy()
    nearest = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
    return labels[tuple(cast(np.ndarray, nearest))]
