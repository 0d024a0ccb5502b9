"""Pose maps: people as coloured stick figures on black, in the colours and the limb order of OpenPose.

Drawing only: finding keypoints in a picture is not done here. The look is that of the annotator the stock
``control_v11p_sd15_openpose`` was trained with: limbs are ellipses at 60 % brightness, joints are full discs on top;
hands are a rainbow of thin lines with blue discs; face points are white discs. At a shorter side of 512 pixels a limb
is 8 wide; other sizes scale.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace

import torch

from .pictures import MapError
from .variable import VariableKind

JOINTS = (
    *("nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist"),
    *("right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle"),
    *("right eye", "left eye", "right ear", "left ear"),
)
"""The 18 points of a body, in order; left and right are the person's own."""

LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
"""Pairs of joints, in drawing order: limb i has ``COLOURS[i]``, and later limbs cover earlier ones."""

COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
"""RGB of joint i, and of limb i."""

FINGERS = tuple((0 if k == 0 else base + k, base + k + 1) for base in range(0, 20, 4) for k in range(4))
"""The 20 lines of a hand of 21 points: the wrist (0), then four points a finger, thumb first."""

BODY, HAND = len(JOINTS), 21
SIZES = (BODY, BODY + 2 * HAND, BODY + 2 * HAND + 68, BODY + 2 * HAND + 70)
"""Points a person may have: body; with left and right hand; with a face of 68 or 70 points as well."""

_BODY_OF_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # None: the neck, which COCO lacks
MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
_FAR = 10.0  # a point more than so many pictures away is a mistake of its detector


@dataclass(frozen=True)
class Poses:
    """People on a batch of pictures of ``height`` x ``width`` pixels.

    points: float [B, P, K, 3], K one of ``SIZES``: x and y as fractions of width and height (y down), and a
    confidence; a point is drawn if its confidence is above 0. Pad pictures of fewer people with zeros.
    bold: how many times thicker than the annotator's its lines are, for pictures too small to show those. bright: limbs are
    in their full colours, as ComfyUI's SDPose Draw Keypoints has them.
    """

    points: torch.Tensor
    height: int
    width: int
    bold: float = 1.0
    bright: bool = False

    def __post_init__(self) -> None:
        p = self.points
        if p.ndim != 4 or p.shape[-1] != 3 or p.shape[2] not in SIZES or not p.is_floating_point():
            raise MapError(
                f"expected keypoints as float [B, people, K, 3] with K one of {SIZES}, got {p.dtype} {tuple(p.shape)}"
            )
        if self.height < 1 or self.width < 1:
            raise MapError(f"a pose needs a picture of at least one pixel, got {self.height} x {self.width}")


def _mirrored_face(points: int) -> list[int]:
    """Where each point of a face of 68 points (jaw, brows, nose, eyes, mouth, as annotated by 300-W), or of 70 with the
    pupils, is in the mirror."""
    pairs = [(k, 16 - k) for k in range(8)] + [(17 + k, 26 - k) for k in range(5)] + [(31, 35), (32, 34)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67), (68, 69)]
    order = list(range(points))
    for a, b in pairs:
        if b < points:
            order[a], order[b] = b, a
    return order


def flip(poses: Poses) -> Poses:
    """The same people in a mirror: x turns round, and what was the left arm, eye or hand is the right one."""
    count = poses.points.shape[2]
    order = list(MIRRORED)
    if count > BODY:
        left, right, face = BODY, BODY + HAND, BODY + 2 * HAND
        order += [*range(right, face), *range(left, right), *(face + k for k in _mirrored_face(count - face))]
    points = poses.points[:, :, order].clone()
    points[..., 0] = 1.0 - points[..., 0]
    return replace(poses, points=points)


def from_coco(points: torch.Tensor) -> torch.Tensor:
    """COCO's 17 body points [..., 17, 3] -> OpenPose's 18 [..., 18, 3]: reordered; the neck is midway between the
    shoulders, and as sure as the less sure of them."""
    _require(points, 17)
    left, right = points[..., 5, :], points[..., 6, :]
    neck = torch.cat([(left + right)[..., :2] / 2, torch.minimum(left, right)[..., 2:]], -1)
    return torch.stack([neck if i is None else points[..., i, :] for i in _BODY_OF_COCO], -2)


def from_wholebody(points: torch.Tensor) -> torch.Tensor:
    """COCO-WholeBody's 133 points [..., 133, 3] -> [..., 128, 3]: body, left hand, right hand, face; feet are left out."""
    _require(points, 133)
    face, hands = points[..., 23:91, :], points[..., 91:133, :]
    return torch.cat([from_coco(points[..., :17, :]), hands, face], -2)


def _require(points: torch.Tensor, count: int) -> None:
    if points.shape[-2:] != (count, 3) or not points.is_floating_point():
        raise MapError(f"expected keypoints as float [..., {count}, 3], got {points.dtype} {tuple(points.shape)}")


def radius_of(height: int, width: int, bold: float = 1.0) -> float:
    """Of a joint's disc, in pixels, and half the width of a limb; of hands and faces it is a part."""
    return max(4 * (bold * min(height, width) / 512), 0.5)


def dim(colour: tuple[int, ...]) -> tuple[int, ...]:
    """A limb's colour at 60 %."""
    return tuple(level * 3 // 5 for level in colour)


def draw(poses: Poses) -> torch.Tensor:
    """Pictures float32 [B, H, W, 3] in 0..1, in whole 8-bit levels."""
    scale, radius = poses.bold * min(poses.height, poses.width) / 512, radius_of(poses.height, poses.width, poses.bold)
    pictures = []
    for people in poses.points.detach().double().cpu():
        canvas = _Canvas(poses.height, poses.width)
        spots = [[_spot(p, poses) for p in person] for person in people.tolist()]
        for (a, b), colour in zip(LIMBS, COLOURS):
            for person in spots:
                canvas.limb(person[a], person[b], radius, colour if poses.bright else dim(colour))
        for joint, colour in enumerate(COLOURS):
            for person in spots:
                canvas.disc(person[joint], radius, colour)
        for person in spots:
            _draw_details(canvas, person[BODY:], scale)
        pictures.append(canvas.levels)
    size = (0, poses.height, poses.width, 3)
    return torch.stack(pictures).float() / 255 if pictures else torch.zeros(size)


Spot = tuple[float, float] | None
"""Where a point is in pixels (x, y), the centre of the first pixel at 0.5; None for one that is not drawn."""


def _spot(point: list[float], poses: Poses) -> Spot:
    x, y, confidence = point
    if not (confidence > 0 and abs(x) <= _FAR and abs(y) <= _FAR):  # false for NaN
        return None
    return x * poses.width, y * poses.height


def _draw_details(canvas: _Canvas, points: list[Spot], scale: float) -> None:
    """Hands and face of one person: what follows the body's points, none of it if there is nothing."""
    hands, face = (points[:HAND], points[HAND : 2 * HAND]), points[2 * HAND :]
    for hand in hands if points else ():
        for number, (a, b) in enumerate(FINGERS):
            red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(number / len(FINGERS), 1, 1))
            canvas.line(hand[a], hand[b], max(scale, 0.5), (red, green, blue))
        for point in hand:
            canvas.disc(point, max(4 * scale, 0.5), (0, 0, 255))
    for point in face:
        canvas.disc(point, max(3 * scale, 0.5), (255, 255, 255))


class _Canvas:
    """Black, 8-bit levels [H, W, 3]. A pixel takes a shape's colour if its centre is inside: no blending, no rounding."""

    def __init__(self, height: int, width: int) -> None:
        self.levels = torch.zeros(height, width, 3, dtype=torch.uint8)

    def disc(self, at: Spot, radius: float, colour: tuple[int, ...]) -> None:
        if at is not None:
            cx, cy = at
            self._fill(at, at, radius, colour, lambda x, y: (x - cx) ** 2 + (y - cy) ** 2 <= radius**2)

    def limb(self, a: Spot, b: Spot, radius: float, colour: tuple[int, ...]) -> None:
        """The ellipse with ``a`` and ``b`` as the ends of one axis and ``radius`` as half the other."""
        if a is None or b is None:
            return
        dx, dy = b[0] - a[0], b[1] - a[1]
        half, cx, cy = math.sqrt(dx * dx + dy * dy) / 2, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        if half == 0:
            return
        ux, uy = dx / (2 * half), dy / (2 * half)

        def inside(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            along, across = (x - cx) * ux + (y - cy) * uy, (y - cy) * ux - (x - cx) * uy
            return (along / half) ** 2 + (across / radius) ** 2 <= 1

        self._fill(a, b, radius, colour, inside)

    def line(self, a: Spot, b: Spot, radius: float, colour: tuple[int, ...]) -> None:
        """All within ``radius`` of the straight line from ``a`` to ``b``."""
        if a is None or b is None:
            return
        dx, dy = b[0] - a[0], b[1] - a[1]
        square = dx * dx + dy * dy

        def inside(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            t = (((x - a[0]) * dx + (y - a[1]) * dy) / square).clamp(0, 1) if square else 0.0
            return (x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2 <= radius**2

        self._fill(a, b, radius, colour, inside)

    def _fill(self, a: tuple[float, float], b: tuple[float, float], margin: float, colour, inside) -> None:
        """Colour the pixels whose centres are ``inside``; only those around the box from a to b are looked at."""
        height, width = self.levels.shape[:2]
        left, right = max(math.floor(min(a[0], b[0]) - margin), 0), min(math.ceil(max(a[0], b[0]) + margin), width)
        top, bottom = max(math.floor(min(a[1], b[1]) - margin), 0), min(math.ceil(max(a[1], b[1]) + margin), height)
        if left >= right or top >= bottom:
            return
        x = torch.arange(left, right, dtype=torch.float64) + 0.5
        y = torch.arange(top, bottom, dtype=torch.float64)[:, None] + 0.5
        part = self.levels[top:bottom, left:right]
        part[inside(x, y)] = torch.tensor(colour, dtype=torch.uint8)


KIND = VariableKind(
    name="pose",
    title="Pose",
    about="people as OpenPose stick figures on black",
    values="keypoints (maps.pose.Poses): float [B, people, 18, 3], or 60, 128 or 130 points with hands and face",
    draw=draw,
    flip=flip,
    controlnets=("control_v11p_sd15_openpose", "control_sd15_openpose"),
    expects="OpenPose colours and limb order on black; hands and face may be drawn or not",
)
