"""People's keypoints as a source: drawn at the size and in the square that is wanted, so that crops and mirrors are exact."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...maps import pose
from .sources import DrawnSource
from .view import View


@dataclass(frozen=True, eq=False)
class WholeBody(DrawnSource):
    """The people of one picture. points: float32 [P, 133, 3], x and y in pixels (the centre of the first is 0, 0), and above
    0 for a point that is known. width, height: of the picture. where: what messages call it."""

    points: np.ndarray
    width: int
    height: int
    where: str

    def __str__(self) -> str:
        return self.where

    def stamp(self) -> list[Any]:
        return [self.width, self.height, hashlib.sha256(self.points.tobytes()).hexdigest()]

    def values(self, view: View, size: int) -> pose.Poses:
        left, top, right, _ = view.box(self.width, self.height)
        points = torch.from_numpy(self.points.astype(np.float64))
        points[..., 0] = (points[..., 0] + 0.5 - left) / (right - left)
        points[..., 1] = (points[..., 1] + 0.5 - top) / (right - left)
        return pose.Poses(pose.from_wholebody(points)[None], size, size)
