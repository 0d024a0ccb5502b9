"""Pictures for people: score chart, legend, overlay and contact sheet. Pillow only; all return uint8 [H, W, 3]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from . import palettes
from .objects import ObjectQuery
from .recall import Scores, ranking

MAX_ROWS = 64
INK, PAPER, MUTED, GRID = (24, 27, 32), (255, 255, 255), (110, 116, 125), (222, 226, 231)
GOOD, BAD, BAR, PICK = (46, 160, 67), (203, 70, 60), (56, 110, 210), (255, 246, 214)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def score_chart(
    scores: Scores,
    query: ObjectQuery,
    thumbnails: torch.Tensor | None = None,
    seeds: Sequence[int] | None = None,
    title: str = "",
) -> np.ndarray:
    """One row a map, best first: thumbnail, seed, recall bar, one cell an object, spurious classes.

    thumbnails: float [B, H, W, 3] in 0..1, or None. At most ``MAX_ROWS`` rows; the rest is counted in a last line.
    """
    order = ranking(scores)
    shown, row, head, side = order[:MAX_ROWS], 52, 96, 48
    cell = 84
    width = 300 + cell * len(query.items) + 110
    height = head + row * len(shown) + (28 if len(order) > len(shown) else 8)
    sheet = Image.new("RGB", (max(width, 520), height), PAPER)
    draw = ImageDraw.Draw(sheet)
    small, normal, big = _font(13), _font(15), _font(19)
    mean = float(scores.recall.mean())
    draw.text((12, 10), title or "Object recall of the maps", INK, big)
    draw.text((12, 36), f"{len(order)} maps, best {float(scores.recall.max()):.2f}, mean {mean:.2f}", MUTED, normal)
    names = [*query.names, "spurious"]
    for k, name in enumerate(names):
        draw.text((300 + cell * k, head - 30), _fit(draw, name, small, cell - 6), INK, small)
    for place, i in enumerate(shown):
        top = head + place * row
        if place == 0:
            draw.rectangle((0, top, sheet.width, top + row - 1), PICK)
        draw.line((0, top, sheet.width, top), GRID)
        if thumbnails is not None:
            sheet.paste(_picture(thumbnails[i]).resize((side, side), Image.Resampling.BOX), (12, top + 2))
        caption = f"map {i}" if seeds is None else f"seed {seeds[i]}"
        draw.text((70, top + 16), _fit(draw, caption, small, 110), INK, small)
        value = float(scores.recall[i])
        draw.rectangle((186, top + 18, 186 + 64, top + 34), GRID)
        if value > 0:
            draw.rectangle((186, top + 18, 186 + round(64 * value), top + 34), BAR)
        draw.text((256, top + 17), f"{value:.2f}", INK, small)
        for k in range(len(query.items)):
            yes = bool(scores.present[i, k])
            box = (300 + cell * k, top + 12, 300 + cell * k + cell - 10, top + row - 12)
            draw.rectangle(box, fill=GOOD if yes else PAPER, outline=GOOD if yes else BAD)
            text = f"{100 * float(scores.area[i, k]):.1f} %" if yes else "missing"
            draw.text((box[0] + 6, box[1] + 6), text, PAPER if yes else BAD, small)
        draw.text((304 + cell * len(query.items), top + 17), str(int(scores.spurious[i])), INK, small)
    if len(order) > len(shown):
        draw.text((12, height - 24), f"and {len(order) - len(shown)} more maps with lower scores", MUTED, small)
    return np.asarray(sheet)


def legend(labels: torch.Tensor, palette: palettes.Palette = palettes.COCO, limit: int = 32) -> np.ndarray:
    """Classes of one or more label maps (int [..., H, W]) with colour, name and share of the area, largest first."""
    counts = torch.bincount(labels.reshape(-1).long(), minlength=len(palette))
    order = [c for c in counts.argsort(descending=True, stable=True).tolist() if counts[c]]
    shown, row = order[:limit], 30
    more = len(order) - len(shown)
    sheet = Image.new("RGB", (320, 12 + row * (len(shown) + (more > 0))), PAPER)
    draw, font = ImageDraw.Draw(sheet), _font(15)
    for place, c in enumerate(shown):
        top = 6 + place * row
        draw.rectangle((10, top + 4, 42, top + 26), palette.labels[c].rgb, GRID)
        draw.text((52, top + 6), _fit(draw, palette.labels[c].name, font, 170), INK, font)
        share = f"{100 * int(counts[c]) / int(counts.sum()):.1f} %"
        draw.text((310 - draw.textlength(share, font), top + 6), share, MUTED, font)
    if more > 0:
        draw.text((52, 12 + row * len(shown)), f"and {more} more classes", MUTED, font)
    return np.asarray(sheet)


def label_overlay(
    image: torch.Tensor, labels: torch.Tensor, palette: palettes.Palette = palettes.COCO, alpha: float = 0.5
) -> np.ndarray:
    """A picture float [H, W, 3] in 0..1 with its label map int [h, w] laid over it (0 = picture, 1 = map)."""
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be in 0..1, got {alpha}")
    below = _picture(image)
    above = _picture(palettes.encode(labels, palette)).resize(below.size, Image.Resampling.NEAREST)
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
    draw, font = ImageDraw.Draw(sheet), _font(14)
    if title:
        draw.text((gap, 10), _fit(draw, title, _font(19), sheet.width - 2 * gap), INK, _font(19))
    for n, picture in enumerate(pictures):
        left, top = gap + (n % columns) * (side + gap), head + gap + (n // columns) * (side + foot + gap)
        tile = _picture(picture)
        scale = side / max(tile.size)
        size = tuple(max(1, round(length * scale)) for length in tile.size)
        kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        tile = tile.resize(size, kind)
        sheet.paste(tile, (left + (side - tile.width) // 2, top + (side - tile.height) // 2))
        if captions:
            draw.text((left, top + side + 4), _fit(draw, captions[n], font, side), INK, font)
    return np.asarray(sheet)


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [1, H, W, 3] in 0..1, the layout of ComfyUI's IMAGE."""
    return torch.from_numpy(picture.astype(np.float32) / 255.0)[None]


def _picture(values: torch.Tensor | np.ndarray) -> Image.Image:
    array = values.detach().cpu().float().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array).clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


def _fit(draw: ImageDraw.ImageDraw, text: str, font, width: int) -> str:
    """The text, shortened with dots so that it is at most ``width`` pixels wide."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."
