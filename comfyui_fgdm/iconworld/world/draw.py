"""Draw a layout: picture, label map, entity map. All three at any size, pixel by pixel in agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from . import classes as c
from . import figures, people, tidy_look
from .canvas import Canvas, stuff_entity
from .icons import Icon, silhouette
from .scenes import Layout

_GROUND_COLOURS = {
    c.GRASS: ((92, 168, 74), (132, 190, 90), (70, 140, 66)),
    c.SEA: ((40, 110, 190), (60, 150, 210), (30, 90, 150)),
    c.SAND: ((232, 208, 150), (222, 190, 130), (240, 220, 170)),
    c.SNOW: ((238, 244, 250), (224, 234, 246), (250, 250, 252)),
    c.ROAD: ((110, 110, 114), (90, 92, 98), (130, 130, 132)),
    c.FLOOR: ((190, 150, 110), (150, 110, 80), (200, 180, 150)),
}
_SKY_COLOURS = (
    ((120, 190, 240), (200, 230, 250)),
    ((90, 160, 230), (180, 215, 245)),
    ((250, 190, 140), (250, 225, 190)),
    ((150, 170, 190), (205, 215, 225)),
)
_WALL_COLOURS = (
    ((230, 220, 200), (215, 205, 185)),
    ((200, 215, 225), (185, 200, 212)),
    ((235, 205, 205), (222, 190, 190)),
)


@dataclass(frozen=True)
class Scene:
    """image: uint8 H x W x 3; labels: uint8 H x W, COCO label indices; entities: uint8 H x W (things 1..K in drawing
    order, stuff from STUFF_ENTITY); visible: K shares of each thing's own pixels that are not covered;
    joints: {thing's entity id: 18 x 2 pixel positions} of the drawn figures."""

    layout: Layout
    image: np.ndarray
    labels: np.ndarray
    entities: np.ndarray
    visible: tuple[float, ...]
    joints: dict[int, np.ndarray]


def _vary(rng, colour, amount=14):
    return tuple(int(np.clip(v + rng.integers(-amount, amount + 1), 0, 255)) for v in colour)


def _backdrop(layout: Layout, size: int, rng) -> np.ndarray:
    horizon = round(layout.horizon * size)
    image = np.empty((size, size, 3), np.float32)
    pairs = _WALL_COLOURS if layout.top == c.WALL else _SKY_COLOURS
    high, low = pairs[rng.choice(len(pairs), p=None if len(pairs) == 3 else (0.4, 0.3, 0.12, 0.18))]
    ramp = np.linspace(0, 1, max(horizon, 1))[:, None, None]
    image[:horizon] = ((1 - ramp) * high + ramp * low)[:horizon]
    colours = _GROUND_COLOURS[layout.ground]
    near = np.array(_vary(rng, colours[rng.integers(3)]), np.float32)
    ramp = np.linspace(1.08, 0.9, size - horizon)[:, None, None]
    image[horizon:] = np.clip(near * ramp, 0, 255)
    rows = np.arange(size - horizon)[:, None]
    columns = np.arange(size)[None]
    if layout.ground in (c.SEA, c.SAND):
        wave = np.sin(
            rows * 2 * np.pi * 22 / size
            + 2.5 * np.sin(columns * 2 * np.pi * rng.uniform(1, 3) / size + rng.uniform(0, 6))
        )
        image[horizon:] += (6 if layout.ground == c.SAND else 12) * wave[..., None]
    elif layout.ground == c.GRASS:
        blades = rng.random((size // 4 + 1, size // 4 + 1)).repeat(4, 0).repeat(4, 1)[: size - horizon, :size]
        image[horizon:] += 16 * (blades[..., None] - 0.5)
    elif layout.ground == c.ROAD:
        middle = np.abs(columns - size * (0.5 + (rows / size) * rng.uniform(-0.1, 0.1))) < size * 0.012
        dash = (rows // max(1, size // 12)) % 2 == 0
        image[horizon:][middle & dash] = (240, 230, 160)
    return np.clip(image, 0, 255).astype(np.uint8)


def _mountain(pens, element, size):
    rng = np.random.default_rng(element.seed)
    x, base, height = element.x * size, element.base * size, element.height * size
    half = height * rng.uniform(0.9, 1.5)
    colour = _vary(rng, ((120, 120, 140), (110, 130, 120), (140, 120, 110))[rng.integers(3)])
    bend = half * rng.uniform(-0.3, 0.3)
    pens(element.index, [(x - half, base), (x + bend, base - height), (x + half, base)], colour)
    cap = 0.3
    pens(
        element.index,
        [
            (x + bend - (half + bend) * cap, base - height * (1 - cap)),
            (x + bend, base - height),
            (x + bend + (half - bend) * cap, base - height * (1 - cap)),
        ],
        (245, 248, 252),
    )


def _house(pens, element, size):
    rng = np.random.default_rng(element.seed)
    x, base, height = element.x * size, element.base * size, element.height * size
    half = height * rng.uniform(0.42, 0.62)
    wall = _vary(rng, ((236, 214, 180), (222, 160, 140), (225, 225, 215), (180, 200, 215))[rng.integers(4)])
    roof = _vary(rng, ((170, 60, 50), (110, 70, 60), (80, 90, 110))[rng.integers(3)])
    eaves = base - height * 0.58
    pens(element.index, [(x - half, base), (x - half, eaves), (x + half, eaves), (x + half, base)], wall)
    pens(element.index, [(x - half * 1.15, eaves), (x, base - height), (x + half * 1.15, eaves)], roof)
    door = half * 0.2
    pens(
        element.index,
        [(x - door, base), (x - door, base - height * 0.3), (x + door, base - height * 0.3), (x + door, base)],
        (110, 70, 45),
    )
    for side in (-0.6, 0.6):
        wx, wy = x + side * half, eaves + height * 0.16
        pens(
            element.index,
            [(wx - door, wy), (wx + door, wy), (wx + door, wy + door * 1.4), (wx - door, wy + door * 1.4)],
            (150, 205, 240),
        )


def _tree(pens, element, size):
    rng = np.random.default_rng(element.seed)
    x, base, height = element.x * size, element.base * size, element.height * size
    trunk = height * 0.045
    pens(
        element.index,
        [(x - trunk, base), (x - trunk, base - height * 0.5), (x + trunk, base - height * 0.5), (x + trunk, base)],
        (120, 80, 50),
    )
    green = _vary(
        rng, ((50, 130, 60), (70, 150, 60), (40, 110, 80), (150, 150, 50))[rng.choice(4, p=(0.35, 0.35, 0.2, 0.1))]
    )
    if rng.random() < 0.35:
        for k in range(3):
            top, width = base - height + k * height * 0.2, height * (0.14 + 0.07 * k)
            pens(element.index, [(x - width, top + height * 0.36), (x, top), (x + width, top + height * 0.36)], green)
        return
    for dx, dy, r in ((-0.16, 0.62, 0.17), (0.16, 0.62, 0.17), (0.0, 0.72, 0.22), (0.0, 0.84, 0.15)):
        cx, cy, radius = x + dx * height, base - dy * height, r * height
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        pens(element.index, [(cx + radius * np.cos(a), cy + radius * np.sin(a)) for a in angles], green)


_ELEMENTS = {c.MOUNTAIN: _mountain, c.HOUSE: _house, c.TREE: _tree}


def _backdrop_and_elements(layout: Layout, size: int) -> Canvas:
    rng = np.random.default_rng(layout.seed + 1)
    horizon = round(layout.horizon * size)
    picture = Image.fromarray(_backdrop(layout, size, rng))
    labels = np.full((size, size), layout.top, np.uint8)
    labels[horizon:] = layout.ground
    entities = np.full((size, size), stuff_entity(layout.top), np.uint8)
    entities[horizon:] = stuff_entity(layout.ground)
    if layout.elements:
        flat = Image.fromarray(labels)
        pen, label_pen = ImageDraw.Draw(picture), ImageDraw.Draw(flat)

        def pens(index, points, colour):
            pen.polygon(points, fill=colour)
            label_pen.polygon(points, fill=index)

        for element in layout.elements:
            _ELEMENTS[element.index](pens, element, size)
        labels = np.array(flat)
        for element in layout.elements:
            entities[labels == element.index] = stuff_entity(element.index)
    return Canvas(np.asarray(picture).astype(np.float32), labels, entities)


def draw_scene(layout: Layout, bank: dict[int, list[Icon]], size: int = 128) -> Scene:
    """Draw a layout at size x size pixels. Edges of the picture are soft, those of the maps hard."""
    canvas = tidy_look.background(layout, size) if layout.tidy else _backdrop_and_elements(layout, size)
    own, joints = [], {}
    for order, instance in enumerate(layout.instances, start=1):
        points: np.ndarray | None = None
        if instance.number < 0:
            if layout.tidy:
                rgba, points = people.draw(instance.seed)
            else:
                rgba, points = figures.draw(np.random.default_rng(instance.seed))
            outline = silhouette(rgba)
        else:
            icon = bank[instance.index][instance.number]
            rgba = icon.tints[instance.tint] if instance.tint else icon.rgba
            outline = icon.silhouette
        height = max(4, round(instance.height * size))
        width = max(4, round(height * rgba.shape[1] / rgba.shape[0]))
        if instance.flip:
            rgba, outline = rgba[:, ::-1], outline[:, ::-1]
        left, top = round(instance.x * size - width / 2), round(instance.base * size) - height
        own.append(max(1, canvas.paste(rgba, outline, (left, top, width, height), instance.index, order)))
        if points is not None:
            if instance.flip:
                points = points * np.array((-1, 1)) + np.array((1, 0))
            joints[order] = points * np.array((width, height)) + np.array((left, top))
    counts = np.bincount(canvas.entities.ravel(), minlength=256)
    visible = tuple(float(counts[k + 1] / own[k]) for k in range(len(own)))
    picture = np.clip(canvas.image + 0.5, 0, 255).astype(np.uint8)
    return Scene(layout, picture, canvas.labels, canvas.entities, visible, joints)
