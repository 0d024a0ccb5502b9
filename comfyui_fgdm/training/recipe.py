"""A training recipe: one TOML file that says what is trained, on what, from which data, and for how long."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from ..factors.files import AdapterKind
from ..maps import kinds
from .distillation import Distillation
from .factor import FactorSettings
from .image_factor import ImageFactorSettings
from .latents import IMAGE, Views
from .loop import Budget
from .readers import formats
from .stable_diffusion.checkpointing import WHICH

EMBEDDED = "embedded"
"""As base of a recipe: the tiny family of this pack."""


class RecipeError(ValueError):
    """A recipe that cannot be used; the text names the file, the key, what is wrong with it and what is right."""


class Trains(str, enum.Enum):
    """What a training gives: a condition factor P(map | parents, prompt) that adapts the base, or one with a network of its own,
    from scratch (appendix A.1.2 of the paper), an image factor P(image | map, prompt), or both of them fine-tuned together
    (appendix A.2.4)."""

    FACTOR = "factor"
    SCRATCH = "scratch"
    IMAGE = "image_factor"
    JOINT = "joint"


CONDITION = (Trains.FACTOR, Trains.SCRATCH)
"""What gives a condition factor alone."""


@dataclass(frozen=True)
class FactorPart:
    """[factor]: what is trained.

    trains: "factor", "scratch", "image_factor" or "joint", see ``Trains``. variable: what the factor draws, or whose maps the image
    factor follows. parents: variables that a factor is conditioned on, in this order. kind: "time_adapter" or "adapter".
    blocks: residual blocks a level of the adapter, or of a network from scratch. width: channels of the first level of a
    network from scratch, twice as many below; a multiple of 32. rank: of low-rank changes of the base, 0 for an adapter alone; for an
    image factor 0 is a whole ControlNet, more a Control-LoRA. start: a file to go on from, in place of a new factor or
    image factor (kind, blocks and rank are then those of the file); "joint" needs one of a factor. image_factor: with
    "joint", the file of the image factor. worn: share of the maps shown to an image factor that look as sampled ones do.
    image_gradient: with "joint", whether the image's loss teaches the factor as well, through the decoded map. licence:
    of the trained weights, written into the file.
    """

    trains: str = Trains.FACTOR.value
    variable: str = "segmentation"
    parents: tuple[str, ...] = ()
    kind: str = AdapterKind.TIME.value
    blocks: int = 2
    width: int = 64
    rank: int = 0
    start: Path = Path()
    image_factor: Path = Path()
    worn: float = 0.5
    image_gradient: bool = True
    licence: str = ""


@dataclass(frozen=True)
class DataPart:
    """[data]: what it is trained on.

    folder: where it lies. format: one of training/readers/formats.py, "auto" for what the folder looks like. split: of data
    sets that have some. size: pixels along an edge. palette: of label maps, "auto" for that of the format (coco183 where a
    format has none). flip, crops, smallest: views of each picture. captions: most that are taken of each picture, 0 for all.
    without_caption: take pictures that have none. held_out: share of the pictures that is kept for validation.
    """

    folder: Path = Path()
    format: str = "auto"
    split: str = "train"
    size: int = 256
    palette: str = "auto"
    captions: int = 0
    flip: bool = True
    crops: int = 0
    smallest: float = 0.8
    without_caption: bool = False
    held_out: float = 0.05


@dataclass(frozen=True)
class TrainingPart:
    """[training]: how long and how fast.

    steps; batch: pictures a call of the base; accumulate: calls a step, which several processes share. lr: highest rate, after ``warmup`` steps, falling to
    zero. ema: decay of the averaged weights (0: none, and no memory for them). seed. precision: "auto" (bfloat16 where a trial of some steps says that it is
    faster), "float32", "bfloat16" or "float16" (with the loss scaled, for GPUs without bfloat16). caption_dropout, parent_dropout: share of samples that see no prompt, or nothing of a
    parent. noised_parents: share that sees its parents at its own noise level, as in joint sampling. grounding: weight of
    the loss that binds words to places (training/grounding.py), 0 for none: the factor or a parent has to be a label map.
    """

    steps: int = 10_000
    batch: int = 8
    accumulate: int = 1
    lr: float = 1e-4
    warmup: int = 200
    ema: float = 0.999
    seed: int = 0
    precision: str = "auto"
    caption_dropout: float = 0.1
    parent_dropout: float = 0.2
    noised_parents: float = 0.5
    grounding: float = 0.0


@dataclass(frozen=True)
class DistillationPart:
    """[distillation]: attention distillation (equation 7); weight 0 for none. See training/distillation.py."""

    weight: float = 0.0
    every: int = 1
    side: int = 8
    samples: int = 8


@dataclass(frozen=True)
class WatchPart:
    """[watch]: every so many steps a line in the log, a validation, a sheet of samples, a checkpoint. samples: pictures on a
    sheet; recall: maps whose object recall is measured with each sheet, 0 for none; sample_steps, guidance: of the sampling of
    both. tensorboard: write events for TensorBoard, too."""

    log_every: int = 50
    validate_every: int = 500
    sample_every: int = 1000
    save_every: int = 500
    samples: int = 4
    recall: int = 16
    sample_steps: int = 10
    guidance: float = 3.0
    tensorboard: bool = False


@dataclass(frozen=True)
class FrozenPart:
    """[frozen]: how a base that is a file or a folder is held.

    precision: of its UNet, "float32", "bfloat16" or "float16". halved: its weights are held in float16 and unpacked where they
    are used, while arithmetic stays in float32: half the memory for some time, and of a file in float16 nothing is lost.
    checkpointing: blocks of the UNet that keep less for the backward pass and run again there: "none", the "outer" ones, of the
    finest grid (some memory for little time), or "all"; layers whose attention is distilled are left out of it. prediction: what the UNet predicts, "eps" or "v";
    "auto": as a diffusers folder says, else eps. tokenizer: folder with the vocabulary of its prompts, where none is found.
    """

    precision: str = "float32"
    halved: bool = False
    checkpointing: str = "none"
    prediction: str = "auto"
    tokenizer: Path = Path()


@dataclass(frozen=True)
class TrainingRecipe:
    """A whole recipe. output: folder of the run. base: "embedded", the tiny family of this pack, or a checkpoint file or
    diffusers folder of Stable Diffusion 1.x."""

    factor: FactorPart = field(default_factory=FactorPart)
    data: DataPart = field(default_factory=DataPart)
    training: TrainingPart = field(default_factory=TrainingPart)
    distillation: DistillationPart = field(default_factory=DistillationPart)
    watch: WatchPart = field(default_factory=WatchPart)
    frozen: FrozenPart = field(default_factory=FrozenPart)
    output: Path = Path("fgdm-training")
    base: str = EMBEDDED

    @property
    def settings(self) -> FactorSettings:
        part, how = self.factor, self.training
        return FactorSettings(
            parents=part.parents, kind=AdapterKind(part.kind), blocks=part.blocks, rank=part.rank,
            width=part.width if self.trains is Trains.SCRATCH else 0,
            parent_dropout=how.parent_dropout, noised_parents=how.noised_parents, grounding=how.grounding,
            distillation=Distillation(**vars(self.distillation)),
        )  # fmt: skip

    @property
    def views(self) -> Views:
        return Views(self.data.size, self.data.crops, self.data.smallest, self.data.flip)

    @property
    def budget(self) -> Budget:
        how = self.training
        samples = how.steps * how.batch * how.accumulate
        return Budget(samples, how.batch, how.lr, how.warmup, how.ema, accumulate=how.accumulate)

    @property
    def image_settings(self) -> ImageFactorSettings:
        return ImageFactorSettings(self.factor.rank, self.factor.worn)

    @property
    def trains(self) -> Trains:
        return Trains(self.factor.trains)

    @property
    def latents(self) -> tuple[str, ...]:
        """Variables whose latents are read, the trained one first."""
        part = self.factor
        own = (part.variable, *part.parents)
        return {Trains.IMAGE: (IMAGE,), Trains.JOINT: (*own, IMAGE)}.get(self.trains, own)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Variables whose pictures are read as they are."""
        if self.trains is Trains.IMAGE:
            return (self.factor.variable,)
        return (self.labelled,) if self.trains in CONDITION and self.training.grounding and self.labelled else ()

    @property
    def labelled(self) -> str | None:
        """The first variable whose maps have classes, of the factor and its parents."""
        names = (self.factor.variable, *self.factor.parents)
        return next((name for name in names if kinds.get(name).has_classes), None)

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables that are read."""
        return tuple(dict.fromkeys((*self.latents, *self.pictures)))


_RANGES: dict[str, tuple[float, float]] = {
    "factor.blocks": (1, 8), "factor.width": (64, 1024), "factor.rank": (0, 1024), "factor.worn": (0, 1), "data.held_out": (0, 0.9), "data.captions": (0, 1000),
    "training.steps": (1, 100_000_000), "training.batch": (1, 4096), "training.accumulate": (1, 4096),
    "training.lr": (1e-9, 1.0), "training.warmup": (1, 1_000_000), "training.ema": (0, 0.99999), "training.seed": (0, 2**63 - 1),
    "training.grounding": (0, 100), "training.caption_dropout": (0, 1), "training.parent_dropout": (0, 1), "training.noised_parents": (0, 1),
    "watch.log_every": (1, 1_000_000), "watch.validate_every": (1, 10_000_000), "watch.sample_every": (1, 10_000_000),
    "watch.save_every": (1, 10_000_000), "watch.samples": (1, 64), "watch.recall": (0, 1024), "watch.sample_steps": (1, 1000), "watch.guidance": (0, 100),
}  # fmt: skip
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
FROZEN = {
    "precision": ("float32", "bfloat16", "float16"),
    "checkpointing": WHICH,
    "prediction": ("auto", "eps", "v"),
}


def read(file: Path) -> TrainingRecipe:
    """The recipe in a TOML file; paths in it are relative to the file. RecipeError names what is wrong, and where."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise RecipeError('reading recipes takes "tomli" on Python 3.10: pip install ".[train]"') from None
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(f"{file} cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} is no TOML: {error}") from None
    try:
        return parse(raw, file.parent)
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}") from None


def parse(raw: Mapping[str, Any], folder: Path = Path()) -> TrainingRecipe:
    """A recipe from nested mappings, as TOML gives them; relative paths start at ``folder``. RecipeError for what is wrong."""
    recipe = _filled(TrainingRecipe, raw, "", folder)
    for name, (least, most) in _RANGES.items():
        part, _, key = name.partition(".")
        value = getattr(getattr(recipe, part), key)
        if not least <= value <= most:
            raise RecipeError(f"{name}: {value} is out of range; give {least:g} to {most:g}")
    _check(recipe)
    return recipe if recipe.base == EMBEDDED else dataclasses.replace(recipe, base=str(folder / recipe.base))


def _check(recipe: TrainingRecipe) -> None:
    part = recipe.factor
    if part.trains not in [one.value for one in Trains]:
        raise RecipeError(f"factor.trains: {part.trains!r} is none of {', '.join(one.value for one in Trains)}")
    for name in (part.variable, *part.parents):
        if kinds.find(name) is None:
            raise RecipeError(f"factor: there is no variable {name!r}; known: {', '.join(kinds.names())}")
    if part.variable in part.parents or len(set(part.parents)) < len(part.parents):
        raise RecipeError(
            f"factor.parents: {list(part.parents)} must be other variables than {part.variable!r}, each once"
        )
    if part.kind not in [kind.value for kind in AdapterKind]:
        raise RecipeError(f"factor.kind: {part.kind!r} is neither 'time_adapter' nor 'adapter'")
    _check_kind(recipe)
    if recipe.training.precision not in PRECISIONS:
        raise RecipeError(f"training.precision: {recipe.training.precision!r} is none of {', '.join(PRECISIONS)}")
    for key, known in FROZEN.items():
        if (value := getattr(recipe.frozen, key)) not in known:
            raise RecipeError(f"frozen.{key}: {value!r} is none of {', '.join(known)}")
    if recipe.frozen.halved and recipe.frozen.precision != "float32":
        raise RecipeError(
            f"frozen.halved: arithmetic in {recipe.frozen.precision} holds its weights in half precision already; leave it out, "
            'or set precision = "float32"'
        )
    if recipe.data.folder == Path():
        raise RecipeError("data.folder is missing: the folder with the training pictures")
    if recipe.data.format not in (formats.AUTO, *formats.FORMATS):
        raise RecipeError(
            f"data.format: {recipe.data.format!r} is none of {', '.join((formats.AUTO, *formats.FORMATS))}"
        )
    for make in ("settings", "image_settings", "views"):
        try:
            getattr(recipe, make)
        except ValueError as error:
            raise RecipeError(str(error)) from None


def _check_kind(recipe: TrainingRecipe) -> None:
    """What only some kinds of training take."""
    part = recipe.factor
    if recipe.trains is Trains.IMAGE:
        if part.parents:
            raise RecipeError(
                f"factor.parents: an image factor follows the maps of its variable, {part.variable}, alone; leave parents out, "
                "and train an image factor for each map"
            )
        if recipe.distillation.weight:
            raise RecipeError("distillation.weight: attention distillation is for condition factors; leave it out")
    if recipe.training.grounding and recipe.trains not in CONDITION:
        raise RecipeError("training.grounding is for condition factors; leave it out")
    if recipe.training.grounding and recipe.labelled is None:
        raise RecipeError(
            f"training.grounding: neither {part.variable} nor a parent is a label map, so nothing says where things are; "
            "set it to 0, or add a parent with classes, such as segmentation"
        )
    if recipe.trains is Trains.SCRATCH:
        if part.width % 32:
            raise RecipeError(f"factor.width: {part.width} is no multiple of 32")
        adapting = {"factor.rank": part.rank, "distillation.weight": recipe.distillation.weight}
        for key, value in adapting.items():
            if value:
                raise RecipeError(
                    f"{key}: a factor from scratch has a network of its own and leaves the base out; leave it out"
                )
    joint = recipe.trains is Trains.JOINT
    for key in ("start", "image_factor"):
        if joint and getattr(part, key) == Path():
            raise RecipeError(f"factor.{key} is missing: joint training goes on from two files, start and image_factor")
    if part.image_factor != Path() and not joint:
        raise RecipeError('factor.image_factor is for trains = "joint"; to go on from a file, name it as start')


def _filled(kind: Any, raw: Mapping[str, Any], where: str, folder: Path) -> Any:
    """A dataclass from a table: unknown keys are named with the nearest right one, values have to be of the field's type."""
    hints = get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values = {}
    for key, value in raw.items():
        place = f"{where}{key}"
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1, 0.5)
            hint = f"; did you mean {where}{near[0]}?" if near else f"; there are {', '.join(fields)}"
            raise RecipeError(f"{place} is no key of a recipe{hint}")
        wanted = hints[key]
        if dataclasses.is_dataclass(wanted):
            if not isinstance(value, Mapping):
                raise RecipeError(f"{place} is a section: write [{place}] on a line of its own, and its keys below")
            values[key] = _filled(wanted, value, f"{place}.", folder)
        else:
            values[key] = _value(wanted, value, place, folder)
    return kind(**values)


def _value(wanted: Any, value: Any, place: str, folder: Path) -> Any:
    if wanted is Path and isinstance(value, str) and value:
        return folder / value
    if wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
        return float(value)
    if wanted in (int, str, bool) and type(value) is wanted:
        return value
    if wanted == tuple[str, ...] and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    words = {Path: "a path", float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    known = FROZEN.get(place.removeprefix("frozen."), ())
    expected = f"one of {', '.join(known)}" if known else words.get(wanted, "a list of texts")
    raise RecipeError(f"{place}: {value!r} is not {expected}")
