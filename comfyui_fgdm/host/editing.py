"""Recipes on IMAGE batches of maps: reading, applying, painting, and what the editor in the browser is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum

import comfy.model_management
import comfy.utils
import numpy as np
import torch

from ..editing import recipe
from ..editing.applying import Edited, edit_labels
from ..editing.keys import RecipeError
from ..editing.segmentation import TABLE
from ..maps.reader import Reader
from ..objects import recall
from ..objects.words import ObjectQuery
from . import indexed, own
from .models.factor import Factor
from .reading import pictures_of, read_maps, to_image, told_reader


class WhenChanged(Enum):
    """What to do with a recipe that was made on another map."""

    ASK = "ask"
    APPLY = "apply"
    IGNORE = "ignore"


@dataclass(frozen=True)
class EditInputs:
    """What Edit Map is given beside the maps. palette: name of that of the maps; empty: the factor's own, COCO without a
    factor. second, picture: IMAGE batches or None."""

    recipe: str = ""
    when_changed: WhenChanged = WhenChanged.ASK
    factor: Factor | None = None
    palette: str = ""
    second: torch.Tensor | None = None
    picture: torch.Tensor | None = None
    objects: ObjectQuery | None = None


@dataclass(frozen=True)
class EditResult:
    """maps IMAGE, changed MASK (B, H, W): 1 where a pixel has another class than before; json text; entry: for the editor."""

    maps: torch.Tensor
    changed: torch.Tensor
    json: str
    entry: dict


def edit_maps(maps: torch.Tensor, given: EditInputs, tell: Callable[[dict], None] = lambda entry: None) -> EditResult:
    """Apply a recipe to every map of an IMAGE batch; its fingerprint is that of the first.

    tell: is given the entry for the editor if the recipe cannot be applied, before the error is raised. RecipeError as in
    ``editing``, and if the map has changed since and ``when_changed`` is ASK. NotAMapError for pictures that are no maps.
    """
    library = own.library()
    reader = told_reader(given.factor, given.palette, library)
    reading = read_maps(maps, reader, name="map", others=library.all)
    labels = reading.labels.numpy()
    query = _query(given.objects, reader)
    palette = reader.with_classes()
    second = None if given.second is None else read_maps(given.second, reader, name="second", others=library.all).labels
    mark = recipe.mark(labels[0], palette)
    unknown = [round(share, 6) for share in reading.unreadable.tolist()]
    entry = {
        "map": indexed.show(labels[0]),
        "second": None if second is None else indexed.show(second[0].numpy()),
        "picture": None if given.picture is None else indexed.show(_bytes(given.picture)),
        **asdict(mark),
        "variable": "segmentation",
        "classes": [
            [one.index, one.name, "#{:02x}{:02x}{:02x}".format(*one.rgb), one.index in palette.things]
            for one in palette.labels
        ],
        "void": palette.void,
        "objects": None if query is None else [[item.name, [item.label, *item.also]] for item in query.items],
        "unknown": unknown[0],
        "edited": None,
    }
    try:
        envelope = recipe.read(given.recipe)
        edited = _apply(labels, envelope, mark, reader, given.when_changed, second)
    except RecipeError:
        tell(entry)
        raise
    after = torch.from_numpy(np.stack([one.values for one in edited])).long()
    entry["edited"] = indexed.show(edited[0].values)
    entry["report"] = report = {
        "fits": envelope.fits(mark),
        "maps": [
            {**one.report(), "unknown": share, "changed": round(float((new != old).mean()), 6)}
            for one, share, new, old in zip(edited, unknown, after.numpy(), labels, strict=True)
        ],
    }
    if query is not None:
        report["recall"] = compared(reading.labels, after, query)
    return EditResult(
        to_image(reader.draw(after)), to_image((after != reading.labels).float()), json.dumps(report, indent=1), entry
    )


def _apply(
    labels: np.ndarray,
    envelope: recipe.Envelope,
    mark: recipe.MapMark,
    reader: Reader,
    when_changed: WhenChanged,
    second: torch.Tensor | None,
) -> list[Edited]:
    """The edited maps of a batch, int [B, H, W]."""
    palette = reader.with_classes()
    if envelope.operations and envelope.variable != "segmentation":
        raise RecipeError(f"recipe: it is for {envelope.variable} maps, and these are segmentation maps.")
    fits = envelope.fits(mark)
    if not fits and when_changed is WhenChanged.ASK:
        raise RecipeError(
            f"recipe: the map is not the one that these {len(envelope.operations)} edits were made on. They are kept: open the "
            "editor to apply them to the new map or to start again, or set when_changed to 'apply' or 'ignore'."
        )
    ignored = not fits and when_changed is WhenChanged.IGNORE
    operations = () if ignored else recipe.check(envelope.operations, TABLE, palette)
    made = envelope.made_on or mark
    bar = comfy.utils.ProgressBar(max(1, len(operations) * len(labels)))

    def tick(index: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if index % 64 == 0:
            bar.update(64)

    return [
        edit_labels(
            one,
            operations,
            palette,
            scale=envelope.scale(mark),
            second=None if second is None else second[min(k, len(second) - 1)].numpy(),
            load=lambda name: indexed.load(name, (made.width, made.height), len(palette)),
            tick=tick,
        )
        for k, one in enumerate(labels)
    ]


def compared(before: torch.Tensor, after: torch.Tensor, query: ObjectQuery) -> list[dict]:
    """Of each pair of label maps int [B, H, W]: recall before and after, and the names of the objects that are missing."""
    entries = []
    scores = [recall.score(labels, query) for labels in (before, after)]
    for k in range(len(before)):
        entry = {}
        for name, score in zip(("before", "after"), scores, strict=True):
            there = score.present[k].tolist()
            missing = [item for item, yes in zip(query.names, there, strict=True) if not yes]
            entry[name] = {"recall": round(float(score.recall[k]), 6), "missing": missing}
        entries.append(entry)
    return entries


def _query(objects: ObjectQuery | None, reader: Reader) -> ObjectQuery | None:
    if objects is not None and objects.palette != reader.with_classes():
        raise ValueError(
            f"objects: they are classes of {objects.palette.name!r}, but the map is read as {reader.with_classes().name!r}. "
            "Connect the same factor to Objects, or choose the palette."
        )
    return objects


def _bytes(picture: torch.Tensor) -> np.ndarray:
    """The first picture of an IMAGE batch, uint8 [H, W, 3]."""
    return (pictures_of(picture[..., :3], "picture")[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
