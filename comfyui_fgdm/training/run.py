"""One training run from a recipe: its folder, its data, its factor; a generator of records that can be closed at any time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..maps import kinds, reader
from ..maps.library import SHIPPED, Library
from . import latents, loop, plot, tasks, watching
from .backbone import Backbone
from .latents import DataSet, LatentStore
from .processes import ALONE, Processes
from .readers import contents, formats
from .recipe import PRECISIONS, RecipeError, TrainingRecipe, Trains

FOLDERS = {Trains.FACTOR: "", Trains.SCRATCH: "-scratch", Trains.IMAGE: "-image", Trains.JOINT: "-joint"}
VALIDATION_SEED = 20_000_003


@dataclass(frozen=True)
class Reports:
    """Where a run tells what it does: say(text); prepared(done, total) examples; step(number, total) before each step;
    sheet(step, picture) of samples. What one of them raises ends the run, after a checkpoint."""

    say: Callable[[str], None] = lambda text: None
    prepared: Callable[[int, int], None] = lambda done, total: None
    step: Callable[[int, int], None] = lambda step, total: None
    sheet: Callable[[int, Image.Image], None] = lambda step, picture: None


def run_folder(recipe: TrainingRecipe, fresh: bool = False) -> Path:
    """The folder of this run below recipe.output: that of an earlier run of the same recipe, to go on with, or a new one.

    fresh: a new one in any case. A run is never mixed with that of another recipe.
    """
    wanted, number = fingerprint(recipe), 1
    while True:
        place = recipe.output / f"{recipe.factor.variable}{FOLDERS[recipe.trains]}-{number:03d}"
        if not place.exists():
            return place
        about = place / "recipe.json"
        if not fresh and about.is_file() and json.loads(about.read_text("utf-8")).get("fingerprint") == wanted:
            return place
        number += 1


def fingerprint(recipe: TrainingRecipe) -> str:
    """What makes a run another one: all but where it lies and what is watched."""
    facts = {key: value for key, value in dataclasses.asdict(recipe).items() if key not in ("output", "watch")}
    return json.dumps(facts, sort_keys=True, default=str)


def _claim(place: Path, recipe: TrainingRecipe) -> None:
    """Make the folder the recipe's; RecipeError if another training, started at the same time, has it."""
    place.mkdir(parents=True, exist_ok=True)
    about, wanted = place / "recipe.json", fingerprint(recipe)
    facts = {"fingerprint": wanted, **dataclasses.asdict(recipe)}
    try:
        with about.open("x", encoding="utf-8") as file:
            json.dump(facts, file, default=str, indent=1)
    except FileExistsError:
        if json.loads(about.read_text("utf-8")).get("fingerprint") != wanted:
            raise RecipeError(f"output: {place} is the folder of another training; start this one again") from None
        about.write_text(json.dumps(facts, default=str, indent=1), "utf-8")


WITHOUT_BFLOAT16 = ("AVX2", "NO AVX")
"""Kinds of processors on which a pass in bfloat16 takes ten times as long: no trial is needed, and even one pass is long."""


class Run:
    """A run of a recipe on a base. ``records`` trains, or goes on; the factor file in the folder is written at each
    checkpoint and at the end."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        base: Backbone,
        place: Path,
        reports: Reports = Reports(),
        device: str = "cpu",
        library: Library = SHIPPED,
        processes: Processes = ALONE,
        most: int | None = None,
    ) -> None:
        """most: examples that are read, the first; None for all."""
        self.recipe, self.base, self.place, self.reports, self.device = recipe, base, place, reports, device
        self.library, self.processes = library, processes
        try:
            processes.batches(recipe.training.accumulate)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        if recipe.data.size % base.facts.cell:
            raise RecipeError(
                f"data.size: {recipe.data.size} is no multiple of {base.facts.cell}, a latent cell of the base"
            )
        data = recipe.data
        found = formats.look(data.folder, recipe.variables, data.format, data.split)
        self.palette = library.palette(formats.palette_name(found, data.palette))
        kind = kinds.get(recipe.factor.variable)
        self.reader = reader.reader(kind.name, self.palette.name if kind.has_classes else None, library=library)
        examples = contents.usable(found, data.without_caption, data.captions)[:most]
        reports.say(f"{len(examples)} examples in {data.folder}, read as {found.format}")
        if len(examples) < 2:
            raise RecipeError(f"data.folder: {data.folder} holds one example; training takes at least two")
        if processes.first:
            _claim(place, recipe)
        store = latents.prepare(
            recipe.output, examples, recipe.latents, recipe.views, base, self.palette, reports.prepared,
            waits=not processes.first, pictures=recipe.pictures,
        )  # fmt: skip
        self.data = self._data(store)
        torch.manual_seed(recipe.training.seed)
        self.task = tasks.task_of(recipe, base, self.palette, device)
        base.rest()
        self.network = self.task.network.to(device)

    def _data(self, store: LatentStore) -> DataSet:
        data, how = self.recipe.data, self.recipe.training
        variable = self.recipe.latents[0]
        return DataSet(store, variable, self.recipe.factor.parents, data.held_out, how.caption_dropout)

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of a random batch of the training examples."""
        self.reports.step(step, self.recipe.training.steps)
        batch = self.data.draw(self.recipe.training.batch, generator)
        return self.task.loss(batch, step, generator)

    @torch.no_grad()
    def validation(self, _step: int = 0) -> dict[str, float]:
        """Mean losses on the held-out examples: the same pictures, noise and timesteps at every call."""
        total: dict[str, float] = {}
        count = 0
        for number, batch in enumerate(self.data.validation(self.recipe.training.batch)):
            generator = torch.Generator().manual_seed(VALIDATION_SEED + number)
            for key, value in self.task.held_out(batch, generator).items():
                total[key] = total.get(key, 0.0) + value * len(batch.latent)
            count += len(batch.latent)
        return {key: round(value / count, 6) for key, value in total.items()}

    @torch.no_grad()
    def sheet(self, step: int = 0, board: watching.TensorBoard | None = None) -> dict[str, float]:
        """Samples beside the truth for the first held-out examples, as samples-STEP.png, row by row: what is seen, the truth,
        the sample; and the object recall of the sampled maps, where they have classes and captions name some."""
        watch = self.recipe.watch
        measured = watch.recall if self.reader.palette and self.recipe.trains is not Trains.IMAGE else 0
        wanted = max(watch.samples, measured)
        rows, maps, prompts = [], [], []
        for batch in self.data.validation(min(self.recipe.training.batch, wanted), wanted):
            drawn = self.task.drawn(batch, VALIDATION_SEED + len(prompts), watch.sample_steps, watch.guidance)
            rows += [list(row) for row in zip(*drawn.columns, strict=True)]
            maps += list(drawn.maps if drawn.maps is not None else ())
            prompts += batch.texts
        if not rows:
            return {}
        self.base.rest()
        sheet = plot.grid(rows[: watch.samples])
        sheet.save(self.place / f"samples-{step:07d}.png")
        self.reports.sheet(step, sheet)
        if board:
            board.sheet(step, sheet)
        found = watching.map_recall(torch.stack(maps), prompts, self.reader) if measured else None
        return {} if found is None else {"recall": round(found, 4)}

    def save(self, step: int) -> dict[str, float]:
        """The files of the folder, from the averaged weights; each is whole or absent."""
        self.task.save(self.place, step)
        return {}

    @property
    def files(self) -> dict[Trains, Path]:
        """What was trained, by its kind: factors for models/fgdm_factors, image factors for models/controlnet."""
        return self.task.files(self.place)

    @property
    def file(self) -> Path:
        """The first of ``files``."""
        return next(iter(self.files.values()))

    def records(self, stop_after: float = float("inf")) -> Generator[dict, None, None]:
        """Train to the end of the recipe; yields the records of the log. Closing it saves a checkpoint, from which the
        next call goes on."""
        watch, how = self.recipe.watch, self.recipe.training
        name = self.recipe.trains.value
        state = self.place / f"{name}.pt"
        done = loop.spent(state)[0] if state.is_file() else 0
        precision = self.precision() if done < self.recipe.budget.steps else None  # a trial, for steps that are left
        events = self.place / "tensorboard" if watch.tensorboard and self.processes.first else None
        with watching.board(events, done) as board:
            watches = [
                loop.Watch(watch.validate_every, self.validation),
                loop.Watch(watch.sample_every, lambda step: self.sheet(step, board)),
                loop.Watch(watch.save_every, self.save),
            ]
            records = loop.train(
                name, self.network, self.loss, self.recipe.budget, self.place, how.seed, stop_after, watch.log_every,
                watches, watch.save_every, precision, self.processes,
            )  # fmt: skip
            with contextlib.closing(records):
                for record in records:
                    if board:
                        board.record(record)
                    yield record
        if self.processes.first:
            plot.losses(self.place / f"{name}.log.jsonl").save(self.place / "loss.png")

    def precision(self) -> torch.dtype | None:
        """The autocast of this run: as the recipe says, or by a trial of some steps on this machine."""
        wanted = self.recipe.training.precision
        if wanted == "auto":
            wanted = self.processes.said_by_first(self._chosen() if self.processes.first else "")
        return None if wanted == "float32" else getattr(torch, wanted)

    def _chosen(self) -> str:
        """What the first trial on this run chose: a run that goes on does so in the precision it began with."""
        file = self.place / "precision.txt"
        if file.is_file() and (kept := file.read_text("ascii").strip()) in PRECISIONS:
            return kept
        if self.device == "cpu" and torch.backends.cpu.get_cpu_capability() in WITHOUT_BFLOAT16:
            file.write_text("float32", "ascii")
            return "float32"
        seconds: dict[torch.dtype | None, float] = {None: self._trial(None)}
        seconds[torch.bfloat16] = self._trial(torch.bfloat16, hopeless=4 * seconds[None])
        faster = min(seconds, key=lambda dtype: seconds[dtype])
        single, half = (f"{seconds[dtype] * 1000:.0f} ms" for dtype in (None, torch.bfloat16))
        chosen = "float32" if faster is None else "bfloat16"
        self.reports.say(f"a step takes {single} in float32, {half} with bfloat16: {chosen}")
        file.write_text(chosen, "ascii")
        return chosen

    def seconds(self) -> float:
        """What a step takes on this machine, by a trial of two: in the precision of the recipe, for "auto" in float32 (the other
        may be much slower)."""
        wanted = self.recipe.training.precision
        dtype = None if wanted in ("auto", "float32") else getattr(torch, wanted)
        return self._trial(dtype, steps=2) * self.recipe.training.accumulate

    def _trial(self, dtype: torch.dtype | None, steps: int = 5, hopeless: float = float("inf")) -> float:
        """Seconds of one forward and backward pass, the least of some; nothing is learned from them. hopeless: a first pass
        that takes so long ends the trial."""
        times = []
        for number in range(steps + 1):
            generator = torch.Generator().manual_seed(number)
            start = time.perf_counter()
            with torch.autocast(self.device, dtype, enabled=dtype is not None):
                loss, _ = self.loss(0, generator)
            loss.backward()
            times.append(time.perf_counter() - start)
            if times[0] > hopeless:
                break
        self.network.zero_grad(set_to_none=True)
        return min(times[1:] or times)


def estimate(recipe: TrainingRecipe, base: Backbone, examples: int = 16) -> float:
    """Seconds that the steps of a recipe take on this machine, by a trial on some of its examples; what watches it comes on top.

    Nothing is learned or kept. It raises as ``Run``.
    """
    with tempfile.TemporaryDirectory(prefix="fgdm-trial-") as place:
        trial = Run(dataclasses.replace(recipe, output=Path(place)), base, Path(place) / "run", most=examples)
        return trial.seconds() * recipe.training.steps
