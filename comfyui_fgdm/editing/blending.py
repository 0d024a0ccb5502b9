"""Pasting part of one picture into another: which part an edited map means, how softly it ends, and nothing else touched."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from ..maps.cleaning import pieces


def edited_region(before: np.ndarray, after: np.ndarray, things: Collection[int]) -> np.ndarray:
    """What has to be drawn anew where a map, labels int [H, W], became another one of its size: bool [H, W].

    All pixels of another class; and whole, in both maps, each region of a thing that gained a pixel, or lost one to what is no
    thing: where a dog that moved covers the place that it had, its fur is another all the same. What is merely covered by
    another thing, or comes to light, changes there alone. things: the labels of countable objects.
    """
    changed = before != after
    found, behind = changed.copy(), ~np.isin(after, list(things))
    touched = np.union1d(before[changed], after[changed])
    for label in np.intersect1d(touched, list(things)):
        old, new = before == label, after == label
        gone = _islands(old, changed & old & behind)
        found |= gone | _islands(new, new & (changed | gone))
    return found


def _islands(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The connected parts of a mask, bool [H, W], that hold a seed, bool [H, W]."""
    numbers, count = pieces(mask)
    held = np.zeros(count + 1, dtype=bool)
    held[numbers[seeds]] = True
    held[0] = False
    return held[numbers]


def soften(mask: Tensor, grow: int, feather: int) -> Tensor:
    """A mask float [B, H, W] with softer and wider edges: 1 within ``grow`` pixels (Euclidean) of what is 1/2 or more, from
    there falling evenly to 0 at ``feather`` pixels farther out. Both 0: the mask as it is, values between 0 and 1 included."""
    if grow < 0 or feather < 0:
        raise ValueError(f"grow and feather are pixels from 0 on, not {grow} and {feather}")
    if grow == 0 and feather == 0:
        return mask.float().clamp(0.0, 1.0)
    return torch.stack([_softened(one, grow, feather) for one in mask.float().cpu()])


def _softened(mask: Tensor, grow: int, feather: int) -> Tensor:
    from scipy import ndimage  # comes with ComfyUI; slow to import

    inside = mask.numpy() >= 0.5
    if not inside.any():
        return torch.zeros_like(mask)
    distance = torch.from_numpy(np.asarray(ndimage.distance_transform_edt(~inside))).float()
    if feather == 0:
        return (distance <= grow).float()
    return ((grow + feather - distance) / feather).clamp(0.0, 1.0)


def paste(original: Tensor, edited: Tensor, mask: Tensor) -> Tensor:
    """Pictures [B, H, W, C] with what a mask float [B, H, W] takes of others; bit for bit the original where it is 0, the other
    where it is 1, and evenly between in between. Any of the three may hold one for all."""
    share = mask[..., None]
    mixed = original + share * (edited - original)
    return torch.where(share <= 0.0, original, torch.where(share >= 1.0, edited, mixed))
