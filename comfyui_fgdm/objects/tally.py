"""Recall over the maps of many captions, object by object: which objects, or attributes of faces, maps hold and which they lose
(the FG-DM paper shows such a histogram for attributes of faces, Fig. 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .query import ObjectQuery
from .recall import Scores

BINS = 10
"""Of the recall of maps, each a tenth wide; the last one takes 1 as well."""


@dataclass(frozen=True)
class Counted:
    """Of one object: in how many maps it was asked for, and how many of these hold it."""

    asked: int
    held: int

    @property
    def recall(self) -> float:
        return self.held / self.asked


@dataclass(frozen=True)
class Tally:
    """objects: by the name of the object, those asked for most often first; of equals in the order of the alphabet. recalls: of
    each map whose caption names an object, 0..1. without: how many maps have a caption that names none."""

    objects: Mapping[str, Counted]
    recalls: tuple[float, ...]
    without: int = 0

    @property
    def recall(self) -> float:
        """Mean recall of the maps, which weighs each map alike; 0 without any."""
        return float(np.mean(self.recalls)) if self.recalls else 0.0

    @property
    def bins(self) -> list[int]:
        """How many maps have a recall in each of ``BINS`` parts of 0..1."""
        places = np.minimum((np.array(self.recalls) * BINS + 1e-6).astype(int), BINS - 1)
        return np.bincount(places, minlength=BINS).tolist()

    def to_json(self) -> dict:
        """Plain numbers and texts, ready for ``json.dumps``."""
        return {
            "maps": len(self.recalls),
            "maps_without_objects": self.without,
            "recall": round(self.recall, 6),
            "objects": {
                name: {"asked": one.asked, "held": one.held, "recall": round(one.recall, 6)}
                for name, one in self.objects.items()
            },
            "histogram": self.bins,
        }


def tally(scored: Iterable[tuple[Scores | None, ObjectQuery]]) -> Tally:
    """Of batches of maps with what was asked of each; None stands for a map whose caption names no object.

    An object with a count ("three dogs") is counted under its name, and held where so many are; an attribute by absence
    ("bald") under its own name.
    """
    found: dict[str, list[int]] = {}
    recalls: list[float] = []
    without = 0
    for scores, query in scored:
        if scores is None:
            without += 1
            continue
        recalls += scores.recall.tolist()
        for name, held in zip(query.names, scores.present.T.tolist(), strict=True):
            numbers = found.setdefault(name, [0, 0])
            numbers[0] += len(held)
            numbers[1] += sum(held)
    order = sorted(found, key=lambda name: (-found[name][0], name))
    return Tally({name: Counted(*found[name]) for name in order}, tuple(recalls), without)
