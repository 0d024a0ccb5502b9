"""The operations on sketches: levels are the strength of lines, 0 none and 255 full. Beside drawing, there is an eraser and text."""

from __future__ import annotations

import numpy as np

from . import keys, shapes
from .keys import Key, RecipeError
from .recipe import Form, Table
from .regions import Gone
from .scene import NOTHING, Layer, Scene, common, turn
from .scene import about as turned_about
from .values import LEVEL, MOST, draw, table

LONGEST = 500
"""Characters of one text."""


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
    mask = _letters(text, width, font, scene)
    if not mask.size:
        raise Gone("these letters show nothing")
    labels = np.where(mask > 0, (mask.astype(np.float64) * level / MOST + 0.5).astype(np.int16), NOTHING).astype(
        np.int16
    )
    layer = Layer(id, labels, (1.0, 0.0, round(at[0]), 0.0, 1.0, round(at[1])))
    if rotate:
        layer = layer.then(turned_about(layer.centre, turn(rotate)))
    if common(layer.box, scene.window) is None:
        raise Gone("it lies outside of the map")
    scene.add(layer)


def _letters(text: str, size: float, font: str | None, scene: Scene) -> np.ndarray:
    """How much of each pixel the letters cover, uint8 [h, w], cut to what they cover."""
    from PIL import Image, ImageDraw, ImageFont

    if size * len(text) > 4 * sum(scene.size) + 4096:
        raise Gone("the text is far larger than the map")
    if font is None:
        face = ImageFont.load_default(size)
    elif scene.font is None:
        raise RecipeError("font files cannot be read here")
    else:
        face = scene.font(font, size)
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=face)
    width, height = int(np.ceil(box[2] - box[0])), int(np.ceil(box[3] - box[1]))
    if width < 1 or height < 1:
        return np.zeros((0, 0), dtype=np.uint8)
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).multiline_text((-box[0], -box[1]), text, font=face, fill=255)
    covered = np.asarray(picture)
    ink = shapes.tight(0, 0, covered > 0)
    left, top, right, bottom = ink.box
    return covered[top:bottom, left:right]


_POINTS = Key("points", keys.POINTS, True)

TABLE: Table = {
    **table(needed=False),
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
