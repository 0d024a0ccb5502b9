"""Drawn people with known joints (the OpenPose-18 order), so that a pose factor has exact ground truth.

Joints: 0 nose, 1 neck, 2-4 right shoulder, elbow, wrist, 5-7 left, 8-10 right hip, knee, ankle, 11-13 left,
14 right eye, 15 left eye, 16 right ear, 17 left ear.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

_SKIN = ((255, 224, 189), (241, 194, 125), (198, 134, 66), (141, 85, 36), (255, 204, 77))
_CLOTH = ((220, 60, 50), (40, 110, 200), (60, 160, 80), (240, 190, 40), (120, 70, 160), (70, 70, 80), (240, 240, 240))


def _limb(start, angle, length):
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def pose(rng: np.random.Generator) -> np.ndarray:
    """18 x 2 joints in units of the body's height, y down, neck at (0, 0.18)."""
    swing = rng.uniform(-0.45, 0.45)
    neck, hip = (0.0, 0.18), (rng.uniform(-0.03, 0.03), 0.52)
    right, left = (neck[0] - 0.10, 0.19), (neck[0] + 0.10, 0.19)
    arms = rng.uniform(-0.9, 0.9, 2) + np.array([-0.35, 0.35])
    bends = rng.uniform(-0.7, 0.7, 2)
    elbow_r, elbow_l = _limb(right, arms[0], 0.16), _limb(left, arms[1], 0.16)
    wrist_r, wrist_l = _limb(elbow_r, arms[0] + bends[0], 0.15), _limb(elbow_l, arms[1] + bends[1], 0.15)
    hip_r, hip_l = (hip[0] - 0.06, hip[1]), (hip[0] + 0.06, hip[1])
    knee_r, knee_l = _limb(hip_r, -swing, 0.22), _limb(hip_l, swing, 0.22)
    ankle_r, ankle_l = _limb(knee_r, -swing * 0.4, 0.22), _limb(knee_l, swing * 0.4, 0.22)
    turn = rng.uniform(-0.02, 0.02)
    head = [(turn, 0.09), (turn - 0.025, 0.075), (turn + 0.025, 0.075), (-0.05, 0.085), (0.05, 0.085)]
    return np.array(
        [
            head[0],
            neck,
            right,
            elbow_r,
            wrist_r,
            left,
            elbow_l,
            wrist_l,
            hip_r,
            knee_r,
            ankle_r,
            hip_l,
            knee_l,
            ankle_l,
            *head[1:],
        ]
    )


def draw(rng: np.random.Generator, size: int = 112) -> tuple[np.ndarray, np.ndarray]:
    """One figure: (rgba uint8 H x W x 4 cropped to its content, joints 18 x 2 as shares of its width and height)."""
    joints = pose(rng)
    skin = _SKIN[rng.integers(len(_SKIN))]
    shirt, legs = (_CLOTH[i] for i in rng.integers(len(_CLOTH), size=2))
    hair = tuple(int(c) for c in rng.integers(20, 120, 3))
    scale = 2 * size
    canvas = Image.new("RGBA", (scale, scale), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    point = [(scale / 2 + x * scale * 0.95, y * scale * 0.95 + 4) for x, y in joints]
    unit = scale * 0.95

    def limb(a, b, width, colour):
        half = width * unit / 2
        pen.line([point[a], point[b]], fill=colour, width=max(2, int(2 * half)))
        for k in (a, b):
            pen.ellipse([point[k][0] - half, point[k][1] - half, point[k][0] + half, point[k][1] + half], fill=colour)

    for a, b in ((8, 9), (9, 10), (11, 12), (12, 13)):
        limb(a, b, 0.085, legs)
    pen.polygon([point[2], point[5], point[11], point[8]], fill=shirt)
    limb(2, 5, 0.07, shirt)
    limb(8, 11, 0.07, legs)
    for a, b, colour in ((2, 3, shirt), (3, 4, skin), (5, 6, shirt), (6, 7, skin)):
        limb(a, b, 0.06, colour)
    x, y, radius = point[0][0], point[0][1], 0.085 * unit
    pen.ellipse([x - radius, y - radius * 1.1, x + radius, y + radius * 0.7], fill=hair)
    pen.ellipse([x - radius * 0.85, y - radius * 0.7, x + radius * 0.85, y + radius], fill=skin)
    for eye in (14, 15):
        ex, ey = point[eye]
        pen.ellipse([ex - 3, ey - 3, ex + 3, ey + 3], fill=(30, 30, 30))
    rgba = np.asarray(canvas.resize((size, size), Image.Resampling.BOX))
    solid = rgba[..., 3] > 127
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    shares = (np.array(point) / 2 - [left, top]) / [right - left, bottom - top]
    return rgba[top:bottom, left:right].copy(), shares
