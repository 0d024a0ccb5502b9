"""Maps as people look at them: large pictures, best first, with recall and what is missing under each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from .charts import BAD, GOOD, GRID, INK, MUTED, PAPER, cut, font_of, picture, write_whole
from .query import not_counted
from .recall import Scores, ranking
from .words import ObjectQuery

WIDTH = 1400
"""Of the whole sheet in pixels, for four maps or more."""
LARGEST, SMALLEST = 448, 160
"""Side of one picture in pixels."""
LINES = 3
"""Of text under a picture; what does not fit is counted."""
MOST_NAMES = 12
_GAP, _LINE = 12, 17


def score_gallery(
    scores: Scores,
    query: ObjectQuery,
    maps: torch.Tensor,
    seeds: Sequence[int] | None = None,
    title: str = "Object recall of the maps",
    told: str = "",
) -> np.ndarray:
    """A sheet uint8 [H, W, 3] of the maps float [B, H, W, 3] in 0..1, best first and the best framed.

    Under each stand its recall, its seed (or its place in the batch) and the objects that it lacks; above them words of
    the text that recall does not count. told: of the search that made them. Pictures keep their shape and are scaled without smoothing where they grow.
    """
    order = ranking(scores)
    columns = columns_of(len(order))
    side = max(SMALLEST, min(LARGEST, (WIDTH - _GAP) // columns - _GAP))
    cell = side + _GAP
    small, normal, big = font_of(13), font_of(16), font_of(22)
    width = max(_GAP + columns * cell, 560)
    notes = textwrap.wrap(not_counted(query), max(20, width // 8))
    head = 70 + 20 * len(notes)
    foot = 24 + _LINE * LINES
    rows = -(-len(order) // columns)
    sheet = Image.new("RGB", (width, head + rows * (side + foot + _GAP) + _GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 10), cut(draw, title, big, width - 2 * _GAP), INK, big)
    figures = f"{len(order)} maps, best {float(scores.recall.max()):.2f}, mean {float(scores.recall.mean()):.2f}"
    figures += f"; {told}" if told else ""
    draw.text((_GAP, 42), cut(draw, figures, normal, width - 2 * _GAP), MUTED, normal)
    for number, line in enumerate(notes):
        draw.text((_GAP, 64 + 20 * number), cut(draw, line, normal, width - 2 * _GAP), BAD, normal)
    for place, i in enumerate(order):
        left, top = _GAP + place % columns * cell, head + place // columns * (side + foot + _GAP)
        shown = _fitted(picture(maps[i]), side)
        corner = (left + (side - shown.width) // 2, top + (side - shown.height) // 2)
        if place == 0:
            frame = (corner[0] - 5, corner[1] - 5, corner[0] + shown.width + 4, corner[1] + shown.height + 4)
            draw.rectangle(frame, GOOD)
        sheet.paste(shown, corner)
        under = top + side + 7
        value = f"{float(scores.recall[i]):.2f}"
        draw.text((left, under - 1), value, INK, normal)
        name = f"map {i}" if seeds is None else f"seed {seeds[i]}"
        after = left + round(draw.textlength(value, normal)) + 10
        write_whole(draw, (after, under + 2), name, left + side - after, MUTED)
        lacks = [item.title for k, item in enumerate(query.items) if not scores.present[i, k]]
        for number, line in enumerate(_missing(draw, lacks, small, side)):
            draw.text((left, under + 20 + _LINE * number), line, BAD if lacks else GOOD, small)
        draw.line((left, under + 20 + _LINE * LINES, left + side, under + 20 + _LINE * LINES), GRID)
    return np.asarray(sheet)


def columns_of(count: int) -> int:
    """How many pictures stand in a row: few large ones, at most eight."""
    return next((columns for columns in (1, 2, 3, 4, 5, 6) if count <= columns * max(1, columns - 1)), 8)


def _fitted(tile: Image.Image, side: int) -> Image.Image:
    scale = side / max(tile.size)
    size = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
    return tile.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)


def _missing(draw: ImageDraw.ImageDraw, names: Sequence[str], font, width: int) -> list[str]:
    """At most ``LINES`` lines of at most ``width`` pixels; names that have no room are counted."""
    if not names:
        return ["holds all"]
    for shown in range(min(len(names), MOST_NAMES), 0, -1):
        text = "missing: " + ", ".join(names[:shown])
        if shown < len(names):
            text += f" and {len(names) - shown} more"
        lines = textwrap.wrap(text, width // 7)  # a letter of this size is some 7 pixels wide
        if len(lines) <= LINES:
            break
    return [cut(draw, line, font, width) for line in lines[:LINES]]
