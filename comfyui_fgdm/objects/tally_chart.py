"""A histogram for people: recall by object over many maps, and how many maps hold how much of what was asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from ..maps.palette_file import Palette
from .charts import BAR, GRID, INK, MUTED, PAPER, cut, font_of
from .tally import BINS, Tally

MOST = 40
"""Objects that are drawn; the rest are counted in words."""
WIDTH = 900
_NAME, _BAR, _NUMBERS = 210, 520, 150  # widths in pixels
_ROW, _HEAD, _PLOT, _FOOT = 26, 76, 150, 34


def tally_chart(tally: Tally, palette: Palette, title: str = "Recall by object") -> np.ndarray:
    """One bar an object, as long as the share of the maps asked for it that hold it, in the colour of its class; below them how
    the recall of the maps is spread. A sheet uint8 [H, W, 3]."""
    shown = list(tally.objects.items())[:MOST]
    more = len(tally.objects) - len(shown)
    below = _HEAD + _ROW * (len(shown) + (more > 0)) + 24
    sheet = Image.new("RGB", (WIDTH, below + _PLOT + 30 + _FOOT), PAPER)
    draw, small, normal, big = ImageDraw.Draw(sheet), font_of(13), font_of(15), font_of(20)
    draw.text((12, 10), cut(draw, title, big, WIDTH - 24), INK, big)
    figures = f"{len(tally.recalls)} maps, mean recall {tally.recall:.3f}"
    if tally.without:
        figures += f"; {tally.without} more whose captions name no object"
    draw.text((12, 40), cut(draw, figures, normal, WIDTH - 24), MUTED, normal)
    colours = _colours(palette)
    for place, (name, one) in enumerate(shown):
        top = _HEAD + _ROW * place
        draw.text((12, top + 4), cut(draw, name, normal, _NAME - 20), INK, normal)
        draw.rectangle((_NAME, top + 3, _NAME + _BAR, top + _ROW - 4), GRID)
        if one.held:
            end = _NAME + round(_BAR * one.recall)
            draw.rectangle((_NAME, top + 3, end, top + _ROW - 4), colours.get(name, BAR), INK)
        draw.text((_NAME + _BAR + 12, top + 5), f"{one.recall:.2f}  ({one.held} of {one.asked})", INK, small)
    if more > 0:
        draw.text((12, _HEAD + _ROW * len(shown) + 4), f"and {more} more objects", MUTED, normal)
    _spread(draw, tally, below)
    return np.asarray(sheet)


def _spread(draw: ImageDraw.ImageDraw, tally: Tally, top: int) -> None:
    small, normal = font_of(13), font_of(15)
    draw.text((12, top), "Maps by their recall", INK, normal)
    most, wide, base = max(*tally.bins, 1), (_BAR + 1) / BINS, top + _PLOT + 14
    for place, number in enumerate(tally.bins):
        left, right = _NAME + round(wide * place), _NAME + round(wide * (place + 1)) - 4
        height = round((_PLOT - 36) * number / most)
        if number:
            draw.rectangle((left, base - height, right, base), BAR)
        draw.text((left + 2, base - height - 17), str(number), INK if number else MUTED, small)
        last = place == BINS - 1
        draw.text((left, base + 6), f"{place / BINS:.1f}{' to 1' if last else ''}", MUTED, small)
    draw.line((_NAME, base, _NAME + _BAR, base), INK)


def _colours(palette: Palette) -> Mapping[str, tuple[int, int, int]]:
    return {label.name: label.rgb for label in palette.labels}
