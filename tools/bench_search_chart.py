"""Recall against cost as a picture: what was measured, and the paper's points for scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from comfyui_fgdm.objects.charts import BAD, BAR, GRID, INK, MUTED, PAPER, font_of

SIZE = (1100, 640)
LEFT, RIGHT, TOP, BOTTOM = 80, 1060, 90, 570
COSTS = (0.5, 20.0)  # of the axis, in images of the base


class Point(NamedTuple):
    """cost: in images of the plain base. recall: 0..1."""

    name: str
    cost: float
    recall: float


def chart(measured: Sequence[Point], paper: Sequence[Point], path: Path) -> None:
    """Write the chart: cost on a logarithmic axis."""
    low = math.floor(10 * min(point.recall for point in (*measured, *paper)) - 0.3) / 10
    sheet = Image.new("RGB", SIZE, PAPER)
    draw, small, normal, big = ImageDraw.Draw(sheet), font_of(14), font_of(16), font_of(22)
    draw.text((LEFT, 16), "Object recall against cost", INK, big)
    draw.text(
        (LEFT, 48), "filled: measured here, images read by the judge; hollow: the paper, ADE20K prompts", MUTED, normal
    )
    first, last = (math.log(cost) for cost in COSTS)

    def place(cost: float, recall: float) -> tuple[float, float]:
        across = (math.log(cost) - first) / (last - first)
        return LEFT + across * (RIGHT - LEFT), BOTTOM - (recall - low) / (1 - low) * (BOTTOM - TOP)

    for cost in (0.5, 1, 2, 5, 10, 20):
        x, _ = place(cost, low)
        draw.line((x, TOP, x, BOTTOM), GRID)
        draw.text((x - 8, BOTTOM + 8), f"{cost:g}", MUTED, small)
    for tenth in range(round(10 * low), 11):
        _, y = place(1, tenth / 10)
        draw.line((LEFT, y, RIGHT, y), GRID)
        draw.text((LEFT - 36, y - 9), f"{tenth / 10:.1f}", MUTED, small)
    draw.text(
        (LEFT, BOTTOM + 34),
        "cost of the whole, in images of the plain base at the size of Stable Diffusion 1.5",
        INK,
        normal,
    )
    taken: list[float] = []
    for points, colour, full in ((measured, BAR, True), (paper, BAD, False)):
        for point in sorted(points, key=lambda one: one.recall):
            x, y = place(point.cost, point.recall)
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour if full else PAPER, outline=colour, width=3)
            width = draw.textlength(point.name, small)
            left = x + 12 if x + 12 + width < RIGHT + 30 else x - 12 - width
            while any(abs(y - other) < 16 for other in taken):
                y -= 4
            taken.append(y)
            draw.text((left, y - 9), point.name, INK if full else MUTED, small)
    path.parent.mkdir(exist_ok=True)
    sheet.save(path)
