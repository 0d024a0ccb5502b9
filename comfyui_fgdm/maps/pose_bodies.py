"""Which joints on a pose map are of one person.

As OpenPose puts them together (Cao et al. 2017, section 2.4), with the drawn limbs in place of its part affinity fields: of all
pairs of joints that a limb may connect, those along which most pixels have the colour of the limb come first, and each joint
is taken once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .pose import BODY, LIMBS

Joint = tuple[float, float] | None
"""Where a joint is, in pixels from the left and the upper edge; None for one that is not there."""
Body = tuple[Joint, ...]
"""The joints of one person, in the order of ``pose.JOINTS``."""

_Place = tuple[int, int]
"""A joint, and which of the places where its colour was found."""

_ALONG = 0.4  # of the pixels between two joints, how many show the limb at least; others may lie over it
_NEAR = 0.4  # of a body's own extent: how far away a part of it may lie that no limb connects with it
_STEPS = 64  # places along a limb that are looked at


def put_together(
    found: Sequence[Sequence[tuple[float, float]]], limbs: Sequence[np.ndarray], radius: float
) -> list[Body]:
    """Bodies of the places that were found for each joint. limbs: where the colour of each limb is, bool [H, W]; radius: of joints, in
    pixels."""
    whose: dict[_Place, dict[int, int]] = {}
    for limb, (start, end) in enumerate(LIMBS):
        shown = _shown(found[start], found[end], limbs[limb], radius)
        pairs = [(-share, i, j) for (i, j), share in np.ndenumerate(shown) if share >= _ALONG]
        taken: set[_Place] = set()
        for _, i, j in sorted(pairs):
            ends = {(start, i), (end, j)}
            if not ends & taken and _join((start, i), (end, j), whose):
                taken |= ends
    for place in ((joint, k) for joint, places in enumerate(found) for k in range(len(places))):
        whose.setdefault(place, dict([place]))
    parts = [
        {joint: found[joint][k] for joint, k in body.items()}
        for body in {id(body): body for body in whose.values()}.values()
    ]
    return [tuple(body.get(k) for k in range(BODY)) for body in _gathered(parts)]


def _gathered(parts: list[dict[int, tuple[float, float]]]) -> list[dict[int, tuple[float, float]]]:
    """Parts that lost the joint which connects them (an ankle without its knee) go to the nearest body that lacks them, if
    one is near for its own size; a joint alone is no body. parts: {joint: place}."""
    whole: list[dict[int, tuple[float, float]]] = []
    for part in sorted(parts, key=len, reverse=True):
        near = [
            (_apart(part, body) / _extent(body), k) for k, body in enumerate(whole) if not part.keys() & body.keys()
        ]
        far, k = min(near, default=(np.inf, 0))
        if far <= _NEAR:
            whole[k] |= part
        elif len(part) > 1:
            whole.append(dict(part))
    return whole


def _apart(one: dict[int, tuple[float, float]], other: dict[int, tuple[float, float]]) -> float:
    return min(float(np.hypot(a[0] - b[0], a[1] - b[1])) for a in one.values() for b in other.values())


def _extent(body: dict[int, tuple[float, float]]) -> float:
    return max(1.0, float(np.ptp(np.array(list(body.values())), axis=0).max()))


def _join(one: _Place, other: _Place, whose: dict[_Place, dict[int, int]]) -> bool:
    """Make two places parts of one body, {joint: which of its places}; False if it would have two of a joint."""
    a, b = whose.get(one, dict([one])), whose.get(other, dict([other]))
    if a is b:
        return True
    if a.keys() & b.keys():
        return False
    both = a | b
    whose.update(dict.fromkeys(both.items(), both))
    return True


def _shown(
    starts: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]], limb: np.ndarray, radius: float
) -> np.ndarray:
    """How surely a limb is drawn between each of two lots of joints, float [starts, ends]: the share of the way from disc to disc on
    which its colour is seen; joints whose discs touch are as sure as they are near. limb: where its colour is, bool [H, W]."""
    if not starts or not ends:
        return np.zeros((len(starts), len(ends)))
    a = np.array(starts)[:, None]
    way = np.array(ends)[None] - a
    length = np.hypot(way[..., 0], way[..., 1])
    margin = np.minimum(1.25 * radius / np.maximum(length, 1e-9), 0.5)
    share = margin[..., None] + np.linspace(0, 1, _STEPS) * (1 - 2 * margin[..., None])
    x, y = np.moveaxis(np.floor(a[:, :, None] + share[..., None] * way[:, :, None]).astype(int), -1, 0)
    height, width = limb.shape
    there = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    seen = limb[y.clip(0, height - 1), x.clip(0, width - 1)] & there
    return np.where(length <= 3 * radius, 1 - length / (8 * radius), seen.sum(-1) / np.maximum(there.sum(-1), 1))
