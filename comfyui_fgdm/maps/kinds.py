"""The condition variables there are: what a picture of each means, and which stock ControlNets take it.

A new variable is one file in ``maps`` and one entry here; code outside this pack calls ``register``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from . import depth, normal, palettes, pose, segmentation, sketch


class VariableError(ValueError):
    """A variable that is not known, or that cannot do what is asked of it; the text says what there is."""


@dataclass(frozen=True)
class VariableKind:
    """One condition variable: how a latent's decoded picture becomes values, and how values become a picture.

    name: as in factor files. title: for people. about: what its pictures show. values: shape and range of the values
    in words. draw: values -> pictures float32 [B, H, W, 3] in 0..1. read: pictures -> values, None if that cannot be
    done. palette: name of the usual palette of a variable with classes, None for one without; ``read`` then takes the
    keywords palette and classes, ``draw`` palette. controlnets: stock SD 1.5 ControlNets that take such pictures.
    expects: what those want to see.
    """

    name: str
    title: str
    about: str
    values: str
    draw: Callable[..., torch.Tensor]
    read: Callable[..., Any] | None = None
    palette: str | None = None
    controlnets: tuple[str, ...] = ()
    expects: str = ""

    def to_values(self, picture: torch.Tensor) -> Any:
        """The values of pictures float [B, H, W, 3] in 0..1; VariableError if this variable cannot be read."""
        if self.read is None:
            raise VariableError(f"{self.name} maps can be drawn from {self.values}, but not read from a picture")
        return self.read(picture)

    def to_picture(self, values: Any) -> torch.Tensor:
        """Pictures float32 [B, H, W, 3] in 0..1 of values as ``values`` describes them."""
        return self.draw(values)


_KINDS: dict[str, VariableKind] = {}


def register(kind: VariableKind) -> None:
    """Add a variable; VariableError for a name that is taken or is no lower-case word of letters, digits and _."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind.name):
        raise VariableError(f"a variable's name is a lower-case word of letters, digits and _, got {kind.name!r}")
    if _KINDS.get(kind.name, kind) != kind:
        raise VariableError(f"there is a variable {kind.name!r} already; choose another name")
    _KINDS[kind.name] = kind


def names() -> tuple[str, ...]:
    """Names of the known variables, in alphabetical order."""
    return tuple(sorted(_KINDS))


def find(name: str) -> VariableKind | None:
    """The variable of that name, or None."""
    return _KINDS.get(name)


def get(name: str) -> VariableKind:
    """The variable of that name; VariableError naming the known ones if there is none."""
    if name not in _KINDS:
        raise VariableError(f"unknown variable {name!r}; known: {', '.join(names())}")
    return _KINDS[name]


register(
    VariableKind(
        name="segmentation",
        title="Segmentation",
        about="one class a pixel, each class in its colour of a palette",
        values="labels, integer [B, H, W]",
        read=segmentation.read,
        draw=segmentation.draw,
        palette=palettes.COCO.name,
        controlnets=("control_v11p_sd15_seg", "control_sd15_seg"),
        expects="ADE20K colours, not the COCO colours of FG-DM: convert the labels first",
    )
)
register(
    VariableKind(
        name="depth",
        title="Depth",
        about="grey: near is bright, far is dark",
        values="nearness, float [B, H, W] in 0..1 (1 = nearest)",
        read=depth.read,
        draw=depth.draw,
        controlnets=("control_v11f1p_sd15_depth", "control_sd15_depth"),
        expects="near is bright, stretched to the full range of each picture",
    )
)
register(
    VariableKind(
        name="normal",
        title="Surface normals",
        about="the direction a surface faces: red left, green up, blue towards the viewer",
        values="unit vectors, float [B, H, W, 3]: x left, y up, z towards the viewer",
        read=normal.read,
        draw=normal.draw,
        controlnets=("control_v11p_sd15_normalbae",),
        expects="red faces left, green faces up, blue faces the viewer",
    )
)
register(
    VariableKind(
        name="sketch",
        title="Sketch",
        about="white lines on black",
        values="line strength, float [B, H, W] in 0..1 (1 = line)",
        read=sketch.read,
        draw=sketch.draw,
        controlnets=("control_v11p_sd15_scribble", "control_v11p_sd15_softedge", "control_v11p_sd15_lineart"),
        expects="white lines on black",
    )
)
register(
    VariableKind(
        name="pose",
        title="Pose",
        about="people as OpenPose stick figures on black",
        values="keypoints (maps.pose.Poses): float [B, people, 18, 3], or 60, 128 or 130 points with hands and face",
        draw=pose.draw,
        controlnets=("control_v11p_sd15_openpose", "control_sd15_openpose"),
        expects="OpenPose colours and limb order on black; hands and face may be drawn or not",
    )
)
