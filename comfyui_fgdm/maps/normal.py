"""Normal maps: the direction a surface faces, as a colour.

A value is a unit vector (x, y, z) as the viewer sees it: x to the left, y up, z towards the viewer; its colour is
RGB = (v + 1) / 2. So red faces left, green faces up, blue faces the viewer. This is the convention of the stock
``control_v11p_sd15_normalbae`` (the NYU-V2 and ScanNet one), and nothing needs to be turned for it.

From other conventions: OpenGL normal maps (x right, y up) need x negated, DirectX ones (x right, y down) x and y, and
camera coordinates (x right, y down, z away from the viewer) all three. The older ControlNet 1.0 normal model
(``control_sd15_normal``) was trained on normals derived from MiDaS depth; those are not geometric, and it reads such
maps poorly.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .pictures import MapError, pixels
from .variable import VariableKind, mirrored

FACING = (0.0, 0.0, 1.0)
"""What a pixel without direction counts as: facing the viewer."""

_NO_DIRECTION = 0.02  # a colour nearer to mid grey than this is rounding: a level of 8 bits on all axes is 0.014


def read(picture: torch.Tensor) -> torch.Tensor:
    """Pictures [B, H, W, 3] in 0..1 -> unit vectors float32 [B, H, W, 3]; mid grey has no direction: ``FACING``."""
    return _unit(2.0 * pixels(picture) - 1.0, _NO_DIRECTION)


def draw(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors of any length, float [B, H, W, 3] -> pictures float32 [B, H, W, 3] in 0..1; zero and NaN are ``FACING``."""
    if vectors.ndim != 4 or vectors.shape[-1] != 3 or not vectors.is_floating_point():
        raise MapError(f"expected normals as float [B, H, W, 3], got {vectors.dtype} {tuple(vectors.shape)}")
    return (_unit(vectors.float(), 0.0) + 1.0) / 2.0


def flip(vectors: torch.Tensor) -> torch.Tensor:
    """Normals of the mirror image, float [B, H, W, 3]: what faced left faces right."""
    return mirrored(vectors) * vectors.new_tensor((-1.0, 1.0, 1.0))


def facing(vectors: torch.Tensor) -> torch.Tensor:
    """How much a surface faces the viewer, float [B, H, W] in 0..1: the cosine, 0 for what is turned away."""
    return vectors[..., 2].clamp(0.0, 1.0)


def _unit(vectors: torch.Tensor, shortest: float) -> torch.Tensor:
    length = vectors.norm(dim=-1, keepdim=True)
    known = torch.isfinite(length) & (length > shortest)
    return torch.where(known, F.normalize(vectors, dim=-1), vectors.new_tensor(FACING))


KIND = VariableKind(
    name="normal",
    title="Surface normals",
    about="the direction a surface faces: red left, green up, blue towards the viewer",
    values="unit vectors, float [B, H, W, 3]: x left, y up, z towards the viewer",
    draw=draw,
    read=read,
    flip=flip,
    level=facing,
    controlnets=("control_v11p_sd15_normalbae",),
    expects="red faces left, green faces up, blue faces the viewer",
)
