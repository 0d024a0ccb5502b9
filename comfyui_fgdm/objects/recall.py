"""Object recall of maps: which required objects are there, and which of N maps is best.

recall = |required and present| / |required| (FG-DM paper, section 4.2, which leaves the presence rule open).
A colour that only appears on blended edges is not an object, so presence asks for area after an erosion.

An object with a count ("three dogs") is one object of this sum, and is held when the map has at least that many connected
regions of it, each large enough by the same rule; two that touch are one region. One that is to be absent ("no cars",
"bald") is held where it is not present, and what it needs is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch

from ..maps.presence import RULE, PresenceRule, solid
from ..maps.regions import find_regions
from ..sampling import search
from ..sampling.noise import SEED_MODULUS
from .query import ObjectItem, ObjectQuery, ObjectsError, summary

MAPS = "colours of the maps"
"""What scores maps: no model, their colours are read as classes."""

HELD = (
    "an object is held if its area after the erosion is at least the least area; with a count, if at least so many connected "
    "regions are, each by that rule; one to be absent, if it is not there and what it needs is"
)


@dataclass(frozen=True)
class Scores:
    """Scores of B maps against K required objects.

    recall: float32 [B], 0..1. present: bool [B, K], is the object held as it is asked for. area: float32 [B, K], share of
    the map after erosion. spurious: int64 [B], number of classes that are present but not required (void never counts).
    spurious_labels: those classes, one tuple a map. regions: int64 [B, K], how many regions of an object there are, -1 where
    no count is asked for; None: for none. lacking: of each map, how many regions are too few; empty: none are.
    """

    recall: torch.Tensor
    present: torch.Tensor
    area: torch.Tensor
    spurious: torch.Tensor
    spurious_labels: tuple[tuple[int, ...], ...] = ()
    regions: torch.Tensor | None = None
    lacking: tuple[int, ...] = ()


def class_areas(labels: torch.Tensor, size: int, rule: PresenceRule = RULE) -> torch.Tensor:
    """Share of each of ``size`` classes after erosion: int [B, H, W] -> float32 [B, size]."""
    _check(labels)
    flat = torch.where(solid(labels.float(), rule.erode), labels.long(), size).flatten(1)
    counts = torch.stack([torch.bincount(row, minlength=size + 1)[:size] for row in flat])
    return counts.float() / flat.shape[1]


def presence(labels: torch.Tensor, query: ObjectQuery, rule: PresenceRule = RULE) -> tuple[torch.Tensor, torch.Tensor]:
    """Which items of the query are held by which map: int [B, H, W] -> (held bool [B, K], area float32 [B, K]).

    The mask of an item is the union of its label and the labels that count as well.
    """
    found = _presence(labels, query, rule)
    return found.held, found.area


class _Presence(NamedTuple):
    """classes: bool [B, palette], which are there at all. held, area, regions: as in ``Scores``."""

    classes: torch.Tensor
    held: torch.Tensor
    area: torch.Tensor
    regions: torch.Tensor | None


def _presence(labels: torch.Tensor, query: ObjectQuery, rule: PresenceRule) -> _Presence:
    areas = class_areas(labels, len(query.palette), rule)
    found = is_present(areas, rule)
    if not query.items:
        return _Presence(found, areas[:, :0] > 0, areas[:, :0], None)
    area = torch.stack([_area(labels, item, areas, rule) for item in query.items], 1)
    held = is_present(area, rule)
    regions = None
    for k, item in enumerate(query.items):
        if item.absent:
            there = found[:, list(item.needs)].any(1) if item.needs else torch.ones_like(held[:, k])
            held[:, k] = ~held[:, k] & there
        elif item.count > 1:
            if regions is None:
                regions = torch.full(held.shape, -1)
            regions[:, k] = torch.tensor([count_regions(one, item, rule) for one in labels])
            held[:, k] &= regions[:, k] >= item.count
    return _Presence(found, held, area, regions)


def _area(labels: torch.Tensor, item: ObjectItem, areas: torch.Tensor, rule: PresenceRule) -> torch.Tensor:
    if not item.also:
        return areas[:, item.label]
    mask = torch.isin(labels, torch.tensor((item.label, *item.also), device=labels.device))
    return (solid(mask.float(), rule.erode) & mask).flatten(1).float().mean(1)


def count_regions(labels: torch.Tensor, item: ObjectItem, rule: PresenceRule = RULE) -> int:
    """How many separate regions of an item are on one label map int [H, W]: those of ``find_regions``."""
    mask = torch.isin(labels, torch.tensor((item.label, *item.also), device=labels.device))
    return len(find_regions(mask.long(), [1], rule))


def score(labels: torch.Tensor, query: ObjectQuery, rule: PresenceRule = RULE) -> Scores:
    """Object recall of label maps int [B, H, W] in the palette of the query; ObjectsError if the query has no items."""
    if not query.items:
        raise ObjectsError("there are no objects to look for: recall needs at least one")
    found, held, area, regions = _presence(labels, query, rule)
    wanted = {label for item in query.items if not item.absent for label in (item.label, *item.also)} | {
        query.palette.void
    }
    wanted |= {label for item in query.items for label in item.needs}
    extra = tuple(tuple(c for c in row.nonzero().flatten().tolist() if c not in wanted) for row in found)
    return Scores(
        recall=held.float().mean(1),
        present=held,
        area=area,
        spurious=torch.tensor([len(row) for row in extra], dtype=torch.int64),
        spurious_labels=extra,
        regions=regions,
        lacking=_lacking(regions, query),
    )


def _lacking(regions: torch.Tensor | None, query: ObjectQuery) -> tuple[int, ...]:
    if regions is None:
        return ()
    counts = torch.tensor([item.count for item in query.items])
    return tuple(((counts - regions).clamp(min=0) * (regions >= 0)).sum(1).tolist())


def merits(scores: Scores) -> list[tuple[float, ...]]:
    """What each map is ranked by, larger is better: its recall; then fewer regions too few; then fewer spurious classes; then
    the larger smallest area among the objects that are present."""

    def of(i: int) -> tuple[float, ...]:
        areas = scores.area[i][scores.present[i] & (scores.area[i] > 0)]  # what is to be absent has none
        smallest = float(areas.min()) if len(areas) else 0.0
        lacking = scores.lacking[i] if scores.lacking else 0
        return float(scores.recall[i]), -float(lacking), -float(scores.spurious[i]), smallest

    return [of(i) for i in range(len(scores.recall))]


def ranking(scores: Scores) -> list[int]:
    """Map indices, best first by ``merits``; of equals the lower index first."""
    return search.ranked(dict(enumerate(merits(scores))))


def best(scores: Scores, k: int = 1) -> torch.Tensor:
    """Indices of the k best maps, best first, int64 [k]; ValueError unless 1 <= k <= number of maps."""
    count = len(scores.recall)
    if not 1 <= k <= count:
        raise ValueError(f"cannot keep {k} of {count} maps: keep 1..{count}")
    return torch.tensor(ranking(scores)[:k], dtype=torch.int64)


def missing(scores: Scores, query: ObjectQuery) -> list[list[str]]:
    """Of each map, the names of the objects that it does not hold."""
    return [
        [name for name, there in zip(query.names, row, strict=True) if not there] for row in scores.present.tolist()
    ]


def to_json(
    scores: Scores,
    query: ObjectQuery,
    seeds: Sequence[int] | None = None,
    rule: PresenceRule = RULE,
) -> dict:
    """Plain numbers, texts, lists and dicts, ready for ``json.dumps``.

    seeds: one a map, or None if unknown. ``best`` lists the map indices, best first; shares are of the map's area;
    ``recall_by_object`` says how many of the maps hold an object, 0..1.
    """
    count = len(scores.recall)
    if seeds is not None and len(seeds) != count:
        raise ValueError(f"{len(seeds)} seeds for {count} maps")
    order, lacks = ranking(scores), missing(scores, query)
    maps = []
    for i in range(count):
        there = scores.present[i].tolist()
        entry: dict = {
            "index": i,
            "seed": None if seeds is None else int(seeds[i]) % SEED_MODULUS,
            "recall": round(float(scores.recall[i]), 6),
            "rank": order.index(i) + 1,
            "present": [name for name, yes in zip(query.names, there, strict=True) if yes],
            "missing": lacks[i],
            "areas": {name: round(float(a), 6) for name, a in zip(query.names, scores.area[i], strict=True)},
            "spurious": [query.palette.labels[c].name for c in scores.spurious_labels[i]],
        }
        if scores.regions is not None:
            numbers = zip(query.names, scores.regions[i].tolist(), strict=True)
            entry["regions"] = {name: number for name, number in numbers if number >= 0}
        maps.append(entry)
    return {
        "objects": [_asked(item) for item in query.items],
        "instrument": MAPS,
        "held": HELD,
        "palette": query.palette.name,
        "summary": summary(query),
        "unmatched": list(query.unmatched),
        "excluded": [{"phrase": phrase, "why": why} for phrase, why in query.excluded],
        "rule": asdict(rule),
        "mean_recall": round(float(scores.recall.mean()), 6) if count else None,
        "best_recall": round(float(scores.recall.max()), 6) if count else None,
        "recall_by_object": {
            name: round(share, 6)
            for name, share in zip(query.names, scores.present.float().mean(0).tolist(), strict=True)
        },
        "best": order,
        "maps": maps,
    }


def _asked(item: ObjectItem) -> dict:
    entry: dict = {"phrase": item.phrase, "label": item.label, "name": item.name}
    if item.count > 1:
        entry["count"] = item.count
    if item.absent:
        entry["absent"] = True
    return entry


def _check(labels: torch.Tensor) -> None:
    if labels.ndim != 3 or labels.is_floating_point() or labels.numel() == 0:
        raise ValueError(f"expected label maps [B, H, W] of whole numbers, got {labels.dtype} {tuple(labels.shape)}")


def is_present(area: torch.Tensor, rule: PresenceRule = RULE) -> torch.Tensor:
    """Whether so large a share of a map, after the erosion, is enough."""
    return (area > 0) & (area >= rule.min_area)
