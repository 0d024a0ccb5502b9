"""Ways to an image that holds what the prompt asks for, side by side: what they cost and what an independent judge sees.

All ways of a prompt start from the same seeds. Whoever selects is never the judge: maps are chosen by what they show, images
of the plain base by the `selector`, a segmenter trained apart from the `judge`. One prompt is one row of plain numbers; from
the scores in it any other plan of a search can be replayed exactly, since a candidate is the same in every plan.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ...maps import palettes
from ...maps.cleaning import clean
from ...maps.presence import CELLS
from ...objects import recall
from ...objects.subjects import subjects_of
from ...sampling import colours
from ...sampling.attention_maps import combined_cross
from ...sampling.ddim import ddim
from ...sampling.excite import Excitement, excited
from ...sampling.search import Outcome, Pruning, Score, SearchPlan, Work, batches, drive, ranked
from ...training.attention import AttentionMaps
from ..family import export, judge, shipped, text
from ..family.sample import base_velocity, encode
from .evaluate import Prompt
from .measuring import IMAGE_CFG, IMAGE_STEPS, MAP_CFG, MAP_STEPS, draw_images, start_noise

CANDIDATES = 10
DEFAULT = SearchPlan(CANDIDATES, MAP_STEPS, pruning=Pruning(6))
"""As the node Sample Maps searches by default."""
ALL = SearchPlan(CANDIDATES, MAP_STEPS, stop_at=None)
ONE, TEN, EXCITED = "base, one image", "base, best of ten images", "base with Attend-and-Excite"
MAP_ONE, MAP_TEN, SEARCH = "FG-DM, one map", "FG-DM, best of ten maps", "FG-DM, search"
PRUNED_AT = (5, 6, 7, 8)
"""Steps after which predictions of all candidates are read and recorded."""
EXCITEMENT = Excitement(size=0.5, targets=())
"""The best of the sizes 0.5, 1, 2, 5 and 20 (as published, with the further moves of its targets) on ten prompts that are not
measured; at the published size its images hold less than without it."""
SIDE = 8  # cells of the attention that is excited


@dataclass
class Cost:
    """Of a way: evaluations of the UNet for one picture (with guidance two a step), of them gradients, evaluations of an
    image factor, pictures decoded, pictures read by a segmenter, and processor seconds of one thread."""

    unet: int = 0
    gradients: int = 0
    control: int = 0
    decodes: int = 0
    reads: int = 0
    seconds: float = 0.0


class Kit:
    """The shipped family with its judges, and counters on its networks."""

    def __init__(self) -> None:
        files = export.files()
        self.family = shipped.load(root=export.WEIGHTS)
        self.family.base.requires_grad_(False)
        self.judge, self.selector = (judge.load(files.reader(name)) for name in ("judge", "selector"))
        self.classes = self.family.factors["segmentation"].info.classes
        self.factor = self.family.map("segmentation")
        self.now: Cost | None = None
        self.family.base.unet.register_forward_hook(lambda _, given, __: self._count("unet", len(given[0])))
        for net in self.family.controls.values():
            net.register_forward_hook(lambda _, given, __: self._count("control", len(given[0])))
        self.family.decoder.register_forward_hook(lambda _, given, __: self._count("decodes", len(given[0])))

    def _count(self, what: str, number: int) -> None:
        if self.now is not None:
            setattr(self.now, what, getattr(self.now, what) + number)

    @contextmanager
    def counting(self, cost: Cost) -> Iterator[None]:
        self.now, start = cost, time.process_time()
        try:
            yield
        finally:
            cost.seconds += time.process_time() - start
            self.now = None

    def sample(self, noise: Tensor, prompt: str, start: int = 0, stop: int = MAP_STEPS):
        """(x, x0) of maps after ``stop`` steps."""
        context, empty = (c.expand(len(noise), -1, -1) for c in encode(self.family.base, [prompt]))
        *_, last = ddim(self.factor, noise, context, empty, MAP_STEPS, MAP_CFG, start, stop)
        return last.x, last.x0

    def labels(self, maps: Tensor) -> Tensor:
        return palettes.decode(maps, palettes.COCO, self.classes)


@dataclass(frozen=True)
class Candidates:
    """All ten maps of a prompt. labels: B x H x W. final, predicted: what they score; predicted by the step after which it
    was read, by colours that the first batch taught. costs: of each batch of the search."""

    labels: Tensor
    final: list[Score]
    predicted: dict[int, list[Score]]
    costs: list[Cost]


@torch.no_grad()
def all_candidates(kit: Kit, prompt: Prompt, noise: Tensor) -> Candidates:
    """Every candidate to the end, in the batches of ``DEFAULT``: a search that stops early has run the first of them, and
    nothing else. Predictions are read outside the cost."""
    labels, maps, ends, costs = [], [], [], []
    seen: dict[int, list[Tensor]] = {step: [] for step in PRUNED_AT}
    for batch in batches(DEFAULT):
        x, at, cost = noise[list(batch)], 0, Cost()
        for step in (*PRUNED_AT, MAP_STEPS):
            with kit.counting(cost):
                x, x0 = kit.sample(x, prompt.text, at, step)
            at = step
            if step < MAP_STEPS:
                seen[step].append(x0)
        with kit.counting(cost):
            maps.append(kit.family.decode(x))
            labels.append(kit.labels(maps[-1]))
            recall.score(labels[-1], prompt.query)
        ends.append(x)
        costs.append(cost)
    reader = colours.fit(torch.cat(ends[:2]), torch.cat(maps[:2]))
    predicted = {
        step: recall.merits(recall.score(kit.labels(reader(torch.cat(parts))), prompt.query, CELLS))
        for step, parts in seen.items()
    }
    whole = torch.cat(labels)
    return Candidates(whole, recall.merits(recall.score(whole, prompt.query)), predicted, costs)


def _share(cost: Cost, batch: Sequence[int], outcome: Outcome) -> Cost:
    """Of a whole batch's cost, that of the search in which some of it were pruned; the seconds by the steps."""
    kept, cut = sum(one in outcome.scores for one in batch), DEFAULT.pruning
    steps = kept * MAP_STEPS + (len(batch) - kept) * (cut.step if cut else 0)
    part = steps / (len(batch) * MAP_STEPS)
    return Cost(unet=round(part * cost.unet), decodes=kept, seconds=part * cost.seconds)


def image_of(kit: Kit, labels: Tensor, prompt: Prompt, noise: Tensor) -> tuple[Tensor, Cost]:
    """The image of a map 1 x H x W, cleaned as the workflow does."""
    cost = Cost()
    with kit.counting(cost):
        hint = palettes.encode(clean(labels, palettes.COCO.void))
        image = draw_images(kit.family, kit.family.image({"segmentation": hint}), noise[:1], prompt.text)
    return image, cost


def excited_image(kit: Kit, prompt: Prompt, noise: Tensor, how: Excitement = EXCITEMENT) -> tuple[Tensor, Cost]:
    """One image of the base with Attend-and-Excite. noise: 1 x C x h x w."""
    cost = Cost()
    named = subjects_of(prompt.text, lambda word: len(text.words_of(word)))
    with kit.counting(cost):
        context, empty = encode(kit.family.base, [prompt.text])

        def before(step: int, now: int, x: Tensor) -> Tensor:
            def attend(x: Tensor) -> Tensor:
                cost.gradients += 1
                maps = AttentionMaps()
                kit.family.base.unet(x, torch.full((1,), now), context, store=maps)
                return combined_cross(maps.cross, SIDE)

            return excited(x, attend, named.tokens, named.length, step, IMAGE_STEPS, how)

        *_, last = ddim(base_velocity(kit.family.base), noise, context, empty, IMAGE_STEPS, IMAGE_CFG, before=before)
        image = kit.family.decode(last.x)
    return image, cost


def measure_excited(kit: Kit, prompt: Prompt, side: int) -> dict:
    """A row of Attend-and-Excite alone, which takes as long as ten images."""
    image, cost = excited_image(kit, prompt, start_noise(kit.family, prompt.seed, 1, side))
    scores = recall.score(kit.judge(image), prompt.query)
    return {"ways": {EXCITED: {"recall": float(scores.recall[0]), "map": None, **vars(cost)}}}


def measure(kit: Kit, prompt: Prompt, side: int) -> dict:
    """One row: for each way its recall by the judge, that of its map, and its cost; and the scores of all candidates."""
    noise = start_noise(kit.family, prompt.seed, CANDIDATES, side)
    row: dict = {"prompt": prompt.text, "objects": len(prompt.named), "ways": {}}

    def scored(labels: Tensor) -> list[Score]:
        return recall.merits(recall.score(labels, prompt.query))

    def add(name: str, image: Tensor, costs: Sequence[Cost], of_map: float | None = None) -> None:
        total = {field: sum(getattr(cost, field) for cost in costs) for field in vars(Cost())}
        row["ways"][name] = {"recall": scored(kit.judge(image))[0][0], "map": of_map, **total}

    plain, images, costs = base_velocity(kit.family.base), [], []
    for part in noise.split([1, 4, 4, 1]):
        costs.append(Cost())
        with kit.counting(costs[-1]):
            images.append(draw_images(kit.family, plain, part, prompt.text))
    add(ONE, images[0], costs[:1])
    reading = Cost()
    with kit.counting(reading):
        chosen = ranked(dict(enumerate(scored(kit.selector(torch.cat(images))))))[0]
    reading.reads = CANDIDATES
    add(TEN, torch.cat(images)[chosen : chosen + 1], [*costs, reading])
    row["base, any of ten"] = sum(score[0] for score in scored(kit.judge(torch.cat(images)))) / CANDIDATES

    maps = all_candidates(kit, prompt, noise)
    row["final"], row["predicted"] = maps.final, maps.predicted
    row["map_costs"] = [vars(cost) for cost in maps.costs]
    outcome = replay(row, DEFAULT)
    ran = [
        _share(cost, batch, outcome)
        for cost, batch in zip(maps.costs, batches(DEFAULT), strict=True)
        if {*batch} & {*outcome.scores}
    ]
    made: dict[int, tuple[Tensor, Cost]] = {}
    for name, chosen, costs in (
        (MAP_ONE, 0, []),
        (MAP_TEN, replay(row, ALL).best, maps.costs),
        (SEARCH, outcome.best, ran),
    ):
        if chosen not in made:
            made[chosen] = image_of(kit, maps.labels[chosen : chosen + 1], prompt, noise)
        first = [Cost(unet=2 * MAP_STEPS, decodes=1, seconds=maps.costs[0].seconds)] if name == MAP_ONE else costs
        add(name, made[chosen][0], [*first, made[chosen][1]], maps.final[chosen][0])
    return row


def replay(row: dict, plan: SearchPlan) -> Outcome:
    """The outcome of another plan on the recorded candidates of a prompt: exact, since a candidate is the same in all."""

    def perform(work: Work) -> list[Score]:
        predicted = {int(step): scores for step, scores in row["predicted"].items()}
        table = row["final"] if work.stop == plan.steps else predicted[work.stop]
        return [tuple(table[one]) for one in work.candidates]

    return drive(plan, perform)


def searched(plan: SearchPlan, scores: Sequence[Score]) -> Outcome:
    """The outcome of a plan that stops early, but predicts nothing, on candidates whose scores are known."""
    return drive(plan, lambda work: [scores[one] for one in work.candidates])


PLANS = {
    "all ten": ALL,
    "stop at a map with everything, one at a time": SearchPlan(CANDIDATES, MAP_STEPS, most=1),
    "the same in batches of 1, 2, 4, 3": SearchPlan(CANDIDATES, MAP_STEPS),
    "the same in batches of 2, 4, 4": SearchPlan(CANDIDATES, MAP_STEPS, first=2),
    "the same in batches of 4, 4, 2": SearchPlan(CANDIDATES, MAP_STEPS, first=4),
} | {
    f"batches of 1, 2, 4, 3, half of the last two pruned after {step} steps": SearchPlan(
        CANDIDATES, MAP_STEPS, pruning=Pruning(step)
    )
    for step in PRUNED_AT
} | {
    f"all ten for {step} steps, the {kept} best go on": SearchPlan(
        CANDIDATES, MAP_STEPS, None, CANDIDATES, CANDIDATES, Pruning(step, kept / CANDIDATES)
    )
    for step, kept in ((5, 3), (6, 3), (6, 5), (7, 3), (7, 5))
}  # fmt: skip
