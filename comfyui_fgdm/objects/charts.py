"""Pictures for people: score chart, legend, overlay and contact sheet. Pillow only; all return uint8 [H, W, 3]."""

from __future__ import annotations

import textwrap
from bisect import bisect
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..maps import palettes
from .query import not_counted
from .recall import Scores, ranking
from .words import ObjectQuery

MAX_ROWS = 64
MAX_OBJECTS = 20
_LEFT, _CELL, _ROW, _HEAD = 300, 84, 52, 98  # of the score chart, in pixels
INK, PAPER, MUTED, GRID = (24, 27, 32), (255, 255, 255), (110, 116, 125), (222, 226, 231)
GOOD, BAD, BAR, PICK = (46, 160, 67), (203, 70, 60), (56, 110, 210), (255, 246, 214)


def font_of(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own letters, ``size`` pixels high."""
    return ImageFont.load_default(size)


def score_chart(
    scores: Scores,
    query: ObjectQuery,
    thumbnails: torch.Tensor | None = None,
    seeds: Sequence[int] | None = None,
    title: str = "Object recall of the maps",
    palette: palettes.Palette = palettes.COCO,
    told: str = "",
) -> np.ndarray:
    """One row a map, best first: thumbnail, seed, recall bar, one cell an object, number of spurious classes.

    thumbnails: float [B, H, W, 3] in 0..1, or None. The line under an object's name has the colour of its class.
    Words of the text that recall does not count stand above the rows. told: of the search that made the maps.
    At most ``MAX_ROWS`` maps and ``MAX_OBJECTS`` objects are drawn; the others are counted in words.
    """
    order, items = ranking(scores), query.items[:MAX_OBJECTS]
    shown = order[:MAX_ROWS]
    width = max(_LEFT + _CELL * len(items) + 110, 560)
    notes = textwrap.wrap(not_counted(query), width // 8)
    base = _HEAD + 20 * len(notes)
    height = base + _ROW * len(shown) + (28 if len(order) > len(shown) else 8)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, small, normal, big = ImageDraw.Draw(sheet), font_of(13), font_of(15), font_of(19)
    draw.text((12, 10), cut(draw, title, big, sheet.width - 24), INK, big)
    figures = f"{len(order)} maps, best {float(scores.recall.max()):.2f}, mean {float(scores.recall.mean()):.2f}"
    if len(items) < len(query.items):
        figures += f"; {len(query.items) - len(items)} more objects are not shown"
    figures += f"; {told}" if told else ""
    draw.text((12, 36), cut(draw, figures, normal, width - 24), MUTED, normal)
    for number, line in enumerate(notes):
        draw.text((12, 58 + 20 * number), cut(draw, line, normal, width - 24), BAD, normal)
    for k, item in enumerate(items):
        left = _LEFT + _CELL * k
        draw.text((left, base - 32), cut(draw, item.title, small, _CELL - 8), INK, small)
        draw.rectangle((left, base - 12, left + _CELL - 10, base - 7), palette.labels[item.label].rgb, GRID)
    draw.text((_LEFT + _CELL * len(items), base - 32), "spurious", INK, small)
    for place, i in enumerate(shown):
        top = base + place * _ROW
        if place == 0:
            draw.rectangle((0, top, sheet.width, top + _ROW - 1), PICK)
        draw.line((0, top, sheet.width, top), GRID)
        if thumbnails is not None:
            sheet.paste(picture(thumbnails[i]).resize((48, 48), Image.Resampling.BOX), (12, top + 2))
        write_whole(draw, (70, top + 17), f"map {i}" if seeds is None else f"seed {seeds[i]}")
        value = float(scores.recall[i])
        draw.rectangle((186, top + 18, 250, top + 34), GRID)
        if value > 0:
            draw.rectangle((186, top + 18, 186 + round(64 * value), top + 34), BAR)
        draw.text((256, top + 17), f"{value:.2f}", INK, small)
        for k in range(len(items)):
            yes = bool(scores.present[i, k])
            left = _LEFT + _CELL * k
            box = (left, top + 12, left + _CELL - 10, top + _ROW - 12)
            draw.rectangle(box, fill=GOOD if yes else PAPER, outline=GOOD if yes else BAD)
            text = _cell(scores, query, i, k)
            draw.text((box[0] + 6, box[1] + 6), text, PAPER if yes else BAD, small)
        draw.text((_LEFT + 4 + _CELL * len(items), top + 17), str(int(scores.spurious[i])), INK, small)
    if len(order) > len(shown):
        draw.text((12, height - 24), f"and {len(order) - len(shown)} more maps with lower scores", MUTED, small)
    return np.asarray(sheet)


def _cell(scores: Scores, query: ObjectQuery, map_index: int, place: int) -> str:
    """What a map has of an object, in a few letters."""
    item, share = query.items[place], f"{100 * float(scores.area[map_index, place]):.1f} %"
    if item.absent:
        return "absent" if scores.present[map_index, place] else "there"
    if item.count > 1 and scores.regions is not None:
        return f"{int(scores.regions[map_index, place])} of {item.count}"
    return share if scores.present[map_index, place] else "missing"


def legend(labels: torch.Tensor, palette: palettes.Palette = palettes.COCO, limit: int = 32) -> np.ndarray:
    """Classes of one or more label maps (int [..., H, W]) with colour, name and share of the area, largest first."""
    counts = torch.bincount(labels.reshape(-1).long(), minlength=len(palette))
    order = [c for c in counts.argsort(descending=True, stable=True).tolist() if counts[c]]
    shown, row = order[:limit], 30
    more = len(order) - len(shown)
    sheet = Image.new("RGB", (320, 12 + row * (len(shown) + (more > 0))), PAPER)
    draw, font = ImageDraw.Draw(sheet), font_of(15)
    for place, c in enumerate(shown):
        top = 6 + place * row
        draw.rectangle((10, top + 4, 42, top + 26), palette.labels[c].rgb, GRID)
        draw.text((52, top + 6), cut(draw, palette.labels[c].name, font, 170), INK, font)
        share = f"{100 * int(counts[c]) / int(counts.sum()):.1f} %"
        draw.text((310 - draw.textlength(share, font), top + 6), share, MUTED, font)
    if more > 0:
        draw.text((52, 12 + row * len(shown)), f"and {more} more classes", MUTED, font)
    return np.asarray(sheet)


def note(title: str, text: str, width: int = 320) -> np.ndarray:
    """A title and a line of words under it, broken where it is too long."""
    lines = textwrap.wrap(text, 44)
    sheet = Image.new("RGB", (width, 44 + 20 * len(lines)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 8), cut(draw, title, font_of(19), width - 20), INK, font_of(19))
    for place, line in enumerate(lines):
        draw.text((10, 36 + 20 * place), line, MUTED, font_of(13))
    return np.asarray(sheet)


def label_overlay(
    image: torch.Tensor, labels: torch.Tensor, palette: palettes.Palette = palettes.COCO, alpha: float = 0.5
) -> np.ndarray:
    """A picture float [H, W, 3] in 0..1 with its label map int [h, w] laid over it (0 = picture, 1 = map)."""
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be in 0..1, got {alpha}")
    below = picture(image)
    above = picture(palettes.encode(labels, palette)).resize(below.size, Image.Resampling.NEAREST)
    return np.asarray(Image.blend(below, above, alpha))


def contact_sheet(
    pictures: Sequence[torch.Tensor | np.ndarray],
    captions: Sequence[str] | None = None,
    columns: int = 5,
    side: int = 192,
    title: str = "",
) -> np.ndarray:
    """Pictures (float in 0..1 or uint8, [H, W, 3], any sizes) in a grid, each fitted into a square, with captions."""
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    if captions is not None and len(captions) != len(pictures):
        raise ValueError(f"{len(captions)} captions for {len(pictures)} pictures")
    columns = max(1, min(columns, len(pictures)))
    foot, head, gap = (24 if captions else 0), (40 if title else 0), 10
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (gap + columns * (side + gap), head + gap + rows * (side + foot + gap)), PAPER)
    draw, font = ImageDraw.Draw(sheet), font_of(14)
    if title:
        draw.text((gap, 10), cut(draw, title, font_of(19), sheet.width - 2 * gap), INK, font_of(19))
    for n, one in enumerate(pictures):
        left, top = gap + (n % columns) * (side + gap), head + gap + (n // columns) * (side + foot + gap)
        tile = picture(one)
        scale = side / max(tile.size)
        size = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
        kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        tile = tile.resize(size, kind)
        sheet.paste(tile, (left + (side - tile.width) // 2, top + (side - tile.height) // 2))
        if captions:
            draw.text((left, top + side + 4), cut(draw, captions[n], font, side), INK, font)
    return np.asarray(sheet)


def to_tensor(drawn: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [1, H, W, 3] in 0..1, the layout of ComfyUI's IMAGE."""
    return torch.from_numpy(drawn.astype(np.float32) / 255.0)[None]


def picture(values: torch.Tensor | np.ndarray) -> Image.Image:
    """A picture [H, W, 3], float in 0..1 (NaN is black) or uint8, for Pillow."""
    array = values.detach().cpu().float().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array).clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


def write_whole(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, width: int = 112, ink=INK) -> None:
    """A text, such as a seed of up to 20 digits, in the pixels there are: in smaller letters rather than cut off."""
    font = next((f for f in map(font_of, (13, 10, 8)) if draw.textlength(text, f) <= width), font_of(7))
    draw.text(at, text, ink, font)


def cut(draw: ImageDraw.ImageDraw, text: str, font, width: int) -> str:
    """The text in one line, shortened with dots so that it is at most ``width`` pixels wide."""
    text = " ".join(text[: 4 * width].split())  # more characters than pixels are not measured
    if draw.textlength(text, font) <= width:
        return text
    fits = bisect(range(len(text)), width, key=lambda length: draw.textlength(text[:length] + "...", font))
    return text[: max(0, fits - 1)] + "..."
