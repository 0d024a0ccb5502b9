"""The people of the tidy world: a few poses and outfits, drawn like icons, with the joints of OpenPose-18 known exactly.

Order of the joints: see `figures`. Left and right are the person's own; they face the viewer.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

_SIZE, _FINE = 112, 4  # pixels of a finished sprite's longer side, and how much finer it is drawn first
_NECK, _SHOULDER, _HIP = 0.235, (0.10, 0.265), (0.055, 0.55)
_UPPER_ARM, _FOREARM, _THIGH, _SHIN = 0.145, 0.14, 0.2, 0.2
_HEAD, _RADIUS = 0.115, 0.105  # of its centre from the top, and its radius

# Angles in radians of right upper arm, right forearm, left upper arm, left forearm, and the legs likewise: 0 hangs down,
# positive turns to the right of the picture.
POSES = (
    (-0.30, -0.10, 0.30, 0.10, -0.08, -0.04, 0.08, 0.04),  # standing
    (-2.20, -2.95, 0.30, 0.10, -0.08, -0.04, 0.08, 0.04),  # waving
    (-2.55, -2.85, 2.55, 2.85, -0.22, -0.18, 0.22, 0.18),  # cheering
    (-0.95, 0.75, 0.95, -0.75, -0.20, -0.12, 0.20, 0.12),  # hands on the hips
    (0.35, 0.75, -0.45, -0.05, -0.42, -0.62, 0.42, 0.25),  # walking
    (0.70, 1.90, -0.80, 0.25, -0.55, -1.45, 0.95, 0.30),  # running
    (-1.75, -1.95, 1.75, 1.95, -0.50, -0.45, 0.50, 0.45),  # jumping
    (-0.30, -0.10, 1.50, 1.50, -0.10, -0.05, 0.10, 0.05),  # pointing
)
# skin, hair, shirt, trousers
OUTFITS = (
    ((255, 213, 170), (96, 56, 32), (224, 58, 62), (52, 72, 130)),
    ((206, 148, 104), (38, 28, 26), (34, 128, 214), (70, 70, 82)),
    ((126, 82, 56), (26, 20, 20), (250, 190, 40), (46, 110, 84)),
    ((255, 213, 170), (236, 186, 84), (48, 162, 96), (110, 70, 52)),
)
LOOKS = len(POSES) * len(OUTFITS) * 2
"""How many people there are; a look is a number from 0 to LOOKS - 1, odd ones are women."""


def _end(start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def skeleton(pose: int) -> np.ndarray:
    """18 x 2 joints of POSES[pose], in units of the standing body's height; y down, the neck at x = 0."""
    arms, legs = POSES[pose][:4], POSES[pose][4:]
    joints: list[tuple[float, float]] = [(0.0, _HEAD + 0.02), (0.0, _NECK)]
    for side, upper, lower in ((-1, *arms[:2]), (1, *arms[2:])):
        shoulder = (side * _SHOULDER[0], _SHOULDER[1])
        elbow = _end(shoulder, upper, _UPPER_ARM)
        joints += [shoulder, elbow, _end(elbow, lower, _FOREARM)]
    for side, upper, lower in ((-1, *legs[:2]), (1, *legs[2:])):
        hip = (side * _HIP[0], _HIP[1])
        knee = _end(hip, upper, _THIGH)
        joints += [hip, knee, _end(knee, lower, _SHIN)]
    joints += [(-0.038, _HEAD), (0.038, _HEAD), (-0.095, _HEAD + 0.015), (0.095, _HEAD + 0.015)]
    return np.array(joints)


@cache
def draw(look: int) -> tuple[np.ndarray, np.ndarray]:
    """(rgba uint8 H x W x 4 cropped to its content, joints 18 x 2 as shares of its width and height) of a look."""
    woman, rest = look % 2, look // 2 % (LOOKS // 2)
    joints = skeleton(rest % len(POSES))
    skin, hair, shirt, trousers = OUTFITS[rest // len(POSES)]
    unit = _SIZE * _FINE / 1.25
    origin = np.array((0.75, 0.2))
    canvas = Image.new("RGBA", (int(1.5 * unit), int(1.35 * unit)), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    at = [tuple(p) for p in (joints + origin) * unit]

    def disc(centre, radius, colour, stretch=1.0):
        x, y, r = *centre, radius * unit
        pen.ellipse([x - r, y - r * stretch, x + r, y + r * stretch], fill=colour)

    def limb(a, b, width, colour):
        pen.line([at[a], at[b]], fill=colour, width=int(width * unit))
        disc(at[a], width / 2, colour)
        disc(at[b], width / 2, colour)

    head = (np.array((0.0, _HEAD)) + origin) * unit
    if woman:  # long hair falls behind the shoulders
        pen.rounded_rectangle(
            [head[0] - 0.125 * unit, head[1] - 0.05 * unit, head[0] + 0.125 * unit, head[1] + 0.2 * unit],
            radius=0.06 * unit, fill=hair,
        )  # fmt: skip
    shoe = (54, 46, 50)
    for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
        limb(hip, knee, 0.092, skin if woman else trousers)
        limb(knee, ankle, 0.08, skin if woman else trousers)
        x, y = at[ankle]
        side = -1 if hip == 8 else 1
        pen.ellipse(
            [x - 0.045 * unit + side * 0.018 * unit, y - 0.02 * unit, x + 0.045 * unit + side * 0.018 * unit, y + 0.042 * unit],
            fill=shoe,
        )  # fmt: skip
    waist = 0.035 * unit
    if woman:
        middle = (at[8][1] + at[11][1]) / 2
        pen.polygon(
            [(at[8][0] - waist * 0.4, middle - 0.09 * unit), (at[11][0] + waist * 0.4, middle - 0.09 * unit),
             (at[11][0] + 0.085 * unit, middle + 0.15 * unit), (at[8][0] - 0.085 * unit, middle + 0.15 * unit)],
            fill=trousers,
        )  # fmt: skip
    else:
        limb(8, 11, 0.1, trousers)
    pen.polygon(
        [(at[2][0] - 0.01 * unit, at[2][1]), (at[5][0] + 0.01 * unit, at[5][1]),
         (at[11][0] + waist, at[11][1] - 0.02 * unit), (at[8][0] - waist, at[8][1] - 0.02 * unit)],
        fill=shirt,
    )  # fmt: skip
    limb(2, 5, 0.1, shirt)
    for shoulder, elbow, wrist in ((2, 3, 4), (5, 6, 7)):
        limb(elbow, wrist, 0.066, skin)
        limb(shoulder, elbow, 0.078, shirt)
        disc(at[wrist], 0.042, skin)
    disc(head + np.array((0, -0.012 * unit)), _RADIUS * 1.1, hair)
    disc(head + np.array((0, 0.022 * unit)), _RADIUS * 0.88, skin)
    for eye in (14, 15):
        disc(np.array(at[eye]) + np.array((0, 0.018 * unit)), 0.017, (44, 34, 34), 1.25)
    pen.arc(
        [head[0] - 0.035 * unit, head[1] + 0.015 * unit, head[0] + 0.035 * unit, head[1] + 0.075 * unit],
        20, 160, fill=(170, 60, 60), width=int(0.014 * unit),
    )  # fmt: skip
    alpha = np.asarray(canvas)[..., 3] > 127
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    width, height = box[2] - box[0], box[3] - box[1]
    small = (max(1, round(width / _FINE)), max(1, round(height / _FINE)))
    rgba = np.asarray(canvas.crop(box).resize(small, Image.Resampling.BOX))
    return rgba, (np.array(at) - box[:2]) / (width, height)
