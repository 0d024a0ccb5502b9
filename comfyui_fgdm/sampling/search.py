"""Search for the best of N candidates: whom to run, how far, and when it is enough. Knows no models and no pictures.

A search is a generator: it yields what is to be done next, is sent the scores of that, and returns the outcome. Whoever
drives it samples and scores, so a host's own samplers can, and a test can with a table of numbers.

Two savings over running all N (best of N, "sampling by prompt compliance" of the FG-DM paper, section 3.4):
early stop    candidates are run in growing batches, and none after the batch in which one meets the threshold;
pruning       of a batch that has come so far, only the candidates whose predicted result scores best go on
              (one rung of successive halving).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Score = tuple[float, ...]
"""Of a candidate: recall 0..1, then what decides between equals. Larger is better; between equals the earlier candidate."""

FIRST = 1
"""Candidates of the first batch. Where seven of ten maps hold everything, one at first costs the least; and where the first
does not, the batches grow fast enough."""


class Work(NamedTuple):
    """Run these candidates from where they are after ``start`` steps to after ``stop`` steps, and score what they show
    then: the result, or before the last step what the model predicts it to be."""

    candidates: tuple[int, ...]
    start: int
    stop: int


class Enough(Exception):
    """Thrown into a search: no more work; it returns what it has, or raises this where nothing is finished."""


@dataclass(frozen=True)
class Pruning:
    """After ``step`` steps the best ``keep`` (0..1, rounded up) of a batch go on. Batches of fewer than ``least`` are
    not pruned: of two, the one that is behind is too often the one that wins."""

    step: int
    keep: float = 0.5
    least: int = 3


@dataclass(frozen=True)
class SearchPlan:
    """budget: candidates at most. steps: of a whole candidate. stop_at: recall 0..1 at which to stop; None: run them all.
    first, most: sizes of the first batch and of the largest; each is twice as large as the one before.

    ValueError that names the field for values out of range.
    """

    budget: int
    steps: int
    stop_at: float | None = 1.0
    first: int = FIRST
    most: int = 4
    pruning: Pruning | None = None

    def __post_init__(self) -> None:
        for name, value in (("budget", self.budget), ("steps", self.steps), ("first", self.first), ("most", self.most)):
            if value < 1:
                raise ValueError(f"{name}: {value} is out of range; give 1 or more.")
        if self.stop_at is not None and not 0.0 <= self.stop_at <= 1.0:
            raise ValueError(f"stop_at: {self.stop_at} is no recall; give a number from 0 to 1.")
        if (cut := self.pruning) is not None:
            if not 1 <= cut.step < self.steps:
                raise ValueError(
                    f"pruning: step {cut.step} is not within {self.steps} steps; give 1..{self.steps - 1}."
                )
            if not 0.0 < cut.keep <= 1.0:
                raise ValueError(f"pruning: a share of {cut.keep} cannot be kept; give a number above 0, at most 1.")


@dataclass
class Outcome:
    """scores: of the finished candidates. dropped: those that were pruned. met: one of the finished meets the threshold.
    steps: sampling steps of single candidates. predictions: candidates that were scored before their last step."""

    scores: dict[int, Score] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()
    met: bool = False
    steps: int = 0
    predictions: int = 0

    @property
    def best(self) -> int:
        """The finished candidate of the highest score; between equals the earliest."""
        return ranked(self.scores)[0]


def ranked(scores: Mapping[int, Score]) -> list[int]:
    """Candidates by falling score; equals in the order of their numbers."""
    return sorted(scores, key=lambda one: (tuple(-value for value in scores[one]), one))


def batches(plan: SearchPlan) -> Iterator[tuple[int, ...]]:
    """The candidates 0 .. budget - 1 in batches of the plan's sizes."""
    start, size = 0, min(plan.first, plan.most)
    while start < plan.budget:
        stop = min(start + size, plan.budget)
        yield tuple(range(start, stop))
        start, size = stop, min(2 * size, plan.most)


def search(plan: SearchPlan) -> Generator[Work, Sequence[Score], Outcome]:
    """Send one score for each candidate of the work, in its order. ``Enough`` may be thrown in at any time."""
    done = Outcome()
    try:
        for batch in batches(plan):
            start, cut = 0, plan.pruning
            if cut is not None and len(batch) >= cut.least:
                found = yield from _ask(Work(batch, 0, cut.step), done)
                done.predictions += len(batch)
                kept = ranked(found)[: math.ceil(cut.keep * len(batch))]
                done.dropped += tuple(one for one in batch if one not in kept)
                start, batch = cut.step, tuple(sorted(kept))
            found = yield from _ask(Work(batch, start, plan.steps), done)
            done.scores |= found
            if plan.stop_at is not None and any(score[0] >= plan.stop_at for score in found.values()):
                done.met = True
                break
    except Enough:
        if not done.scores:
            raise
    return done


def _ask(work: Work, done: Outcome) -> Generator[Work, Sequence[Score], dict[int, Score]]:
    scores = yield work
    if len(scores) != len(work.candidates):
        raise ValueError(f"{len(scores)} scores were sent for {len(work.candidates)} candidates")
    done.steps += len(work.candidates) * (work.stop - work.start)
    return dict(zip(work.candidates, map(tuple, scores), strict=True))


def drive(plan: SearchPlan, perform: Callable[[Work], Sequence[Score]]) -> Outcome:
    """Run a search to its end; ``perform`` does the work and may raise ``Enough``."""
    steps = search(plan)
    try:
        work = next(steps)
        while True:
            try:
                scores = perform(work)
            except Enough as enough:
                work = steps.throw(enough)
            else:
                work = steps.send(scores)
    except StopIteration as end:
        return end.value
