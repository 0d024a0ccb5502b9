"""What is true of a scene, variable by variable: the values that the kinds of ``maps`` draw, and their pictures.

A new kind needs one entry here, in ``TRUTHS`` or, from outside this pack, by ``register``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...maps import kinds
from ...maps.pose import BODY, Poses
from . import truth
from .draw import Scene

Truth = Callable[[Scene], Any]
"""A scene -> values for a batch of one, as the kind of that name describes them."""


def _segmentation(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(scene.labels.astype(np.int64))[None]


def _depth(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(1 - truth.depth(scene))[None]


def _normal(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(truth.normals(scene))[None]


def _sketch(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(truth.edges(scene, width=1.5 * len(scene.labels) / 128))[None]


def _pose(scene: Scene) -> Poses:
    size = len(scene.labels)
    people = list(truth.joints(scene).values())
    points = np.stack(people) / (size, size, 1) if people else np.zeros((0, BODY, 3))
    return Poses(torch.from_numpy(points).float()[None], size, size, bold=2.0)


TRUTHS: dict[str, Truth] = {
    "segmentation": _segmentation,
    "depth": _depth,
    "normal": _normal,
    "sketch": _sketch,
    "pose": _pose,
}


def register(name: str, values: Truth) -> None:
    """Add what is true of a variable; ValueError for one that has a truth already."""
    if TRUTHS.get(name, values) is not values:
        raise ValueError(f"the icon world has a truth of {name!r} already")
    TRUTHS[name] = values


def values(name: str, scene: Scene) -> Any:
    """The true values of a variable, for a batch of one. ValueError for a variable without a truth."""
    if name not in TRUTHS:
        raise ValueError(f"the icon world has no truth of {name!r}; there is one of: {', '.join(sorted(TRUTHS))}")
    return TRUTHS[name](scene)


def picture(name: str, scene: Scene) -> np.ndarray:
    """uint8 S x S x 3: the true values of a variable, as its kind paints them."""
    drawn = kinds.get(name).to_picture(values(name, scene))[0]
    return (drawn * 255).round().to(torch.uint8).numpy()
