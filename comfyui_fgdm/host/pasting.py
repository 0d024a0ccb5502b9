"""Pasting what was edited of a picture into the picture that it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..editing import blending
from .editing import OpenMaps
from .reading import masks_of, pictures_of, to_image


@dataclass(frozen=True)
class Edges:
    """Of a mask, in pixels of the picture: see ``blending.soften``."""

    grow: int
    feather: int


@dataclass(frozen=True)
class Pasted:
    """pictures IMAGE (B, H, W, 3), mask MASK (B, H, W): how much of each pixel is pasted, 0 to 1. said: in a line."""

    pictures: torch.Tensor
    mask: torch.Tensor
    said: str


def changed_between(before: OpenMaps, after: torch.Tensor) -> torch.Tensor:
    """Float (b, h, w) of what maps and their edited versions, IMAGE, mean to have changed in the picture; see
    ``blending.edited_region``. ValueError where they are not as many or not as large."""
    later = before.another(after, "after")
    if later.shape != before.labels.shape:
        told = " and ".join(f"{len(one)} of {one.shape[2]} x {one.shape[1]}" for one in (before.labels, later))
        raise ValueError(
            f"after: it has to be as many maps as 'before', and as large; these are {told} pixels. Connect the map before an edit "
            "and the one after it."
        )
    pairs = zip(before.labels.numpy(), later, strict=True)
    regions = [blending.edited_region(old, new, before.palette.things) for old, new in pairs]
    return torch.from_numpy(np.stack(regions)).float()


def paste_edited(original: torch.Tensor, edited: torch.Tensor, masks: dict[str, torch.Tensor], edges: Edges) -> Pasted:
    """original, edited: IMAGE of one size; one original may stand for all. masks: by the name of their input, (b, h, w), one or as
    many as pictures, as large as these or smaller by a whole factor; what any of them holds is taken.

    ValueError for sizes and counts that do not fit, and if nothing is masked.
    """
    before, after = pictures_of(original, "original"), pictures_of(edited, "edited")
    size = _size(after)
    if _size(before) != size:
        raise ValueError(
            f"edited: it is {_told(size)}, but 'original' {_told(_size(before))} pixels. Encode a picture whose sides are multiples "
            "of 8 (Upscale Image, or a crop), so that what is decoded of it is as large."
        )
    count = len(after)
    if len(before) not in (1, count):
        raise ValueError(
            f"original: it holds {len(before)} pictures, but 'edited' {count}. Connect one, or the same number."
        )
    taken = torch.zeros(count, *size)
    for name, mask in masks.items():
        taken = torch.maximum(taken, _fitted(mask, name, count, size))
    if not (taken > 0).any():
        raise ValueError(
            f"{next(iter(masks))}: nothing is masked, so nothing would be pasted. Connect the mask of what was edited, or another map "
            "to 'after'."
        )
    soft = blending.soften(taken, edges.grow, edges.feather)
    if not (soft > 0).any():
        raise ValueError(
            "mask: no pixel of it is 1/2 or more, so with grow or feather nothing would be pasted. Set both to 0 to take a soft mask "
            "as it is."
        )
    kept = float((soft <= 0).float().mean())
    return Pasted(
        to_image(blending.paste(before, after, soft)),
        to_image(soft),
        f"{100 * float(soft.mean()):.1f} % pasted, {100 * kept:.1f} % of the pixels are untouched",
    )


def _fitted(mask: torch.Tensor, name: str, count: int, size: tuple[int, int]) -> torch.Tensor:
    """A mask at the size of the pictures, float (1 or count, H, W)."""
    one = masks_of(mask).clamp(0.0, 1.0)
    if len(one) not in (1, count):
        raise ValueError(f"{name}: it holds {len(one)}, but there are {count} pictures. Connect one, or one each.")
    height, width = one.shape[1:]
    times = size[0] // height
    if times < 1 or (height * times, width * times) != size:
        raise ValueError(
            f"{name}: it is {width} x {height} pixels, and the pictures are {_told(size)}: neither as large nor smaller by a whole "
            "factor. Resize one of them."
        )
    return one.repeat_interleave(times, 1).repeat_interleave(times, 2)


def _size(pictures: torch.Tensor) -> tuple[int, int]:
    return pictures.shape[1], pictures.shape[2]


def _told(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
