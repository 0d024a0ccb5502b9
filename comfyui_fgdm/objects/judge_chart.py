"""A table for people: of every picture, what its map held by the selector, and what the picture holds by the judge."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
from PIL import Image, ImageDraw

from .charts import BAD, GOOD, GRID, INK, MAX_OBJECTS, MAX_ROWS, MUTED, PAPER, cut, font_of, picture, write_whole
from .judge import Judgement
from .verdict import Selector, summary

_LEFT, _CELL, _ROW, _HEAD = 330, 92, 56, 44  # in pixels


def judge_table(judgement: Judgement, pictures: torch.Tensor, selector: Selector | None = None) -> np.ndarray:
    """One row a picture float [B, H, W, 3] in 0..1: thumbnail, the map's recall, the picture's recall, and of each object
    whether the map (left) and the picture (right) hold it. A sheet uint8 [H, W, 3]."""
    items = judgement.query.items[:MAX_OBJECTS]
    count = min(len(pictures), MAX_ROWS)
    width = max(_LEFT + _CELL * len(items) + 12, 620)
    notes = textwrap.wrap(summary(judgement, selector), width // 8)
    base = _HEAD + 20 * len(notes) + 40
    sheet = Image.new("RGB", (width, base + _ROW * count + 28), PAPER)
    draw, small, normal, big = ImageDraw.Draw(sheet), font_of(13), font_of(15), font_of(19)
    draw.text((12, 10), "Objects: the map, and the picture as judged", INK, big)
    for number, line in enumerate(notes):
        draw.text((12, 40 + 20 * number), cut(draw, line, normal, width - 24), MUTED, normal)
    heads = ((70, "map"), (200, "map"), (262, "picture")) if selector is not None else ((262, "picture"),)
    for left, text in heads:
        draw.text((left, base - 24), text, INK, small)
    for k, item in enumerate(items):
        draw.text((_LEFT + _CELL * k, base - 24), cut(draw, item.title, small, _CELL - 10), INK, small)
    for i in range(count):
        top = base + i * _ROW
        draw.line((0, top, width, top), GRID)
        sheet.paste(picture(pictures[i]).resize((50, 50), Image.Resampling.BOX), (12, top + 3))
        choice = None if selector is None else selector.choices[i]
        if choice is not None:
            name = f"map {choice.place}" if choice.seed is None else f"seed {choice.seed}"
            write_whole(draw, (70, top + 20), name)
            draw.text((200, top + 19), f"{choice.recall:.2f}", INK, normal)
        draw.text((262, top + 19), f"{float(judgement.scores.recall[i]):.2f}", INK, normal)
        for k, item in enumerate(items):
            left = _LEFT + _CELL * k
            promised = None if choice is None or choice.held is None else choice.held.get(item.name)
            if choice is not None:
                _mark(draw, (left, top + 14), promised)
            _mark(draw, (left + (38 if choice is not None else 0), top + 14), bool(judgement.scores.present[i, k]))
    if len(pictures) > count:
        draw.text((12, base + _ROW * count + 6), f"and {len(pictures) - count} more pictures", MUTED, small)
    return np.asarray(sheet)


def _mark(draw: ImageDraw.ImageDraw, at: tuple[int, int], held: bool | None) -> None:
    """A full box with "yes", an empty one with "no", or a dash where nothing is known."""
    box = (at[0], at[1], at[0] + 34, at[1] + 28)
    if held is None:
        draw.rectangle(box, outline=GRID)
        draw.text((at[0] + 14, at[1] + 6), "-", MUTED, font_of(13))
        return
    draw.rectangle(box, fill=GOOD if held else PAPER, outline=GOOD if held else BAD)
    draw.text((at[0] + 6, at[1] + 7), "yes" if held else "no", PAPER if held else BAD, font_of(13))
