"""Choosing one of several candidate maps: by number, or the best by recall; with thumbnails for the filmstrip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..objects import recall
from ..objects.words import ObjectQuery, restrict
from . import indexed, own
from .models.factor import Factor
from .reading import pictures_of, read_maps, scored_reader

SIDE = 192
"""Longest side in pixels of a thumbnail; smaller maps stay as they are."""


@dataclass(frozen=True)
class Choice:
    """map IMAGE (1, H, W, 3), its place in the batch from 0, its recall (0 without objects), and the entry for the filmstrip."""

    map: torch.Tensor
    index: int
    recall: float
    entry: dict


def choose(maps: torch.Tensor, choice: int, objects: ObjectQuery | None = None, factor: Factor | None = None) -> Choice:
    """The ``choice``-th map of an IMAGE batch, from 1; 0: the best by recall, or the first without objects.

    entry: {"thumbs": one picture a map, "recall": a number a map or null, "missing": names of missing objects a map, "order": places
    from 0, best first, "chosen": place, "choice": as given}. ValueError for a number that is none of them.
    """
    if not 0 <= choice <= len(maps):
        raise ValueError(
            f"choice: there is no map {choice}: {len(maps)} came in. Give 1 to {len(maps)}, or 0 for the best."
        )
    order = list(range(len(maps)))
    found: list[float] | None = None
    missing: list[list[str]] = [[] for _ in order]
    if objects is not None:
        if factor is not None:
            objects = restrict(objects, factor.info.classes)
        labels = read_maps(maps, scored_reader(factor, objects), others=own.library().all).labels
        scores = recall.score(labels, objects)
        order = recall.ranking(scores)
        found = [round(float(one), 6) for one in scores.recall]
        missing = recall.missing(scores, objects)
    index = order[0] if choice == 0 else choice - 1
    entry = {
        "thumbs": [indexed.show(_thumbnail(one)) for one in pictures_of(maps[..., :3])],
        "recall": found,
        "missing": missing,
        "order": order,
        "chosen": index,
        "choice": choice,
    }
    return Choice(maps[index : index + 1], index, 0.0 if found is None else found[index], entry)


def _thumbnail(picture: torch.Tensor) -> np.ndarray:
    """A picture float32 [H, W, 3] as uint8, no larger than ``SIDE``; its colours are not blended."""
    image = Image.fromarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    factor = max(1.0, max(image.size) / SIDE)
    size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))
