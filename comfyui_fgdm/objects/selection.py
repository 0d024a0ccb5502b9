"""Scores that come from anywhere, as one number a picture: lists, texts, tensors, and what detectors found."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .query import ObjectsError

_BETWEEN = re.compile(r"[\s,;]+")


def scores_of(value: Any, count: int, wanted: str = "") -> list[float]:
    """One finite number for each of ``count`` pictures; ValueError that says what is wrong.

    value: numbers (a list, a 1-D tensor, or a text of them: JSON, or separated by blanks and commas); the JSON of Best of N or
    of Sample Maps, whose recalls are taken; or the detections of core's detectors, for each picture a list of
    {"label": name, ...}. wanted: names, separated by commas, of what is to be detected; a score is the share that is.
    """
    given: Any = _plain(value)
    if isinstance(given, Mapping) and isinstance(given.get("maps"), list):
        given = [one.get("recall") if isinstance(one, Mapping) else one for one in given["maps"]]
    if _is_number(given) or isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ValueError(f"scores: {str(value)[:60]!r} is neither a list of numbers nor of detections.")
    if given and all(isinstance(one, Mapping) for one in given) and count == 1:
        given = [given]  # of a single picture
    if len(given) != count:
        raise ValueError(f"scores: there are {len(given)} scores for {count} pictures. Give one for each.")
    if all(isinstance(one, (Sequence, Mapping)) and not isinstance(one, str) for one in given):
        return [_found(one, _names(wanted)) for one in given]
    for place, one in enumerate(given):
        if not _is_number(one) or not math.isfinite(one):
            raise ValueError(f"scores: number {place} is {str(one)[:40]!r}, which is no finite number.")
    return [float(one) for one in given]


def order_of(scores: Sequence[float], lowest: bool = False) -> list[int]:
    """Places of the scores, best first; of equals the earlier first. lowest: small scores are the good ones."""
    return sorted(range(len(scores)), key=lambda place: (scores[place] if lowest else -scores[place], place))


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().flatten().tolist() if value.ndim else value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if not isinstance(value, str):
        return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
    text = value.strip()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        words = [word for word in _BETWEEN.split(text) if word]
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ValueError(f"scores: {text[:60]!r} is neither JSON nor numbers such as 0.5, 0.75.") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _names(wanted: str) -> list[str]:
    names = [name.strip().lower() for name in wanted.split(",") if name.strip()]
    if not names:
        raise ObjectsError("wanted: the scores are detections; name what is to be found, for example: dog, bicycle")
    return list(dict.fromkeys(names))


def _found(detections: Any, names: Sequence[str]) -> float:
    """Share of the names among the labels of one picture's detections."""
    single = [detections] if isinstance(detections, Mapping) else detections
    labels = {str(one.get("label", "")).strip().lower() for one in single if isinstance(one, Mapping)}
    return sum(name in labels for name in names) / len(names)
