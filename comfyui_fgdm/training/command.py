"""python -m comfyui_fgdm train RECIPE.toml trains a factor, or goes on; train init FOLDER writes a recipe for a folder."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..factors.checkpoints import CheckpointError
from ..maps import kinds
from ..maps.palette_file import PaletteError
from . import latents, loop, processes, recipe, run, template
from .backbone import Backbone
from .extras import MissingPackageError
from .readers import contents, formats, listing, webdataset
from .readers.pictures import can_be_mirrored
from .readers.sources import FolderError
from .stable_diffusion import loading
from .stable_diffusion.kinds import BaseModelError
from .stable_diffusion.text import VocabularyError

REFUSALS = (
    recipe.RecipeError, FolderError, loop.TrainingError, PaletteError, MissingPackageError, BaseModelError, VocabularyError,
    CheckpointError,
)  # fmt: skip
"""What a training refuses with, each in words for people."""

MANY_CAPTIONS = 50_000
"""Encoded for Stable Diffusion 1.x, each caption takes 118 kB: of more than so many, one a picture is proposed."""

FOLDERS = {recipe.Trains.FACTOR: "fgdm_factors", recipe.Trains.IMAGE: "controlnet"}

Backbones = Mapping[str, Callable[[], Backbone]]


def add(commands: argparse._SubParsersAction, backbones: Backbones) -> None:
    """The sub-command of training; backbones: how each base that a recipe may name is loaded."""
    train = commands.add_parser("train", help="train a factor as a recipe says, or go on with it", description=__doc__)
    train.add_argument("recipe", metavar="RECIPE.toml|init", help="a recipe, or the word init to have one written")
    train.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="with init: the folder with the pictures, a data set or a tar file",
    )
    train.add_argument("--variable", help="with init: what is to be drawn (default: what is there, segmentation first)")
    train.add_argument(
        "--base", default=recipe.EMBEDDED, metavar="FILE", help="with init: the frozen base (default: %(default)s)"
    )
    train.add_argument("--split", default="train", help="with init: of a data set that has some (default: train)")
    train.add_argument("--to", type=Path, default=Path("recipe.toml"), help="with init: where to write it")
    train.add_argument(
        "--new", action="store_true", help="a new run, even if there is one of this recipe to go on with"
    )
    train.add_argument(
        "--seconds", type=float, default=float("inf"), help="stop after so long; the same command goes on"
    )
    train.set_defaults(
        run=lambda options: _init(options, backbones) if options.recipe == "init" else _train(options, backbones)
    )


def _init(options: argparse.Namespace, backbones: Backbones) -> None:
    if options.folder is None:
        raise recipe.RecipeError("init needs the folder with the pictures: train init FOLDER")
    if options.to.exists():
        raise recipe.RecipeError(f"{options.to} exists; give another name with --to")
    if options.base != recipe.EMBEDDED:
        loading.look(Path(options.base))
    variable, parents = _variables(options.folder, options.variable)
    variables = [variable, *parents]
    found = formats.look(options.folder, variables, split=options.split)
    kind = kinds.get(variable)
    flip = all(can_be_mirrored(one.sources[variable], kind) for one in found.complete[:1])
    tiny = options.base == recipe.EMBEDDED
    defaults = template.TINY if tiny else template.STABLE_DIFFUSION
    captions = 1 if sum(one.caption_count for one in found.complete) > MANY_CAPTIONS else 0
    lines = contents.described(found, variables) + _sizes(
        found,
        len(variables),
        latents.Views(defaults.size, flip=flip),
        captions,
        backbones[options.base]() if tiny else None,
    )
    text = template.TEMPLATE.format(
        file=options.to, folder=options.folder, found="\n".join(f"#   {line}" for line in lines),
        output=_quoted(Path("fgdm-training")), output_plain="fgdm-training", variable=variable, parents=_quoted(*parents, many=True),
        base=_quoted(options.base if tiny else Path(options.base).resolve()), **dataclasses.asdict(defaults),
        data=_quoted(options.folder.resolve()), format=found.format, split=options.split, palette=formats.palette_name(found),
        flip=str(flip).lower(), captions=captions, without_caption=str(bool(found.no_caption)).lower(),
    )  # fmt: skip
    options.to.write_text(text, encoding="utf-8")
    recipe.read(options.to)
    print(f"train: wrote {options.to}; look through it, then: python -m comfyui_fgdm train {options.to}")


def _variables(place: Path, wanted: str | None) -> tuple[str, list[str]]:
    """(what is drawn, its parents) of a folder: what a user wants, or what is there."""
    format = formats.recognise(place, [wanted] if wanted else [])
    if format in ("folder", "webdataset"):
        names = listing.folders(place) if format == "folder" else webdataset.variables(place)
        there = [name for name in names if kinds.find(name)]
        if not there and not wanted:
            raise FolderError(
                f"{place} holds no maps named for a variable ({', '.join(kinds.names())}); put the maps there as "
                "segmentation/NAME.png (in shards NAME.segmentation.png), and captions as captions/NAME.txt (NAME.txt)"
            )
    elif format == "wholebody":
        return wanted or "pose", []
    else:
        there = ["segmentation"]
    variable = wanted or ("segmentation" if "segmentation" in there else there[0])
    return variable, ["segmentation"] if variable != "segmentation" and "segmentation" in there else []


def _sizes(
    found: contents.Contents, variables: int, views: latents.Views, captions: int, tiny: Backbone | None
) -> list[str]:
    """How much disk the cached latents and prompts take, with the tiny family (if it is the base) and Stable Diffusion 1.x."""
    examples = contents.usable(dataclasses.replace(found, incomplete={}), True, captions) if found.complete else ()
    bases = {"Stable Diffusion 1.x at 256 pixels": (template.FACTS, (77, 768), dataclasses.replace(views, size=256))}
    if tiny:
        bases = {"this base": (tiny.facts, tuple(tiny.prompts([""]).shape[1:]), views), **bases}
    return [
        f"{_size(latents.stored_bytes(examples, variables, seen, facts, prompt))} of disk for cached latents and prompts with {name}"
        for name, (facts, prompt, seen) in bases.items()
    ]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"


def _quoted(*values: object, many: bool = False) -> str:
    """TOML of texts: one, or a list."""
    texts = ['"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]
    return f"[{', '.join(texts)}]" if many else texts[0]


def _train(options: argparse.Namespace, backbones: Backbones) -> None:
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
