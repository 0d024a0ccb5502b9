"""Pictures of a training run: sheets of samples, and the loss as a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from ..objects import charts

GAP, MARGIN = 4, 44
COLOURS = {"loss": (150, 170, 200), "validation": (200, 60, 40)}


def grid(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """Rows of pictures 3 x H x W of one size, with gaps between them."""
    height, width = rows[0][0].shape[1:]
    size = (len(rows[0]) * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, (255, 255, 255))
    for y, row in enumerate(rows):
        for x, one in enumerate(row):
            sheet.paste(charts.picture(one.permute(1, 2, 0)), (x * (width + GAP), y * (height + GAP)))
    return sheet


def losses(log: Path, width: int = 640, height: int = 360) -> Image.Image:
    """Training and validation loss over the steps of one run's log, from its records."""
    records = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    lines = {
        name: [(record["step"], record[name]) for record in records if isinstance(record.get(name), float)]
        for name in COLOURS
    }
    image = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    points = [point for line in lines.values() for point in line]
    if not points:
        draw.text((MARGIN, height // 2), "no records yet", fill=(0, 0, 0))
        return image
    last, highest = max(step for step, _ in points), max(value for _, value in points)
    lowest = min(value for _, value in points)
    span = max(highest - lowest, 1e-12)

    def place(step: int, value: float) -> tuple[float, float]:
        x = MARGIN + (width - 1.5 * MARGIN) * step / max(last, 1)
        return x, height - MARGIN - (height - 2 * MARGIN) * (value - lowest) / span

    draw.line([(MARGIN, MARGIN / 2), (MARGIN, height - MARGIN), (width - MARGIN / 3, height - MARGIN)], fill=(0, 0, 0))
    draw.text((4, MARGIN - 6), f"{highest:.3g}", fill=(0, 0, 0))
    draw.text((4, height - MARGIN - 6), f"{lowest:.3g}", fill=(0, 0, 0))
    draw.text((width - 3 * MARGIN, height - MARGIN + 6), f"step {last}", fill=(0, 0, 0))
    for number, (name, line) in enumerate(lines.items()):
        if line:
            draw.line([place(*point) for point in line], fill=COLOURS[name], width=2, joint="curve")
            draw.text((width // 2, 6 + 14 * number), name, fill=COLOURS[name])
    return image
