"""Selector and judge side by side: what the map promised, and what the judge finds in the picture made from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import recall
from .choices import Pairs
from .judge import JudgeError, Judgement

MAX_REPORT = 8_000_000
UNKNOWN = "an unknown selector"
"""A selector whose report does not say what it is, such as Select Best by Scores."""


@dataclass(frozen=True)
class Choice:
    """One map as the selector scored it. held: by name of the object; None where the report does not say."""

    place: int
    seed: int | None
    recall: float
    held: dict[str, bool] | None


@dataclass(frozen=True)
class Selector:
    """What chose the maps, and one choice a picture."""

    instrument: str
    choices: tuple[Choice, ...]


def read_selector(text: str, pictures: int, pairs: Pairs = Pairs.BEST_FIRST) -> Selector:
    """The json of Best of N, Sample Maps or Judge Image, for a batch of so many pictures. JudgeError for anything else, and for
    a report of fewer maps."""
    where = "selector: "
    try:
        raw = json.loads(text) if len(text) <= MAX_REPORT else None
    except (ValueError, RecursionError):
        raw = None
    rows = raw.get("maps", raw.get("images")) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(rows, list) or not rows:
        raise JudgeError(f"{where}expected the json output of Best of N or Sample Maps; connect it, or nothing")
    order = raw.get("best", list(range(len(rows)))) if pairs is Pairs.BEST_FIRST else list(range(len(rows)))
    if not isinstance(order, list) or len(order) < pictures or not all(_is_place(one, rows) for one in order):
        raise JudgeError(
            f"{where}it scored {len(rows)} maps, but image has {pictures} pictures; connect the report of the maps that these "
            "pictures were made from"
        )
    return Selector(str(raw.get("instrument", UNKNOWN)), tuple(_choice(rows[k], k, where) for k in order[:pictures]))


def _choice(row: Any, place: int, where: str) -> Choice:
    value = row.get("recall", row.get("score")) if isinstance(row, dict) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise JudgeError(
            f"{where}map {place} has no recall from 0 to 1; connect the json output of Best of N or Sample Maps"
        )
    held = None
    if all(_are_names(row.get(key)) for key in ("present", "missing")):
        held = dict.fromkeys(row["present"], True) | dict.fromkeys(row["missing"], False)
    seed = row.get("seed")
    return Choice(place, seed if isinstance(seed, int) else None, float(value), held)


def _is_place(value: Any, rows: Sequence) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(rows)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def is_independent(judgement: Judgement, selector: Selector | None) -> bool | None:
    """Do selector and judge go by different names? If not, the judge's recall is no check on the choice. None: nothing is known
    of the selector."""
    if selector is None or selector.instrument == UNKNOWN:
        return None
    return selector.instrument != judgement.instrument


def report(judgement: Judgement, selector: Selector | None = None) -> dict[str, Any]:
    """Plain numbers, texts, lists and dicts, ready for ``json.dumps``. JudgeError if the selector's objects are none of the
    judge's."""
    scores, names = judgement.scores, judgement.query.names
    images: list[dict[str, Any]] = []
    for i in range(len(scores.recall)):
        there = dict(zip(names, scores.present[i].tolist(), strict=True))
        entry: dict[str, Any] = {
            "index": i,
            "recall": round(float(scores.recall[i]), 6),
            "present": [name for name in names if there[name]],
            "missing": [name for name in names if not there[name]],
            "areas": {name: round(float(a), 6) for name, a in zip(names, scores.area[i], strict=True)},
            "spurious": [judgement.query.palette.labels[c].name for c in scores.spurious_labels[i]],
        }
        if scores.regions is not None:
            entry["regions"] = {n: r for n, r in zip(names, scores.regions[i].tolist(), strict=True) if r >= 0}
        if selector is not None:
            entry["selector"] = _beside(selector.choices[i], there)
        images.append(entry)
    found: dict[str, Any] = {
        "instrument": judgement.instrument,
        "independent": is_independent(judgement, selector),
        "objects": list(names),
        "not_judged": [{"name": name, "why": why} for name, why in judgement.unknown],
        "held": judgement.held,
        "mean_recall": round(float(scores.recall.mean()), 6),
        "best": recall.ranking(scores),
        "images": images,
    }
    if selector is not None:
        means: dict[str, Any] = {"mean_recall": round(sum(c.recall for c in selector.choices) / len(images), 6)}
        same = [one["selector"]["recall_of_the_same"] for one in images]
        if all(one is not None for one in same):
            means["mean_recall_of_the_same"] = round(sum(same) / len(same), 6)
        found["selector"] = {"instrument": selector.instrument, **means}
    found["summary"] = summary(judgement, selector)
    return found


def _beside(choice: Choice, there: dict[str, bool]) -> dict[str, Any]:
    """recall_of_the_same: the map's recall over the objects that the judge knows as well."""
    entry: dict[str, Any] = {"map": choice.place, "seed": choice.seed, "recall": round(choice.recall, 6)}
    if choice.held is None:
        return {**entry, "recall_of_the_same": None}
    both = [name for name in there if name in choice.held]
    if not both:
        raise JudgeError(
            f"selector: it looked for {', '.join(choice.held) or 'nothing'}, the judge for {', '.join(there)}; connect the same "
            "objects to both"
        )
    held = choice.held
    return {
        **entry,
        "recall_of_the_same": round(sum(held[name] for name in both) / len(both), 6),
        "lost": [name for name in both if held[name] and not there[name]],
        "gained": [name for name in both if there[name] and not held[name]],
    }


def summary(judgement: Judgement, selector: Selector | None = None) -> str:
    """In one or two lines what the judge says, and how that stands to the selector."""
    scores = judgement.scores
    line = f"{judgement.instrument}: recall {float(scores.recall.mean()):.2f} of {', '.join(judgement.query.names)}"
    if judgement.unknown:
        line += f"; not judged: {', '.join(name for name, _ in judgement.unknown)}"
    if selector is not None:
        line += (
            f"; selector ({selector.instrument}): {sum(c.recall for c in selector.choices) / len(selector.choices):.2f}"
        )
    if is_independent(judgement, selector) is False:
        line += ". Selector and judge are the same, so this is no check on the choice: judge with another model"
    return line
