"""Reading people from pose maps: the joints of OpenPose stick figures, found by their colours.

Not from photographs: this takes pictures that show such figures already, as annotators and factors draw them. Each joint is
a piece of its own colour; which joints are of one person is found in ``pose_bodies``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from . import pose
from .cleaning import pieces
from .pictures import MapError
from .pose import BODY, COLOURS, JOINTS, LIMBS, dim, radius_of
from .pose_bodies import Body, put_together

INDICES = (
    (0, 0, 0),
    *map(dim, COLOURS[: len(LIMBS)]),
    *COLOURS,
    (255, 255, 255),
)
"""Colours that pose maps are made of: 0 black, 1 to 17 limbs, 18 to 35 joints, 36 points of faces, which are not read."""
NAMES = ("background", *(f"{JOINTS[a]} - {JOINTS[b]}" for a, b in LIMBS), *JOINTS, "face")
"""What they show."""
FIRST_JOINT = 1 + len(LIMBS)

_LEAST = 0.3  # of a disc's area: what a piece of a joint's colour has at least
_FULL = 0.5  # of a map that figures may cover
_DIM = 0.35  # of the pixels of joints: what shows dim limbs at least, where limbs are dim
_CRISP = 0.9  # of the pixels of figures that have just their colour, where nothing is blurred
_HALF = 0.75  # of a pixel: how much farther than the edge of a disc the middle of the nearest pixel outside is
_MOST = 100  # pieces of a joint's colour that are looked at, the largest first
_FINE = 64  # parts of a pixel that places are rounded to


@dataclass(frozen=True)
class PeopleRead:
    """bodies: from left to right. bold, bright: how they are drawn, see ``pose.Poses``. unread: share of the pixels that show something
    which is no figure read here (hands, faces, other things), 0..1 of the picture."""

    bodies: tuple[Body, ...]
    bold: float = 1.0
    unread: float = 0.0
    bright: bool = False

    def draw(self, height: int, width: int, bodies: Sequence[Body] | None = None) -> torch.Tensor:
        """These people, or others in their style, as a picture float32 [H, W, 3] in 0..1."""
        drawn = self.bodies if bodies is None else bodies
        points = torch.zeros(1, len(drawn), BODY, 3, dtype=torch.float64)
        for k, body in enumerate(drawn):
            for joint, at in enumerate(body):
                if at is not None:
                    points[0, k, joint] = torch.tensor([at[0] / width, at[1] / height, 1.0], dtype=torch.float64)
        return pose.draw(pose.Poses(points, height, width, self.bold, self.bright))[0]


def read(picture: torch.Tensor) -> PeopleRead:
    """The people on a pose map, float [H, W, 3] in 0..1. MapError for a picture that is none: most of it is not black."""
    labels = indices(picture)
    height, width = labels.shape
    filled = float((labels > 0).mean())
    if filled > _FULL:
        raise MapError(f"{100 * filled:.0f} % of it is not black, and a pose map shows stick figures on black")
    joints = [labels == FIRST_JOINT + joint for joint in range(BODY)]
    # where limbs have their full colours, the dim ones are seen at blurred edges at most
    bright = ((labels > 0) & (labels < FIRST_JOINT)).sum() < _DIM * sum(one.sum() for one in joints)
    limbs = joints if bright else [labels == 1 + limb for limb in range(len(LIMBS))]
    usual = radius_of(height, width)
    if bright:
        depths = [_depth(one) for one in joints]
        bold = _bold([max(0.0, float(one.max()) - _HALF) for one in depths], usual, labels, picture)
        radius = bold * usual
        # the middles of discs, and of what is as wide
        seen = [_pieces(one > radius - 1, 2 * radius) for one in depths]
        found = [_discs(centres, np.full(len(areas), math.pi * radius**2), radius) for centres, areas in seen]
    else:
        seen = [_pieces(one) for one in joints]
        bold = _bold([math.sqrt(areas.max(initial=0) / math.pi) for _, areas in seen], usual, labels, picture)
        radius = bold * usual
        found = [_discs(centres, areas, radius) for centres, areas in seen]
    bodies = put_together(found, limbs, radius)
    bodies.sort(key=lambda body: min(joint[0] for joint in body if joint))
    return PeopleRead(tuple(bodies), bold, float(beside(labels, bodies, radius)[0].mean()), bool(bright and bodies))


def _bold(radii: Sequence[float], usual: float, labels: np.ndarray, picture: torch.Tensor) -> float:
    """How thick figures are drawn: from the radii of discs of each colour, 0 where there is none. Where colours are not exact, blurring
    has made discs smaller, and about as thick as is usual is just that."""
    there = [radius for radius in radii if radius]
    times = float(np.median(there)) / usual if there else 1.0
    colours = torch.tensor(INDICES)[torch.from_numpy(labels[labels > 0]).long()]
    exact = ((picture[..., :3].cpu()[torch.from_numpy(labels > 0)] * 255).round() == colours).all(-1).float().mean()
    if not exact > _CRISP and 0.7 <= times <= 1.4:
        return 1.0
    return float(np.clip(round(8 * times) / 8, 0.25, 4))


def indices(picture: torch.Tensor) -> np.ndarray:
    """The nearest of ``INDICES`` of each pixel, uint8 [H, W], of a picture float [H, W, 3] in 0..1."""
    levels = (picture[..., :3].clamp(0, 1) * 255).round().to(torch.int64).cpu()
    packed = (levels[..., 0] << 16 | levels[..., 1] << 8 | levels[..., 2]).numpy()
    seen, which = np.unique(packed, return_inverse=True)  # clean maps have few colours, and each is looked up once
    rgb = torch.from_numpy(np.stack([seen >> 16, seen >> 8 & 255, seen & 255], -1)).float()
    nearest = torch.cdist(rgb, torch.tensor(INDICES, dtype=torch.float32)).argmin(1).to(torch.uint8).numpy()
    return nearest[which].reshape(packed.shape)


def _pieces(mask: np.ndarray, longest: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """Centres [N, 2] (x, y) and areas [N] of the connected pieces of a mask that reach at most so far, in pixels."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return np.zeros((0, 2)), np.zeros(0)
    top, left = rows.min(), columns.min()
    which = pieces(mask[top : rows.max() + 1, left : columns.max() + 1])[0][rows - top, columns - left]
    areas = np.bincount(which)[1:]
    centres = np.stack([np.bincount(which, weights=one)[1:] / areas + 0.5 for one in (columns, rows)], -1)
    reach = np.zeros(len(areas) + 1)
    away = np.hypot(columns + 0.5 - centres[which - 1, 0], rows + 0.5 - centres[which - 1, 1])
    np.maximum.at(reach, which, away)
    short = 2 * reach[1:] <= longest
    return centres[short], areas[short]


def _depth(mask: np.ndarray) -> np.ndarray:
    """How far each pixel of a mask is from the nearest one outside, float [H, W]; 0 outside."""
    from scipy import ndimage

    rows, columns = np.nonzero(mask)
    depth = np.zeros(mask.shape)
    if len(rows):
        part = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        depth[part] = cast(np.ndarray, ndimage.distance_transform_edt(np.pad(mask[part], 1)))[1:-1, 1:-1]
    return depth


def _discs(centres: np.ndarray, areas: np.ndarray, radius: float) -> list[tuple[float, float]]:
    """Centres of the discs that these pieces are of: what lies over a disc may cut it in two."""
    whole: list[tuple[np.ndarray, float]] = []
    for k in np.argsort(-areas, kind="stable")[: 2 * _MOST].tolist():
        near = next((i for i, (place, _) in enumerate(whole) if np.hypot(*(place - centres[k])) < 2 * radius), None)
        if near is None:
            whole.append((centres[k], float(areas[k])))
        else:
            place, area = whole[near]
            both = area + float(areas[k])
            whole[near] = (place * area + centres[k] * float(areas[k])) / both, both
    least = max(1.0, _LEAST * math.pi * radius**2)
    large = [place for place, area in whole[:_MOST] if area >= least]
    return [(round(x * _FINE) / _FINE, round(y * _FINE) / _FINE) for x, y in large]


def beside(labels: np.ndarray, bodies: Sequence[Body], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(bool [H, W]: where something is drawn that is no figure of these bodies, int [2, H, W]: row and column of the pixel of a figure's
    bones that is nearest to each pixel). labels: of a map, see ``indices``; radius: of the bodies' joints."""
    from scipy import ndimage

    away = np.ones(labels.shape, dtype=bool)
    for body in bodies:
        for start, end in (*LIMBS, *((k, k) for k in range(BODY))):
            a, b = body[start], body[end]
            if a is None or b is None:
                continue
            steps = np.linspace(0, 1, 2 + int(np.hypot(b[0] - a[0], b[1] - a[1])))[:, None]
            along = np.floor(np.array(a) + steps * (np.array(b) - np.array(a))).astype(int)
            away[along[:, 1].clip(0, len(labels) - 1), along[:, 0].clip(0, labels.shape[1] - 1)] = False
    if away.all():
        return labels > 0, np.indices(labels.shape)
    far, nearest = cast(tuple[np.ndarray, np.ndarray], ndimage.distance_transform_edt(away, return_indices=True))
    return (labels > 0) & (far > 1.5 * radius + 1.5), nearest
