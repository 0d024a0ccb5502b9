"""`make bench-train`: a step of training at the size of Stable Diffusion 1.5, beside a loop that leaves the base's gradients on.

The checkpoint is of full shape with random weights, made for the run and deleted after it: what it draws means nothing, what it
costs is real. Ours is the trainer as a recipe runs it: frozen base, pictures and prompts encoded once. The other is what the
released training code of FG-DM does: all weights of the UNet have gradients, though only the adapter is changed, blocks are
checkpointed, and every step encodes its pictures and prompts; and the same without checkpointing. Adapter, batch, optimiser and
loss are the same in all, and none distils attention; ours keeps an average of the weights besides, but for one row. Every way runs
in a process of its own; the time is the median of steps, the first left out, and the peak is of steps alone, with all that is held
while they run. On the GPU if PyTorch sees one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from comfyui_fgdm.maps import kinds, palettes
from comfyui_fgdm.training import factor, loop, objective, recipe, run
from comfyui_fgdm.training.readers.pictures import picture_of
from comfyui_fgdm.training.readers.sources import PictureFile
from comfyui_fgdm.training.readers.view import View
from comfyui_fgdm.training.stable_diffusion import loading
from tools import mend
from tools.bench import Table
from tools.bench_sd15 import GPU, judged, now, peak, reset_peak, shown_seconds
from tools.server import CACHE, ROOT

OUTPUT = ROOT / "bench_output" / "bench_train.md"
SPEED_GOAL, MEMORY_GOAL = 2.0, 0.5
CAPTIONS = ("a dog and a bicycle under a tree", "two people on a beach", "a cat on a couch", "a street with cars")


@dataclass(frozen=True)
class Way:
    """name: of the row. frozen: our trainer; else the loop with gradients of the base. precision, halved, checkpointing: of the
    base's UNet, see ``loading.Held``. average: of the weights that are trained, which the released recipe does not keep."""

    name: str
    frozen: bool
    precision: str = "float32"
    halved: bool = False
    checkpointing: str = "none"
    average: bool = True


WAYS = {
    "released": Way("gradients of the base on, checkpointed, encoding every step (the released recipe)", False, checkpointing="all"),
    "open": Way("the same without checkpointing", False),
    "frozen": Way("frozen base, encoded once (ours)", True),
    "halved": Way("ours, weights of the base held in float16", True, halved=True),
    "alike": Way("the same without an average of the weights, as in the released recipe", True, halved=True, average=False),
    "outer": Way("the average kept, outer blocks checkpointed", True, halved=True, checkpointing="outer"),
    "spared": Way("the average kept, all blocks checkpointed", True, halved=True, checkpointing="all"),
    "bfloat16": Way("ours, base in bfloat16", True, "bfloat16"),
    "checkpointed": Way("ours, base in bfloat16, all blocks checkpointed", True, "bfloat16", checkpointing="all"),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """seconds: median of a step. peak: bytes while steps run. before: bytes of the process before anything is loaded."""

    seconds: float
    peak: int
    before: int


def write_data(folder: Path, count: int, size: int) -> None:
    """Label maps of large random patches, with captions."""
    generator = np.random.default_rng(0)
    for name in ("segmentation", "captions"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        labels = torch.from_numpy(generator.integers(0, 183, (1, size // 32, size // 32)))
        rgb = palettes.encode(labels.repeat_interleave(32, 1).repeat_interleave(32, 2))[0]
        Image.fromarray((255 * rgb).round().byte().numpy()).save(folder / "segmentation" / f"{number}.png")
        (folder / "captions" / f"{number}.txt").write_text(CAPTIONS[number % len(CAPTIONS)], encoding="utf-8")


def recipe_of(place: Path, steps: int, batch: int, size: int, average: bool) -> recipe.TrainingRecipe:
    never = 10**6
    sections = {
        "output": "out",
        "factor": {"variable": "segmentation"},
        "data": {"folder": "data", "size": size, "flip": False},
        "training": {"steps": steps, "batch": batch, "precision": "float32"} | ({} if average else {"ema": 0.0}),
        "watch": {"log_every": 1, "validate_every": never, "sample_every": never, "save_every": never},
    }
    return recipe.parse(sections, place)


def frozen_steps(base: Any, wanted: recipe.TrainingRecipe, place: Path) -> Iterator[None]:
    """The trainer's own steps, of a run whose folder is `place`; pictures and prompts are encoded before the first."""
    current = run.Run(wanted, base, place, device=str(loop.device()))
    for _ in loop.train("steps", current.task.network, current.loss, wanted.budget, place, log_every=1):
        yield


def open_steps(base: Any, wanted: recipe.TrainingRecipe) -> Iterator[None]:
    """The released loop: gradients of all weights of the UNet, pictures and prompts encoded at each step."""
    where, size = loop.device(), wanted.data.size
    base.unet.requires_grad_(True)
    network = factor.FactorNetwork(base, wanted.settings).to(where)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    files = sorted((wanted.data.folder / "segmentation").iterdir())
    kind = kinds.get("segmentation")
    for step in range(wanted.training.steps):
        generator = torch.Generator().manual_seed(step)
        chosen = [files[(step * wanted.training.batch + k) % len(files)] for k in range(wanted.training.batch)]
        pictures = torch.stack([picture_of(PictureFile(file), kind, size, View(), palettes.COCO) for file in chosen])
        latent, prompts = base.encode(pictures.to(where)), base.prompts([CAPTIONS[0]] * len(chosen))
        t = objective.levels(len(chosen), generator)
        x, target = objective.drawn(latent.cpu(), t, base.facts.prediction, generator)
        x, t, target = (value.to(where) for value in (x, t, target))
        loss = F.mse_loss(network.predict(base, x, t, prompts), target)
        optimiser.zero_grad()  # of the adapter alone, as there: gradients of the base stay and add up
        loss.backward()
        optimiser.step()
        loss.item()
        yield


def measured(way: Way, place: Path, checkpoint: Path, tokenizer: Path, options: argparse.Namespace) -> Cost:
    mend.install()
    before = peak()
    held = loading.Held(way.precision, way.halved, way.checkpointing, tokenizer=tokenizer)
    base = loading.load(checkpoint, held, loop.device())
    wanted = recipe_of(place, options.steps + 1, options.batch, options.size, way.average)
    running = frozen_steps(base, wanted, place / f"run-{options.way}") if way.frozen else open_steps(base, wanted)
    times = []
    next(running)
    reset_peak()
    start = now()
    for _ in running:
        times.append(now() - start)
        start = now()
        if len(times) == options.steps:
            break
    return Cost(statistics.median(times), peak(), before)


def held(cost: Cost) -> int:
    return cost.peak - cost.before


def compared(costs: dict[str, Cost]) -> Iterator[tuple[str, str, str]]:
    """Rows: each of our ways beside each of the others."""
    for name in (name for name, way in WAYS.items() if way.frozen):
        for other in ("released", "open"):
            if name in costs and other in costs:
                speed, memory = costs[other].seconds / costs[name].seconds, held(costs[name]) / held(costs[other])
                met = "met" if speed >= SPEED_GOAL else "missed"
                goals = f"speed at least {SPEED_GOAL:g}: {met}; memory {judged(memory, MEMORY_GOAL)}"
                yield (
                    f"{WAYS[name].name}, against: {other}",
                    f"{speed:.2f} x the speed, {memory:.2f} x the memory",
                    goals,
                )


def cost_of(name: str, place: Path, checkpoint: Path, tokenizer: Path, options: argparse.Namespace) -> Cost:
    told = {
        "way": name, "place": place, "checkpoint": checkpoint, "tokenizer": tokenizer,
        "size": options.size, "batch": options.batch, "steps": options.steps,
    }  # fmt: skip
    command = [sys.executable, "-m", "tools.bench_train", *(f"--{key}={value}" for key, value in told.items())]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench_train", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the maps (pixels)")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="measured steps of each way")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    for name, kind in (("way", str), ("place", Path), ("checkpoint", Path), ("tokenizer", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size % 64 or min(options.size, options.batch, options.steps) < 1:
        parser.error("--size is a multiple of 64, --batch and --steps are at least 1")
    if options.way:
        cost = measured(WAYS[options.way], options.place, options.checkpoint, options.tokenizer, options)
        print(json.dumps(asdict(cost)))
        return 0
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as place:
        checkpoint, tokenizer = made(Path(place))
        write_data(Path(place) / "data", 8, options.size)
        table = Table("what", "measured", "goal", about=f"; {torch.cuda.get_device_name() if GPU else 'no GPU'}")
        costs = {}
        for name in options.ways:
            costs[name] = cost_of(name, Path(place), checkpoint, tokenizer, options)
            for state in Path(place).rglob("*.pt"):
                state.unlink()
            spent = f"{shown_seconds(costs[name].seconds)}, {held(costs[name]) / 2**30:.2f} GiB"
            table.add(f"{WAYS[name].name}: a step of {options.batch}", spent, "")
        for row in compared(costs):
            table.add(*row)
    table.write(OUTPUT)
    return 0


def made(place: Path) -> tuple[Path, Path]:
    """A random checkpoint, and the folder of the host's vocabulary. The host gives the shapes, in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from tools import random_sd15; from tools.inprocess import boot\n"
        "host = boot(Path(sys.argv[1]) / 'host', cpu=True)\n"
        "random_sd15.write(Path(sys.argv[1]) / 'sd15.safetensors', random_sd15.checkpoint_shapes(), seed=1)\n"
        "print(host.comfyui)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return place / "sd15.safetensors", Path(done.stdout.splitlines()[-1]) / "comfy" / "sd1_tokenizer"


if __name__ == "__main__":
    sys.exit(main())
