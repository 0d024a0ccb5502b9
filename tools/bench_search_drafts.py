"""Drafts under core's EasyCache, the idea of CachedSearch: candidates are drawn while most evaluations of the UNet are left
out, the best draft is chosen, and its seed is then drawn in full. For pictures of the plain base, and for maps.

The host itself draws: its nodes, its sampler, its cache. A draft starts from the noise that the same candidate of
`make bench-search` starts from, so that the rows of both can be put side by side.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from comfyui_fgdm.iconworld.family import export, judge
from comfyui_fgdm.iconworld.measure import evaluate_search as ways
from comfyui_fgdm.iconworld.measure.evaluate import Prompt
from comfyui_fgdm.iconworld.measure.measuring import IMAGE_CFG, IMAGE_STEPS, MAP_CFG, MAP_STEPS, interval
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import recall
from comfyui_fgdm.sampling.search import Score, SearchPlan, ranked
from tools.bench import Table
from tools.bench_search_cost import Flops
from tools.inprocess import InProcessHost, boot, embedded
from tools.server import CACHE

DRAFTS = "base, ten drafts, the best in full"
THRESHOLDS = {"images": 0.5, "maps": 0.5}
"""Of EasyCache's reuse. See docs/evidence.md for how they were chosen."""
SIDE = 128  # pixels


@dataclass
class Drawn:
    """A picture 1 x H x W x 3 of the host, and for how many pictures its UNet was evaluated."""

    picture: Tensor
    evaluations: int


class Drafter:
    """The embedded family in a host of this process, with and without EasyCache."""

    def __init__(self, host: InProcessHost, thresholds: dict[str, float] = THRESHOLDS) -> None:
        self.host = host
        family = embedded(host)
        self.model, self.clip, self.vae, self.mapped = family.model, family.clip, family.vae, family.mapped
        self.classes = family.factor.info.classes
        self.cached_image = self._cached(self.model, thresholds["images"])
        self.cached_map = self._cached(self.mapped, thresholds["maps"])
        files = export.files()
        self.judge, self.selector = (judge.load(files.reader(name)) for name in ("judge", "selector"))
        self.evaluations = 0
        self.model.model.diffusion_model.out.register_forward_hook(self._count)

    def _cached(self, model, threshold: float):
        return self.host.call(
            "EasyCache", model=model, reuse_threshold=threshold, start_percent=0.15, end_percent=0.95, verbose=False
        )[0]

    def _count(self, _, given, out) -> None:
        self.evaluations += len(out)

    def image(self, prompt: Prompt, candidate: int, cached: bool) -> Drawn:
        return self._draw(self.cached_image if cached else self.model, prompt, candidate, IMAGE_STEPS, IMAGE_CFG)

    def map(self, prompt: Prompt, candidate: int, cached: bool) -> Drawn:
        return self._draw(self.cached_map if cached else self.mapped, prompt, candidate, MAP_STEPS, MAP_CFG)

    def labels(self, maps: Tensor) -> Tensor:
        return palettes.decode(maps, palettes.COCO, self.classes)

    def _draw(self, model, prompt: Prompt, candidate: int, steps: int, cfg: float) -> Drawn:
        call, before = self.host.call, self.evaluations
        positive, negative = (call("CLIPTextEncode", clip=self.clip, text=text)[0] for text in (prompt.text, ""))
        (latent,) = call("EmptyLatentImage", width=SIDE, height=SIDE, batch_size=1)
        (latent,) = call(
            "KSampler", model=model, seed=prompt.seed + candidate, steps=steps, cfg=cfg, sampler_name="ddim",
            scheduler="sgm_uniform", positive=positive, negative=negative, latent_image=latent, denoise=1.0,
        )  # fmt: skip
        (picture,) = call("VAEDecode", samples=latent, vae=self.vae)
        return Drawn(picture.clone().float(), self.evaluations - before)


@contextmanager
def drafter() -> Iterator[Drafter]:
    """In a host of this process, with a folder of its own."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="drafts-", dir=CACHE) as folder:
        made = Drafter(boot(Path(folder)))
        logging.getLogger().setLevel(logging.WARNING)  # the cache says of every picture what it left out
        yield made


@torch.no_grad()
def measure_drafts(drafter: Drafter, prompt: Prompt) -> dict:
    """A row: what the judge finds in the image of the best of ten drafts, drawn in full; and of all ten drafts of maps what
    they score and how many evaluations they took."""

    def scored(labels: Tensor) -> list[Score]:
        return recall.merits(recall.score(labels, prompt.query))

    start = time.process_time()
    drafts = [drafter.image(prompt, candidate, True) for candidate in range(ways.CANDIDATES)]
    read = scored(drafter.selector(torch.cat([one.picture for one in drafts])))
    best = ranked(dict(enumerate(read)))[0]
    final = drafter.image(prompt, best, False)
    cost = ways.Cost(
        unet=sum(one.evaluations for one in (*drafts, final)),
        decodes=ways.CANDIDATES + 1,
        reads=ways.CANDIDATES,
        seconds=time.process_time() - start,
    )
    maps = [drafter.map(prompt, candidate, True) for candidate in range(ways.CANDIDATES)]
    return {
        "ways": {DRAFTS: {"recall": scored(drafter.judge(final.picture))[0][0], "map": None, **vars(cost)}},
        "draft_recall": scored(drafter.judge(drafts[best].picture))[0][0],
        "image_evaluations": [one.evaluations for one in drafts],
        "maps": scored(drafter.labels(torch.cat([one.picture for one in maps]))),
        "map_evaluations": [one.evaluations for one in maps],
    }


def cost_of(rows: Mapping[int, dict], counted: Flops) -> float:
    """TFLOP of ``DRAFTS`` at the size of Stable Diffusion 1.5, with the share of evaluations that was left out here."""
    share = np.mean([np.mean(row["image_evaluations"]) for row in rows.values()]) / (2 * IMAGE_STEPS)
    return 11 * counted.image - 10 * (1 - float(share)) * (counted.image - counted.decode_512)


def table(drafts: Mapping[int, dict], rows: Mapping[int, dict], counted: Flops, shown) -> Table:
    """Drafts of maps beside maps in full, on the same candidates. shown: writes an interval."""
    both = [(drafts[number], rows[number]) for number in drafts if number in rows]
    found = Table(
        f"maps, {len(both)} prompts",
        "recall of the map",
        "minus the search",
        "UNet evaluations",
        "of an image at SD 1.5 size",
    )
    plan, full = SearchPlan(ways.CANDIDATES, MAP_STEPS), 2 * MAP_STEPS
    results: dict[str, list[tuple[float, float, int]]] = {}  # recall, evaluations, decodes

    def add(name: str, recall_of: Score | list, evaluations: float, decodes: int) -> None:
        results.setdefault(name, []).append((recall_of[0], evaluations, decodes))

    for draft, row in both:
        outcome = ways.replay(row, ways.DEFAULT)
        add("search, maps in full", outcome.scores[outcome.best], 2 * outcome.steps, len(outcome.scores))
        add("all ten in full", max(map(tuple, row["final"])), full * ways.CANDIDATES, ways.CANDIDATES)
        scores, evaluations = [tuple(one) for one in draft["maps"]], draft["map_evaluations"]
        every = range(ways.CANDIDATES)
        stopped = ways.searched(plan, scores)
        for name, best, drawn in (
            ("ten drafts, the best", ranked(dict(enumerate(scores)))[0], every),
            ("search of drafts, the best", stopped.best, stopped.scores),
        ):
            spent = sum(evaluations[one] for one in drawn)
            add(f"{name} as it is", scores[best], spent, len(drawn))
            add(f"{name} in full", row["final"][best], spent + full, len(drawn) + 1)
    base = np.array([one[0] for one in results["search, maps in full"]])
    for name, each in results.items():
        recalls, evaluations, decodes = (np.array(values) for values in zip(*each, strict=True))
        cost = evaluations.mean() * counted.factor_256 + decodes.mean() * counted.decode_256
        less = "" if name == "search, maps in full" else shown(interval(recalls - base), "+")
        found.add(
            name, shown(interval(recalls)), less, f"{evaluations.mean():.1f}", f"{cost / counted.image_of_map:.2f}"
        )
    return found
