"""`python -m tools.measure_resampling`: does it pay to resample candidates while they are sampled (Feynman-Kac steering)?

Singhal et al. (arXiv 2501.06848): particles are sampled by a stochastic sampler; at some steps each is weighed by what the model
predicts it to become, and as many are drawn anew, so that good ones are copied and bad ones vanish. Here a weight is
exp(LAMBDA x the best recall that a particle's predictions have had), the "max" potential of the paper; predictions are
decoded, which is read best and is not counted as a cost. Of the embedded family, beside as many maps without resampling, of
the same sampler and of the deterministic one that a search uses. Every prompt is a line of runs/resampling/TASK.jsonl.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comfyui_fgdm.iconworld.family.sample import encode
from comfyui_fgdm.iconworld.measure import evaluate, evaluate_search
from comfyui_fgdm.iconworld.measure.measuring import MAP_CFG, MAP_STEPS, interval, start_noise
from comfyui_fgdm.objects import recall, words
from comfyui_fgdm.objects.query import ObjectQuery
from comfyui_fgdm.objects.sentence import Reading
from comfyui_fgdm.sampling import schedule
from comfyui_fgdm.sampling.ddim import Velocity, timesteps
from comfyui_fgdm.sampling.search import SearchPlan
from tools.server import ROOT

HELD_OUT = 240  # prompts that there are
SIDE = 16  # of the latents
LAMBDA = 10.0  # as published
RESAMPLED_AT = (4, 5, 6, 7, 8)  # of ten steps
ROWS = ROOT / "runs" / "resampling"
RUN_SEED = 5
"""Above that of a prompt's first candidate: of the noise that is added in its steps."""


@dataclass(frozen=True)
class Stochastic:
    """eta: DDIM's, 0 deterministic, 1 as DDPM. particles: of a batch."""

    eta: float
    particles: int


@torch.no_grad()
def noisy_ddim(
    velocity: Velocity, x: Tensor, context: Tensor, empty: Tensor, eta: float, seed: int
) -> Generator[tuple[int, Tensor, Tensor], Tensor | None, None]:
    """``sampling.ddim`` with noise (Song et al., arXiv 2010.02502, equation 12): a map's steps, after each (steps done, x, x0).
    Is sent another x to go on from, or None."""
    a, times = schedule.alphas().float(), timesteps(MAP_STEPS)
    generator, both = torch.Generator().manual_seed(seed), torch.cat([context, empty])
    for step, (now, following) in enumerate(zip(times, [*times[1:], None], strict=True)):
        t = torch.full((2 * len(x),), now)
        positive, negative = velocity(torch.cat([x, x]), t, both).chunk(2)
        v = negative + MAP_CFG * (positive - negative)
        x0 = schedule.predicted_x0(x, v, t[: len(x)])
        eps = a[now].sqrt() * v + (1 - a[now]).sqrt() * x
        if following is None:
            x = x0
        else:
            sigma = eta * ((1 - a[following]) / (1 - a[now]) * (1 - a[now] / a[following])).sqrt()
            fresh = torch.randn(x.shape, generator=generator)
            x = a[following].sqrt() * x0 + (1 - a[following] - sigma**2).sqrt() * eps + sigma * fresh
        other = yield step + 1, x, x0
        x = x if other is None else other


def systematic(weights: np.ndarray, offset: float) -> list[int]:
    """Which particles go on, as many as there are, in proportion to their weights. offset: 0..1."""
    shares = np.cumsum(weights) / np.sum(weights)
    places = (np.arange(len(weights)) + offset) / len(weights)
    return np.searchsorted(shares, places, side="right").clip(max=len(weights) - 1).tolist()


def steered(
    kit, x: Tensor, prompt: evaluate.Prompt, query: ObjectQuery, how: Stochastic, resample: bool
) -> list[float]:
    """Recalls of the finished particles."""
    rng, best = np.random.default_rng(prompt.seed), np.zeros(len(x))
    context, empty = (c.expand(len(x), -1, -1) for c in encode(kit.family.base, [prompt.text]))
    steps = noisy_ddim(kit.factor, x, context, empty, how.eta, prompt.seed + RUN_SEED)
    sent, labels = None, None
    while True:
        try:
            done, x, x0 = steps.send(sent)
        except StopIteration:
            break
        sent = None
        if done == MAP_STEPS:
            labels = kit.labels(kit.family.decode(x))
        elif resample and done in RESAMPLED_AT:
            now = recall.score(kit.labels(kit.family.decode(x0)), query).recall.numpy()
            best = np.maximum(best, now)
            chosen = systematic(np.exp(LAMBDA * best), rng.random())
            best, sent = best[chosen], x[chosen]
    assert labels is not None
    return recall.score(labels, query).recall.tolist()


def queries(task: str, kit: evaluate_search.Kit) -> Iterator[tuple[int, evaluate.Prompt, ObjectQuery]]:
    """classes: the held-out prompts. counts: those that say a number above one, with the numbers asked for."""
    for number, prompt in enumerate(evaluate.prompts(HELD_OUT)):
        if task == "classes":
            yield number, prompt, prompt.query
            continue
        query = words.restrict(words.parse(prompt.text, reading=Reading(counts=True)), kit.classes)
        if any(item.count > 1 for item in query.items):
            yield number, prompt, query


@torch.no_grad()
def row(kit: evaluate_search.Kit, prompt: evaluate.Prompt, query: ObjectQuery, ways: Sequence[Stochastic]) -> dict:
    """plain: merits of ten deterministic maps, and at pruning of their predictions by colours; by way: recalls."""
    noise = start_noise(kit.family, prompt.seed, evaluate_search.CANDIDATES, SIDE)
    x, _ = kit.sample(noise, prompt.text)
    found: dict = {"plain": recall.merits(recall.score(kit.labels(kit.family.decode(x)), query))}
    for how in ways:
        start = noise[: how.particles]
        for resample in (False, True):
            name = f"eta {how.eta:g}, {how.particles}{' resampled' if resample else ''}"
            found[name] = steered(kit, start, prompt, query, how, resample)
    return found


def report(rows: list[dict]) -> None:
    """Mean recall of the best map, with intervals, against maps' worth of steps."""

    def told(name: str, cost: float, recalls: list[float], than: list[float] | None = None) -> None:
        mean, low, high = interval(np.array(recalls))
        line = f"| {name} | {cost:.2f} | {mean:.3f} ({low:.3f} to {high:.3f}) |"
        if than is not None:
            mean, low, high = interval(np.array(recalls) - np.array(than))
            line += f" {mean:+.3f} ({low:+.3f} to {high:+.3f}) |"
        print(line)

    plain = [[tuple(one) for one in row["plain"]] for row in rows]
    print(f"{len(rows)} prompts")
    bests = {count: [max(one[0] for one in scores[:count]) for scores in plain] for count in range(1, 11)}
    for count in (1, 2, 4, 10):
        told(f"best of {count}, deterministic", count, bests[count])
    for budget in (2, 4, 8, 10):
        plan = SearchPlan(budget, MAP_STEPS)
        outcomes = [evaluate_search.searched(plan, scores) for scores in plain]
        cost = float(np.mean([one.steps for one in outcomes])) / MAP_STEPS
        told(f"search of at most {budget}", cost, [one.scores[one.best][0] for one in outcomes])
    for name in rows[0]:
        if name.startswith("eta"):
            count = int(name.split(", ")[1].split()[0])
            mean = float(np.mean([np.mean(row[name]) for row in rows]))
            told(f"{name} (a map: {mean:.3f})", count, [max(row[name]) for row in rows], bests[count])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_resampling", description=__doc__)
    parser.add_argument("--task", choices=["classes", "counts"], default="counts")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--skip", type=int, default=0, help="prompts of the task to leave out at first")
    parser.add_argument("--eta", type=float, nargs="+", default=[1.0])
    parser.add_argument("--particles", type=int, nargs="+", default=[4])
    options = parser.parse_args()
    torch.set_num_threads(1)
    kit = evaluate_search.Kit()
    ways = [Stochastic(eta, count) for eta in options.eta for count in options.particles]
    ROWS.mkdir(parents=True, exist_ok=True)
    file = ROWS / f"{options.task}.jsonl"
    rows = (
        {row["number"]: row for row in map(json.loads, file.read_text("utf-8").splitlines())} if file.exists() else {}
    )
    todo = list(queries(options.task, kit))[options.skip : options.skip + options.prompts]
    with file.open("a", encoding="utf-8") as out:
        for number, prompt, query in todo:
            if number not in rows:
                rows[number] = {"number": number, **row(kit, prompt, query, ways)}
                out.write(json.dumps(rows[number]) + "\n")
                out.flush()
    report([rows[number] for number, _, _ in todo])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
