"""Normals from Depth: the normal maps that belong to IMAGE batches of depth maps."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..maps import depth, normal, relief
from .reading import masks_of, pictures_of, to_image


def follow(
    maps: torch.Tensor,
    height: float,
    radius: int,
    given: torch.Tensor | None = None,
    changed: torch.Tensor | None = None,
) -> torch.Tensor:
    """IMAGE of the normals of depth maps (B, H, W, 3). height, radius: see ``relief.normals``.

    given, changed: normal maps, and a MASK of where the depth is another than theirs; everywhere else they stay as they are, to the bit. Of fewer
    than the depth maps the last one stands for the rest. ValueError if only one of them is there, or sizes differ.
    """
    pictures = pictures_of(maps, "depth")
    new = normal.draw(relief.normals(depth.read(pictures), height, radius))
    if given is None and changed is None:
        return to_image(new)
    if given is None or changed is None:
        have, lack = ("normal", "changed") if changed is None else ("changed", "normal")
        raise ValueError(f"{lack}: {have} is connected and says nothing alone; connect both, or none of the two.")
    old = pictures_of(given, "normal")
    mask = masks_of(changed)
    for name, size in (("normal", old.shape[1:3]), ("changed", mask.shape[1:])):
        if size != new.shape[1:3]:
            raise ValueError(f"{name}: it has {size[1]} x {size[0]} pixels, and depth {new.shape[2]} x {new.shape[1]}.")
    reach = 2 * relief.reach_of(*new.shape[1:3], radius)
    near = F.max_pool2d((mask > 0.5).float(), 2 * reach + 1, 1, reach)
    index = torch.arange(len(new))
    old, near = old[index.clamp(max=len(old) - 1)], near[index.clamp(max=len(near) - 1)]
    return to_image(torch.where(near[..., None] > 0, new, old))
