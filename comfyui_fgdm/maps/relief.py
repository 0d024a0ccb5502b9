"""Normals that follow from depth: the surface whose height over the picture is the nearness of a depth map.

Nearness is relative, so the true scale of the relief is unknown and is chosen: ``relief`` says how high the whole range from
farthest to nearest is, in shorter sides of the picture. Slopes are those of planes fitted to small windows (least squares), which
evens out the 256 levels of a picture; each pixel takes, of the windows that hold it, the one that fits best, so that the
edge of an object is no steep slope (the idea of Kuwahara's filter, 1976, with planes in place of means).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from .pictures import MapError

RELIEF = 1.0
_CENTRE_FIRST = 1e-9  # of equal fits, that of the window around the pixel counts
_ROUNDING = 1e-7
_PIXELS_A_RADIUS = 96


def normals(nearness: torch.Tensor, relief: float = RELIEF, radius: int = 0) -> torch.Tensor:
    """Nearness, float [B, H, W] in 0..1 -> unit vectors float32 [B, H, W, 3] as in ``normal``: x left, y up, z to the viewer.

    radius: windows have 2 * radius + 1 pixels a side, as far as the picture is that large; 0: one that suits its size (1 at
    128 pixels, 5 at 512). MapError for other shapes, and for a relief that is no number from 0 to 100.
    """
    if nearness.ndim != 3 or not nearness.is_floating_point() or 0 in nearness.shape:
        raise MapError(f"expected nearness as float [B, H, W] in 0..1, got {nearness.dtype} {tuple(nearness.shape)}")
    if not (math.isfinite(relief) and 0.0 <= relief <= 100.0):
        raise MapError(f"relief has to be a number from 0 to 100, got {relief}")
    height, width = nearness.shape[1:]
    shorter, reach = min(height, width), reach_of(height, width, radius)
    values = torch.nan_to_num(nearness.double(), nan=0.0).clamp(0.0, 1.0)
    if reach < 1:
        return values.new_tensor((0.0, 0.0, 1.0)).float().expand(*values.shape, 3).clone()
    across, down = _slopes(values, reach)
    # The left side of a bump rises to the right and faces left, its upper side rises downwards and faces up.
    scale = relief * shorter
    return F.normalize(torch.stack([across * scale, down * scale, torch.ones_like(across)], -1), dim=-1).float()


def reach_of(height: int, width: int, radius: int = 0) -> int:
    """How far windows reach from their middle, in pixels; 0 in pictures too small for any."""
    shorter = min(height, width)
    return min(max(radius or round(shorter / _PIXELS_A_RADIUS), 1), (shorter - 1) // 2)


def _slopes(values: torch.Tensor, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Change a pixel to the right and a pixel down, [B, H, W], in the window that fits best."""
    side = 2 * reach + 1
    spread = side * sum(step**2 for step in range(-reach, reach + 1))  # of the steps over a window
    by_row = _sums(values, 1, side)
    total = _sums(by_row, 2, side)
    across = _moments(by_row, 2, side) / spread
    down = _moments(_sums(values, 2, side), 1, side) / spread
    rest = _sums(_sums(values**2, 1, side), 2, side) - total**2 / side**2 - spread * (across**2 + down**2)
    # Windows that would reach out of the picture are those at its edge, which hold the pixel as well.
    across, down, rest = (F.pad(one, (2 * reach,) * 4, mode="replicate") for one in (across, down, rest))
    height, width = values.shape[1:]
    best, found = torch.full_like(values, torch.inf), [torch.zeros_like(values), torch.zeros_like(values)]
    offsets = [(y, x) for y in (0, reach, 2 * reach) for x in (0, reach, 2 * reach)]
    for y, x in sorted(offsets, key=lambda one: abs(one[0] - reach) + abs(one[1] - reach)):
        part = (slice(None), slice(y, y + height), slice(x, x + width))
        worse = rest[part] + (0.0 if (y, x) == (reach, reach) else _CENTRE_FIRST)
        better = worse < best
        best = torch.where(better, worse, best)
        found = [torch.where(better, one[part], old) for one, old in zip((across, down), found)]
    return found[0], found[1]


def _sums(values: torch.Tensor, dim: int, side: int) -> torch.Tensor:
    """Sums over all runs of so many pixels along a dimension."""
    sums = F.pad(values.cumsum(dim), (1, 0) if dim == 2 else (0, 0, 1, 0))
    return sums.narrow(dim, side, sums.shape[dim] - side) - sums.narrow(dim, 0, sums.shape[dim] - side)


def _moments(values: torch.Tensor, dim: int, side: int) -> torch.Tensor:
    """Sums over the same runs of value times step from the run's middle; 0 for what is rounding."""
    places = torch.arange(values.shape[dim], dtype=values.dtype).reshape((-1, 1) if dim == 1 else (1, -1))
    runs = values.shape[dim] - side + 1
    middles = places.narrow(dim - 1, side // 2, runs)
    moments = _sums(values * places, dim, side) - middles * _sums(values, dim, side)
    return torch.where(moments.abs() < _ROUNDING, 0.0, moments)
