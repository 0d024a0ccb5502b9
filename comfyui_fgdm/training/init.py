"""train init: looks into a folder and writes a commented recipe for it, that trains as it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..factors import files, image_files
from ..maps import kinds
from . import latents, recipe, template
from .backbone import Backbone
from .latents import IMAGE
from .readers import contents, formats, listing, webdataset
from .readers.pictures import can_be_mirrored
from .readers.sources import FolderError
from .recipe import RecipeError, Trains
from .stable_diffusion import loading

MANY_CAPTIONS = 50_000
"""Encoded for Stable Diffusion 1.x, each caption takes 118 kB: of more than so many, one a picture is proposed."""

Backbones = Mapping[str, Callable[[], Backbone]]
Shipped = Callable[[str], tuple[Path, Path] | None]
"""Of a variable, the factor and the image factor that come with the embedded base."""


@dataclass(frozen=True)
class Wishes:
    """What a user says. folder: with the data. to: where the recipe goes. variable: None for what is there. start: a file to go
    on from; image_factor: the other one of joint training."""

    folder: Path
    to: Path
    trains: Trains = Trains.FACTOR
    variable: str | None = None
    base: str = recipe.EMBEDDED
    split: str = "train"
    start: Path | None = None
    image_factor: Path | None = None


def write(wishes: Wishes, backbones: Backbones, shipped: Shipped) -> recipe.TrainingRecipe:
    """Write a recipe, and read it again. FolderError, RecipeError and FactorFileError say what does not fit; nothing is written then."""
    if wishes.to.exists():
        raise RecipeError(f"{wishes.to} exists; give another name with --to")
    tiny = wishes.base == recipe.EMBEDDED
    if not tiny:
        loading.look(Path(wishes.base))
    variable, parents = _there(wishes.folder, wishes.variable)
    if wishes.trains is Trains.IMAGE:
        parents = []
    palette = None
    start, image_factor = _files(wishes, variable, shipped if tiny else lambda variable: None)
    if wishes.trains is Trains.JOINT and start:  # its factor says what it depends on
        info = files.read_file(start).info
        variable, parents, palette = wishes.variable or info.variable, list(info.parents), info.palette
    wanted = {
        Trains.IMAGE: [IMAGE, variable],
        Trains.JOINT: [variable, *parents, IMAGE],
    }.get(wishes.trains, [variable, *parents])
    found = formats.look(wishes.folder, wanted, split=wishes.split)
    kind = kinds.get(variable)
    flip = all(can_be_mirrored(one.sources[variable], kind) for one in found.complete[:1])
    defaults = template.DEFAULTS[tiny][wishes.trains]
    captions = 1 if sum(one.caption_count for one in found.complete) > MANY_CAPTIONS else 0
    views = latents.Views(defaults.size, flip=flip)
    lines = contents.described(found, wanted)
    lines += _sizes(found, wishes.trains, wanted, views, captions, backbones[wishes.base]() if tiny else None)
    text = template.written(
        wishes.trains, defaults,
        file=wishes.to, folder=wishes.folder, found="\n".join(f"#   {line}" for line in lines),
        output=_quoted(Path("fgdm-training")), output_plain="fgdm-training", variable=variable, parents=_quoted(*parents, many=True),
        base=_quoted(wishes.base if tiny else Path(wishes.base).resolve()), data=_quoted(wishes.folder.resolve()),
        format=found.format, split=wishes.split, palette=palette or formats.palette_name(found), flip=str(flip).lower(),
        captions=captions, without_caption=str(bool(found.no_caption)).lower(),
        start=_quoted(start.resolve()) if start else "", image_factor=_quoted(image_factor.resolve()) if image_factor else "",
    )  # fmt: skip
    wishes.to.write_text(text, encoding="utf-8")
    return recipe.read(wishes.to)


def _files(wishes: Wishes, variable: str, shipped: Shipped) -> tuple[Path | None, Path | None]:
    """(start, image factor) that the recipe names. RecipeError if joint training lacks one, FactorFileError for no factor."""
    start, image_factor = wishes.start, wishes.image_factor
    if wishes.trains is Trains.JOINT:
        embedded = shipped(variable) or (None, None)
        start, image_factor = start or embedded[0], image_factor or embedded[1]
        if not start or not image_factor:
            raise RecipeError(
                "init --trains joint goes on from two files: name a trained factor with --start, and the image factor (a ControlNet) "
                "of its maps with --image-factor"
            )
    elif image_factor:
        raise RecipeError("--image-factor is for --trains joint; to go on from an image factor, name it with --start")
    for path, read in ((start, _reader(wishes.trains)), (image_factor, image_files.read)):
        if path:
            read(path)
    return start, image_factor


def _reader(trains: Trains) -> Callable[[Path], object]:
    return image_files.read if trains is Trains.IMAGE else files.read_file


def _there(place: Path, wanted: str | None) -> tuple[str, list[str]]:
    """(what is drawn or followed, its parents): what a user wants, or what is there."""
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
    found: contents.Contents,
    trains: Trains,
    variables: list[str],
    views: latents.Views,
    captions: int,
    tiny: Backbone | None,
) -> list[str]:
    """How much disk the cached latents and prompts take, with the tiny family (if it is the base) and Stable Diffusion 1.x."""
    examples = contents.usable(dataclasses.replace(found, incomplete={}), True, captions) if found.complete else ()
    edge = template.DEFAULTS[False][trains].size
    bases = {
        f"Stable Diffusion 1.x at {edge} pixels": (template.FACTS, (77, 768), dataclasses.replace(views, size=edge))
    }
    if tiny:
        bases = {"this base": (tiny.facts, tuple(tiny.prompts([""]).shape[1:]), views), **bases}
    count = 1 if trains is Trains.IMAGE else len(variables)  # an image factor reads its maps as pictures
    return [
        f"{_size(latents.stored_bytes(examples, count, seen, facts, prompt))} of disk for cached latents and prompts with {name}"
        for name, (facts, prompt, seen) in bases.items()
    ]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"


def _quoted(*values: object, many: bool = False) -> str:
    """TOML of texts: one, or a list."""
    texts = ['"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]
    return f"[{', '.join(texts)}]" if many else texts[0]
