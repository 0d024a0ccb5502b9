"""Maps after an edit: exact class colours and no specks where something was edited, every other pixel as it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...maps.reader import Reader
from .. import own
from ..reading import masks_of, pictures_of, read_maps, reader_by_looks, to_image


@dataclass(frozen=True)
class Finished:
    """maps: IMAGE (B, H, W, 3). changed: MASK (B, H, W), 1 where the class is another than before. said: how much that is."""

    maps: torch.Tensor
    changed: torch.Tensor
    said: str


def finish_map(
    original: torch.Tensor, edited: torch.Tensor, mask: torch.Tensor, reader: Reader | None, smallest: float
) -> Finished:
    """original, edited: IMAGE of as many maps of one size, or one original for all. mask: MASK of where to take the edited.

    smallest: share of the map below which a piece is a speck; its pixels, where edited, take the class next to them.
    ValueError for sizes that differ.
    """
    before, after = pictures_of(original, "original"), pictures_of(edited, "edited")
    inside = masks_of(mask) >= 0.5
    sizes = {name: tuple(one.shape[1:3]) for name, one in (("original", before), ("edited", after), ("mask", inside))}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {width} x {height}" for name, (height, width) in sizes.items())
        raise ValueError(f"edited: maps and mask differ in size ({told} pixels). Connect those of one edit.")
    count = len(after)
    for name, one in (("original", before), ("mask", inside)):
        if len(one) not in (1, count):
            raise ValueError(f"{name}: it holds {len(one)}, but 'edited' {count} maps. Connect one, or one each.")
    library = own.library()
    reading = reader or reader_by_looks(before, library)
    old = read_maps(before, reading, name="original", others=library.all).labels.expand(count, -1, -1)
    new = read_maps(after, reading, name="edited", sampled=True).labels
    inside = inside.expand(count, -1, -1)
    merged = torch.where(inside, new, old)
    labels = torch.where(inside, reading.clean(merged, smallest), old)
    kept = (labels == old)[..., None]
    pictures = torch.where(kept, before.expand(count, -1, -1, -1), reading.draw(labels))
    changed = ~kept[..., 0]
    return Finished(
        to_image(pictures),
        to_image(changed.float()),
        f"{100 * float(changed.float().mean()):.1f} % of the pixels changed class",
    )
