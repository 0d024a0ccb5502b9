"""What the nodes say about maps: scores with a chart, and decoded maps with masks and a legend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .. import charts, objects, recall
from ..noise import candidate_seed
from .factor import Factor
from .maps import class_index, classes_of, clean_pictures, describe, palette_of, read_maps, to_image

THINGS = range(91)
"""Labels of countable objects in the COCO palette; the rest is stuff (COCO ids 1..91 and 92..182)."""


@dataclass(frozen=True)
class MapScores:
    """Result of a best-of-N search: kept indices (best first), recall of the best, chart IMAGE, JSON text."""

    best: list[int]
    recall: float
    chart: torch.Tensor
    json: str


def score_maps(
    maps: torch.Tensor,
    query: objects.ObjectQuery,
    factor: Factor | None = None,
    *,
    seed: int | None = None,
    keep: int = 1,
    min_area: float = recall.RULE.min_area,
    erode: int = recall.RULE.erode,
) -> MapScores:
    """Object recall of an IMAGE batch of maps. See recall.py for when an object counts as present.

    Objects that ``factor`` cannot draw are left out and reported. Raises ObjectsError if none is
    left, NotAMapError for pictures that are no maps, ValueError if ``keep`` is out of range.
    """
    if not 1 <= keep <= len(maps):
        raise ValueError(f"keep: {keep} of {len(maps)} maps cannot be kept; give a number from 1 to {len(maps)}.")
    if factor is not None:
        query = objects.restrict(query, factor.info.classes)
    palette, rule = palette_of(factor), recall.PresenceRule(min_area=min_area, erode=erode)
    labels = read_maps(maps, factor).labels
    scores = recall.score(labels, query, rule, palette)
    seeds = None if seed is None else [candidate_seed(seed, index) for index in range(len(maps))]
    best = recall.best(scores, keep).tolist()
    chart = charts.score_chart(scores, query, maps.float().cpu(), seeds, title=f"Object recall: {query.text}")
    return MapScores(
        best=best,
        recall=float(scores.recall[best[0]]),
        chart=to_image(charts.to_tensor(chart)),
        json=_dumps(recall.to_json(scores, query, seeds, rule, palette)),
    )


def decode_map(
    maps: torch.Tensor, factor: Factor | None, class_name: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, str]:
    """Clean maps IMAGE, mask MASK (B, H, W) of the class (or of all things), legend IMAGE, JSON text."""
    palette = palette_of(factor)
    wanted = class_index(class_name, factor)
    reading = read_maps(maps, factor)
    labels = reading.labels
    mask = _mask(labels, THINGS if wanted is None else [wanted])
    report = {
        "palette": palette.name,
        "classes": classes_of(factor),
        "mask": "things" if wanted is None else palette.labels[wanted].name,
        "maps": describe(reading, palette),
    }
    legend = to_image(charts.to_tensor(charts.legend(labels, palette)))
    return clean_pictures(labels, palette), to_image(mask), legend, _dumps(report)


def _mask(labels: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    return torch.isin(labels, torch.tensor(list(classes))).float()


def _dumps(report: dict) -> str:
    return json.dumps(report, indent=1)
