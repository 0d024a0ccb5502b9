"""Pose maps after an edit: figures that changed are drawn anew, and what did not change stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from ..maps import pose_reading
from ..maps.pose import radius_of
from ..maps.pose_bodies import Body
from ..maps.pose_reading import PeopleRead


@dataclass(frozen=True)
class Redrawn:
    """picture: float32 [H, W, 3]. labels: the figures on it, see ``pose_reading.INDICES``, uint8 [H, W]. lost: share of its pixels that showed
    something else, such as a hand, which belonged to what moved and is gone."""

    picture: torch.Tensor
    labels: np.ndarray
    lost: float


def redraw(picture: torch.Tensor, read: PeopleRead, bodies: Sequence[Body]) -> Redrawn:
    """A pose map, float [H, W, 3] in 0..1, of which people were read, with other people. Where the figures look as before, and a little
    away from where they do not, the picture stays to the bit: with it hands and faces of those who did not move. What was drawn next
    to a part of a figure that moved, and is none, is taken away: nothing knows where it should go."""
    from scipy import ndimage

    height, width = picture.shape[:2]
    before = pose_reading.indices(read.draw(height, width))
    if tuple(bodies) == read.bodies:
        return Redrawn(picture, before, 0.0)
    drawn = read.draw(height, width, bodies)
    after = pose_reading.indices(drawn)
    differs = before != after
    if not differs.any():
        return Redrawn(picture, after, 0.0)
    radius = radius_of(height, width, read.bold)
    other, (rows, columns) = pose_reading.beside(pose_reading.indices(picture), read.bodies, radius)
    away = cast(np.ndarray, ndimage.distance_transform_edt(~differs))
    near = away <= 1 + radius / 2  # figures may have been drawn a little otherwise: their fringe goes, too
    lost = other & near[rows, columns] & (before == 0)
    anew = near & ~(other & ~lost) | lost | (after > 0) & differs
    whole = torch.where(torch.from_numpy(anew)[..., None], drawn, picture.to(drawn))
    return Redrawn(whole, after, float(lost.mean()))
