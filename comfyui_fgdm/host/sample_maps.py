"""Sampling the maps of a prompt with a factor: a search over candidates, decoding, progress with previews."""

from __future__ import annotations

from dataclasses import dataclass

import comfy.model_management
import torch

from ..maps.presence import CELLS, RULE, PresenceRule
from ..maps.reader import Reader
from ..objects import recall, words
from ..sampling import colours
from ..sampling.search import FIRST, Enough, Pruning, Score, SearchPlan, Work, drive
from .candidates import CandidateSampler, SampleSettings, latent_shape, splits
from .models.apply import apply_factor, check_plain
from .models.factor import Factor
from .models.memory import check_room
from .progress import CandidateProgress
from .reading import scored_reader
from .usage import Evaluations, Usage

MAX_COUNT = 64
PRUNED_AT = 0.6
"""Share of the steps after which a batch is pruned; before half-way the prediction says little of the map."""
TRUSTED = 0.75
"""Share of the cells of finished maps that fitted colours must read as the decoder's pictures, else predictions are decoded."""


@dataclass(frozen=True)
class MapSettings:
    """What to sample: at most ``count`` maps of ``width`` x ``height`` pixels (0 = the factor's training size).

    stop_at: recall 0..1 at which the search ends; 0: all maps are sampled. prune: of the batches of a search, only the half
    that looks best half-way goes on. keep_on_interrupt: an interrupted search gives the best of its finished maps, if any.
    """

    count: int
    batch_size: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    width: int = 0
    height: int = 0
    stop_at: float = 0.0
    prune: bool = False
    keep_on_interrupt: bool = False


@dataclass(frozen=True)
class FoundMaps:
    """maps: IMAGE (B, H, W, 3) of the finished candidates, in the order of their seeds, which ``usage.finished`` numbers."""

    maps: torch.Tensor
    usage: Usage


def sample_maps(
    model, factor: Factor, positive, negative, vae, seed: int, settings: MapSettings, query: words.ObjectQuery
) -> FoundMaps:
    """Search for a map of the conditioning that holds the objects of the query; map k is that of ``seed + k``.

    Shows progress and, as maps appear, previews. Can be interrupted within a step.
    Raises ValueError that names the input and what to do.
    """
    check_plain(model, "Sample Maps")
    reader = scored_reader(factor, query)  # a factor of maps that cannot be scored is refused before any sampling
    query = words.restrict(query, factor.info.classes)
    for name, value in (("count", settings.count), ("batch_size", settings.batch_size)):
        if not 1 <= value <= MAX_COUNT:
            raise ValueError(f"{name}: {value} is out of range; give a number from 1 to {MAX_COUNT}.")
    plan, note = plan_of(settings)
    width = settings.width or factor.info.trained_size
    height = settings.height or factor.info.trained_size
    shape = latent_shape(model, vae, width, height)
    said = "width, height" if settings.width or settings.height else f"width, height (0: as {factor.name!r} says)"
    check_room(model, shape, settings.count, (width, height), said)
    mapped = apply_factor(model, factor)
    evaluations = Evaluations(mapped)

    progress = CandidateProgress(mapped, settings.count, settings.steps)
    sampling = SampleSettings(settings.steps, settings.cfg, settings.sampler, settings.scheduler, shape)
    sampler = CandidateSampler(mapped, positive, negative, seed, settings.batch_size, sampling, progress.step)
    run = _Run(plan, sampler, vae, reader, query, progress, settings.keep_on_interrupt)
    try:
        outcome = drive(plan, run.perform)
    except Enough as enough:  # nothing is finished
        raise run.interruption or enough from None
    order = sorted(outcome.scores)
    usage = Usage(
        budget=plan.budget,
        finished=tuple(order),
        dropped=tuple(sorted(outcome.dropped)),
        stop_at=plan.stop_at,
        met=outcome.met,
        interrupted=run.interruption is not None,
        evaluations=evaluations.count,
        note=note,
    )
    return FoundMaps(torch.stack([run.maps[one] for one in order]), usage)


def plan_of(settings: MapSettings) -> tuple[SearchPlan, str]:
    """The search that is asked for, and what of it cannot be done, in words."""
    cut, note, stop_at = None, "", settings.stop_at or None
    if settings.prune and stop_at is not None:
        step = max(1, round(PRUNED_AT * settings.steps))
        if not splits(settings.sampler):
            note = f"not pruned, since {settings.sampler} cannot be left half-way (ddim, euler, heun and dpm_2 can)"
        elif step < settings.steps:
            cut = Pruning(step)
    first = settings.batch_size if stop_at is None else FIRST
    return SearchPlan(settings.count, settings.steps, stop_at, first, settings.batch_size, cut), note


class _Run:
    """One search as it happens. maps: by candidate, those that are finished."""

    def __init__(
        self, plan: SearchPlan, sampler: CandidateSampler, vae, reader: Reader, query: words.ObjectQuery,
        progress: CandidateProgress, keep_on_interrupt: bool,
    ) -> None:  # fmt: skip
        self.plan, self.sampler, self.vae = plan, sampler, vae
        self.reader, self.query, self.progress = reader, query, progress
        self.stops = (comfy.model_management.InterruptProcessingException,) if keep_on_interrupt else ()
        self.interruption: BaseException | None = None
        self.maps: dict[int, torch.Tensor] = {}
        self._pictures: list[torch.Tensor] = []
        self._latents: list[torch.Tensor] = []
        self._parked = 0
        self._colours: tuple[int, colours.LatentColours | None] = (
            0,
            None,
        )  # and the number of batches that taught them

    def perform(self, work: Work) -> list[Score]:
        try:
            return self._scores(work)
        except self.stops as interruption:
            self.interruption = interruption
            raise Enough from None

    def _scores(self, work: Work) -> list[Score]:
        plan, found = self.plan, {}
        dropped = self._parked - len(work.candidates) if work.start else 0
        self.progress.passed(dropped * (plan.steps - work.start))
        self.progress.expect(work.stop - work.start)
        for part in self.sampler.run(work.candidates, work.start, work.stop):
            self.progress.passed(len(part.candidates) * (work.stop - work.start))
            if work.stop < plan.steps:
                found |= zip(part.candidates, self._predicted(part.latents))
                continue
            maps = self.vae.decode(part.latents)
            comfy.model_management.throw_exception_if_processing_interrupted()
            self._pictures.append(maps)
            self.maps |= zip(part.candidates, maps)
            found |= zip(part.candidates, self._merits(maps, RULE))
            self.progress.finished(self._pictures)
            if plan.pruning is not None:
                self._latents.append(part.latents.float().cpu())
        self._parked = len(work.candidates)
        return [found[one] for one in work.candidates]

    def _merits(self, pictures: torch.Tensor, rule: PresenceRule) -> list[Score]:
        labels = self.reader.read(pictures.to(device="cpu", dtype=torch.float32))
        return recall.merits(recall.score(labels, self.query, rule))

    def _predicted(self, latents: torch.Tensor) -> list[Score]:
        if self._latents and self._colours[0] != len(self._latents):
            self._colours = len(self._latents), self._fitted()
        if (fitted := self._colours[1]) is not None:
            return self._merits(fitted(latents.cpu()), CELLS)
        return self._merits(self.vae.decode(latents), RULE)

    def _fitted(self) -> colours.LatentColours | None:
        """The colours of latents, fitted to all finished maps; None where they do not read what the decoder shows."""
        known, maps = torch.cat(self._latents), torch.cat(self._pictures).float().cpu()
        fitted = colours.fit(known, maps)
        read, shown = (self.reader.read(one) for one in (fitted(known), colours.cells(maps, known)))
        return fitted if float((read == shown).float().mean()) >= TRUSTED else None
