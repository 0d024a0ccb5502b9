"""The operations on sketches: levels are the strength of lines, 0 none and 255 full. Beside drawing, there is an eraser and text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from . import keys, shapes
from .keys import Key, RecipeError
from .recipe import Form, Table
from .regions import Gone
from .scene import NOTHING, Layer, Scene, common, turn
from .scene import about as turned_about
from .values import LEVEL, MOST, draw, like, table, take

LONGEST = 500
"""Characters of one text."""
LIKE = 191
"""How far the strength of a line may be from that at the point: the soft edge of a full line goes with it."""


def lift(
    scene: Scene, id: str, at: Any = None, within: Any = None, tolerance: int = LIKE, fill: int | None = 0
) -> None:
    """Make a layer of the lines inside of an outline, or of those connected with the point; what has no line stays where it is.
    Where they were there is no line then, or a level, or (None) that of the nearest pixel around."""
    if within is not None:
        found = shapes.polygon(within, scene.size)
        left, top, right, bottom = found.box
        found = shapes.tight(left, top, found.mask & (scene.ground[top:bottom, left:right] > 0))
        if not found.mask.size:
            raise Gone("there is no line inside the outline")
    else:
        (width, height), x, y = scene.size, int(np.floor(at[0] + 0.5)), int(np.floor(at[1] + 0.5))
        if 0 <= x < width and 0 <= y < height and scene.ground[y, x] == 0:
            raise Gone("there is no line at the point")
        found = like(scene, at, tolerance, least=1)
    take(scene, id, found, fill)


def erase(scene: Scene, points, width: float, id: str | None = None) -> None:
    """Take lines away with a round brush."""
    draw(scene, id, shapes.stroke(points, width, scene.size), 0)


def write(
    scene: Scene,
    text: str,
    at,
    width: float,
    level: int = MOST,
    font: str | None = None,
    rotate: float = 0.0,
    id: str | None = None,
) -> None:
    """Write text, lines separated by line feeds. at: pixel of the left upper corner of what is seen; width: height of the letters' line in pixels;
    font: name of a font file, None for the one that Pillow has; rotate: degrees clockwise about its centre."""
    if font is not None and scene.font is None:
        raise RecipeError("font files cannot be read here")
    mask = letters(text, width, scene.size, None if font is None or scene.font is None else scene.font(font, width))
    labels = np.where(mask > 0, (mask.astype(np.float64) * level / MOST + 0.5).astype(np.int16), NOTHING).astype(
        np.int16
    )
    left, top = (float(np.floor(one + 0.5)) for one in at)
    layer = Layer(id, labels, (1.0, 0.0, left, 0.0, 1.0, top))
    if rotate:
        layer = layer.then(turned_about(layer.centre, turn(rotate)))
    if common(layer.box, scene.window) is None:
        raise Gone("it lies outside of the map")
    scene.add(layer)


def letters(text: str, size: float, map_size: tuple[int, int], font: Any = None) -> np.ndarray:
    """How much of each pixel the letters of a text cover, uint8 [h, w], cut to what they cover. size: height of a line in pixels. map_size: (width,
    height) of the map that it is for. font: a Pillow font of that size, None for Pillow's own. Gone if they show nothing, or are far larger than
    the map."""
    from PIL import Image, ImageDraw, ImageFont

    if size * len(text) > 4 * sum(map_size) + 4096:
        raise Gone("the text is far larger than the map")
    face = ImageFont.load_default(size) if font is None else font
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=face)
    width, height = int(np.ceil(box[2] - box[0])), int(np.ceil(box[3] - box[1]))
    if width < 1 or height < 1:
        raise Gone("these letters show nothing")
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).multiline_text((-box[0], -box[1]), text, font=face, fill=255)
    covered = np.asarray(picture)
    ink = shapes.tight(0, 0, covered > 0)
    if not ink.mask.size:
        raise Gone("these letters show nothing")
    left, top, right, bottom = ink.box
    return covered[top:bottom, left:right]


_POINTS = Key("points", keys.POINTS, True)

_SHARED = table(needed=False)

TABLE: Table = {
    **_SHARED,
    "lift": replace(_SHARED["lift"], function=lift),
    "erase": Form((Key("size", keys.WIDTH, True, "width"), _POINTS, Key("id", keys.ID)), erase),
    "text": Form(
        (
            Key("text", keys.text(LONGEST), True),
            Key("at", keys.POINT, True),
            Key("size", keys.WIDTH, True, "width"),
            Key("value", LEVEL, argument="level"),
            Key("font", keys.text(255)),
            Key("rotate", keys.ANGLE),
            Key("id", keys.ID),
        ),
        write,
    ),
}
"""Operations of sketches by name."""
