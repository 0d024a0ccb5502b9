"""python -m comfyui_fgdm train RECIPE.toml trains a factor, or goes on; train init FOLDER writes a recipe for a folder."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from ..factors.checkpoints import CheckpointError
from ..maps.palette_file import PaletteError
from . import init, loop, processes, recipe, run
from .backbone import Backbone
from .extras import MissingPackageError
from .readers.sources import FolderError
from .stable_diffusion import loading
from .stable_diffusion.kinds import BaseModelError
from .stable_diffusion.text import VocabularyError

REFUSALS = (
    recipe.RecipeError, FolderError, loop.TrainingError, PaletteError, MissingPackageError, BaseModelError, VocabularyError,
    CheckpointError,
)  # fmt: skip
"""What a training refuses with, each in words for people."""

FOLDERS = {recipe.Trains.FACTOR: "fgdm_factors", recipe.Trains.IMAGE: "controlnet"}


def add(commands: argparse._SubParsersAction, backbones: init.Backbones, shipped: init.Shipped) -> None:
    """The sub-command of training; backbones: how each base that a recipe may name is loaded; shipped: its factor and image
    factor of a variable, if it has some."""
    train = commands.add_parser("train", help="train a factor as a recipe says, or go on with it", description=__doc__)
    train.add_argument("recipe", metavar="RECIPE.toml|init", help="a recipe, or the word init to have one written")
    train.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="with init: the folder with the pictures, a data set or a tar file",
    )
    train.add_argument(
        "--trains",
        choices=[one.value for one in recipe.Trains],
        default=recipe.Trains.FACTOR.value,
        help="with init: a condition factor on the base, one from scratch with a network of its own, an image factor (ControlNet), "
        "or a factor and an image factor fine-tuned together (default: %(default)s)",
    )
    train.add_argument(
        "--start", type=Path, metavar="FILE", help="with init: a file to go on from; with --trains joint the factor's"
    )
    train.add_argument(
        "--image-factor", type=Path, metavar="FILE", help="with init --trains joint: the image factor's file"
    )
    train.add_argument(
        "--variable",
        help="with init: what is drawn, or what an image factor follows (default: what is there, segmentation first)",
    )
    train.add_argument(
        "--base", default=recipe.EMBEDDED, metavar="FILE", help="with init: the frozen base (default: %(default)s)"
    )
    train.add_argument("--split", default="train", help="with init: of a data set that has some (default: train)")
    train.add_argument("--no-trial", action="store_true", help="with init: do not try how long it takes")
    train.add_argument("--to", type=Path, default=Path("recipe.toml"), help="with init: where to write it")
    train.add_argument(
        "--new", action="store_true", help="a new run, even if there is one of this recipe to go on with"
    )
    train.add_argument(
        "--seconds", type=float, default=float("inf"), help="stop after so long; the same command goes on"
    )
    train.set_defaults(
        run=lambda options: (
            _init(options, backbones, shipped) if options.recipe == "init" else _train(options, backbones)
        )
    )


def _init(options: argparse.Namespace, backbones: init.Backbones, shipped: init.Shipped) -> None:
    if options.folder is None:
        raise recipe.RecipeError("init needs the folder with the pictures: train init FOLDER")
    wishes = init.Wishes(
        options.folder, options.to, recipe.Trains(options.trains), options.variable, options.base, options.split,
        options.start, options.image_factor,
    )  # fmt: skip
    written = init.write(wishes, backbones, shipped)
    if not options.no_trial:
        print(f"train: {_duration(written, backbones)}")
    print(f"train: wrote {options.to}; look through it, then: python -m comfyui_fgdm train {options.to}")


def _duration(wanted: recipe.TrainingRecipe, backbones: init.Backbones) -> str:
    """How long a recipe trains on this machine, in words: by a trial on the embedded base, which is loaded in no time."""
    if wanted.base not in backbones:
        return "how long it takes is said after the first steps; README has figures of Stable Diffusion 1.5"
    print("train: a trial of some steps, to tell how long it takes", flush=True)
    try:
        minutes = run.estimate(wanted, backbones[wanted.base]()) / 60
    except REFUSALS as error:
        return f"how long it takes cannot be told: {error}"
    return f"{wanted.training.steps} steps take about {max(minutes, 1):.0f} min on this machine; samples and validation come on top"


def _train(options: argparse.Namespace, backbones: init.Backbones) -> None:
    wanted = recipe.read(Path(options.recipe))
    team = processes.launched()
    place = team.said_by_first(run.run_folder(wanted, options.new))

    def say(text: str) -> None:
        if team.first:
            print(f"train: {text}", flush=True)

    say(f"{'going on with' if place.exists() else 'a new run in'} {place}")
    if team.count > 1:
        say(f"{team.count} processes share the batches of each step")
    reports = run.Reports(say=say, prepared=lambda done, total: _prepared(done, total, say))
    say(f"on the base {wanted.base}")  # a large one takes a while
    base = backbones[wanted.base]() if wanted.base in backbones else _stable_diffusion(wanted)
    current = run.Run(wanted, base, place, reports, str(getattr(base, "device", "cpu")), processes=team)
    records = current.records(options.seconds)
    steps, first = wanted.training.steps, None
    try:
        for record in records:
            first = first or record
            say(_line(record, first, steps))
    except KeyboardInterrupt:
        records.close()
        say(f"stopped; the checkpoint is in {place}, the same command goes on")
        return
    for kind, file in current.files.items():
        say(f"{file} -> put it into ComfyUI/models/{FOLDERS[kind]}/")


def _stable_diffusion(wanted: recipe.TrainingRecipe) -> Backbone:
    """The base of a recipe that is a file or a folder."""
    part, comfyui = wanted.frozen, os.environ.get("COMFYUI_PATH")
    held = loading.Held(
        precision=part.precision,
        halved=part.halved,
        checkpointing=part.checkpointing,
        prediction=part.prediction,
        tokenizer=None if part.tokenizer == Path() else part.tokenizer,
        near=(Path(comfyui),) if comfyui else (),
    )
    return loading.load(Path(wanted.base), held, loop.device())


def _prepared(done: int, total: int, say: Callable[[str], None]) -> None:
    if done and (done == total or done % 100 == 0):
        say(f"{done} of {total} pictures encoded")


def _line(record: dict, first: dict, steps: int) -> str:
    """One record for people: figures, speed, time left."""
    figures = {key: value for key, value in record.items() if key not in ("part", "step", "samples", "seconds", "lr")}
    text = ", ".join(f"{key} {value:.4f}" for key, value in figures.items())
    spent, learned = record["seconds"] - first["seconds"], record["samples"] - first["samples"]
    if learned <= 0 or spent <= 0:
        return f"step {record['step']} of {steps}: {text}"
    left = (steps - record["step"]) * spent / max(record["step"] - first["step"], 1)
    clock = time.strftime("%H:%M:%S", time.gmtime(left))
    return f"step {record['step']} of {steps}: {text}; {learned / spent:.1f} samples/s, {clock} left"
