"""The best pictures of a batch by scores from anywhere, with a sheet that shows them in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..objects import charts, selection
from .reading import to_image

MOST_SHOWN = 64


@dataclass(frozen=True)
class Selected:
    """images: the kept ones, best first. score: of the best. index: its place. sheet: IMAGE of all, best first. json: text."""

    images: torch.Tensor
    score: float
    index: int
    sheet: torch.Tensor
    json: str


def select(batches: Sequence[torch.Tensor], scores: Sequence[Any], wanted: str, keep: int, lowest: bool) -> Selected:
    """The best ``keep`` of IMAGE batches of one size by ``scores``, as a host hands lists over: one value for all, or one for
    each picture. ValueError that names the input and what to do."""
    sizes = {tuple(batch.shape[1:]) for batch in batches}
    if len(sizes) != 1:
        raise ValueError(f"images: they are of {len(sizes)} sizes; scale them to one size first.")
    images = torch.cat([batch.cpu() for batch in batches])
    given = scores[0] if len(scores) == 1 else list(scores)
    values = selection.scores_of(given, len(images), wanted)
    if not 1 <= keep <= len(images):
        raise ValueError(
            f"keep: {keep} of {len(images)} pictures cannot be kept; give a number from 1 to {len(images)}."
        )
    order = selection.order_of(values, lowest)
    shown = order[:MOST_SHOWN]
    captions = [f"{place}: {values[place]:.3g}" for place in shown]
    sheet = charts.contact_sheet([images[place][..., :3] for place in shown], captions, title=f"Best of {len(images)}")
    report = {
        "best": order,
        "kept": order[:keep],
        "wanted": wanted,
        "images": [
            {"index": place, "score": value, "rank": order.index(place) + 1} for place, value in enumerate(values)
        ],
    }
    return Selected(
        to_image(images[order[:keep]]),
        values[order[0]],
        order[0],
        to_image(charts.to_tensor(sheet)),
        json.dumps(report, indent=1),
    )
