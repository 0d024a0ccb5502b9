"""When a class counts as present on a map: by its area, after an erosion.

A colour that only appears on blended edges is not an object, so presence asks for area after an erosion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class PresenceRule:
    """When a class counts as present in a map.

    min_area: least share of the map's pixels, 0..1, that its mask must keep after erosion (at least one pixel).
    erode: passes of 3x3 erosion; the outside of the map counts as part of every mask.
    """

    min_area: float = 0.001
    erode: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_area <= 1.0:
            raise ValueError(f"min_area must be a share of the map, 0..1, got {self.min_area}")
        if not isinstance(self.erode, int) or not 0 <= self.erode <= 64:
            raise ValueError(f"erode must be a whole number of passes, 0..64, got {self.erode}")


RULE = PresenceRule()
CELLS = PresenceRule(erode=0)
"""Of maps read at the size of their latents: one cell is many pixels, of which none has to be taken off."""


def solid(values: torch.Tensor, passes: int) -> torch.Tensor:
    """Pixels whose whole (2 * passes + 1) square has one value: the union of the eroded masks of all values."""
    if passes == 0:
        return torch.ones_like(values, dtype=torch.bool)
    size = 2 * passes + 1
    both = torch.stack([values, -values], 1)
    both = F.max_pool2d(both, (size, 1), stride=1, padding=(passes, 0))
    high, low = F.max_pool2d(both, (1, size), stride=1, padding=(0, passes)).unbind(1)
    return high == -low
