"""Edit Map: a recipe on a batch of maps, and what the editor in the browser is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ..editing import recipe
from ..editing.applying import TABLES
from ..editing.keys import RecipeError
from ..editing.segmentation import TABLE
from ..objects.words import ObjectQuery
from . import indexed, value_editing
from .choices import WhenChanged
from .editing import OpenMaps, Outcome, check_objects, compared, edit, open_maps
from .models.factor import Factor
from .reading import pictures_of


@dataclass(frozen=True)
class EditInputs:
    """What Edit Map is given beside the maps. variable: what kind of maps they are; empty: that of the factor, else that of the
    recipe. palette: name of that of the maps; empty: the factor's own, COCO without a factor. second, picture: IMAGE batches or None."""

    recipe: str = ""
    when_changed: WhenChanged = WhenChanged.ASK
    factor: Factor | None = None
    palette: str = ""
    variable: str = ""
    second: torch.Tensor | None = None
    picture: torch.Tensor | None = None
    objects: ObjectQuery | None = None


@dataclass(frozen=True)
class EditResult:
    """outcome: the edited maps. json: the report as text. entry: for the editor in the browser."""

    outcome: Outcome
    json: str
    entry: dict


def edit_maps(maps: torch.Tensor, given: EditInputs, tell: Callable[[dict], None] = lambda entry: None) -> EditResult:
    """Apply a recipe to every map of an IMAGE batch; its fingerprint is that of the first.

    tell: is given the entry for the editor if the recipe cannot be applied, before the error is raised. RecipeError as in
    ``editing``, and if the map has changed since and ``when_changed`` is ASK. NotAMapError for pictures that are no maps.
    """
    variable = _variable(given)
    if variable in value_editing.EDITED:
        return _edit_values(maps, given, variable, tell)
    opened = open_maps(maps, given.factor, given.palette)
    check_objects(given.objects, opened)
    second = None if given.second is None else opened.another(given.second, "second")
    entry = _entry(opened, given, second)
    try:
        envelope = recipe.read(given.recipe)
        outcome = _apply(opened, envelope, given.when_changed, second)
    except RecipeError:
        tell(entry)
        raise
    report: dict = {"fits": envelope.fits(opened.mark), "maps": outcome.report}
    if given.objects is not None:
        report["recall"] = compared(opened.labels, outcome.labels, given.objects)
    entry |= {"edited": indexed.show(outcome.labels[0].numpy()), "report": report}
    return EditResult(outcome, json.dumps(report, indent=1), entry)


def _variable(given: EditInputs) -> str:
    """Of what variable the maps are. ValueError if it is said to be another one than that of the factor."""
    drawn = None if given.factor is None else given.factor.reader.kind.name
    if given.variable and drawn not in (None, given.variable):
        raise ValueError(
            f"variable: the factor draws {drawn} maps, and this says {given.variable}; set it to 'of the factor', or disconnect the factor."
        )
    if given.variable or drawn:
        return given.variable or drawn or ""
    try:
        return recipe.read(given.recipe).variable
    except RecipeError:
        return "segmentation"


def _ignored(envelope: recipe.Envelope, mark: recipe.MapMark, when_changed: WhenChanged) -> bool:
    """Whether the maps pass unedited; RecipeError if the recipe is of another map and nobody said what to do then."""
    fits = envelope.fits(mark)
    if not fits and when_changed is WhenChanged.ASK:
        raise RecipeError(
            f"recipe: the map is not the one that these {len(envelope.operations)} edits were made on. They are kept: open the "
            "editor to apply them to the new map or to start again, or set when_changed to 'apply' or 'ignore'."
        )
    return not fits and when_changed is WhenChanged.IGNORE


def _edit_values(maps: torch.Tensor, given: EditInputs, variable: str, tell: Callable[[dict], None]) -> EditResult:
    """``edit_maps`` of maps without classes."""
    if given.objects is not None:
        raise ValueError(f"objects: {variable} maps have no classes, so no objects can be counted; disconnect it.")
    if given.second is not None:
        raise ValueError(f"second: nothing can be taken from a second map into {variable} maps; disconnect it.")
    levels = value_editing.read(maps, variable)
    mark = recipe.mark(levels[0], variable=variable)
    entry = {
        "map": indexed.show(levels[0]),
        "second": None,
        "picture": None if given.picture is None else indexed.show(_bytes(given.picture)),
        **asdict(mark),
        "variable": variable,
        "classes": [],
        "void": None,
        "objects": None,
        "unknown": 0.0,
        "edited": None,
    }
    try:
        envelope = recipe.read(given.recipe)
        if envelope.operations and envelope.variable != variable:
            raise RecipeError(f"recipe: it is for {envelope.variable} maps, and these are {variable} maps.")
        ignored = _ignored(envelope, mark, given.when_changed)
        operations = () if ignored else recipe.check(envelope.operations, TABLES[variable])
        outcome = value_editing.edit(maps, levels, operations, variable, envelope.scale(mark))
    except RecipeError:
        tell(entry)
        raise
    report = {"fits": envelope.fits(mark), "map": asdict(mark), "maps": outcome.report}
    entry |= {"edited": indexed.show(outcome.labels[0].numpy()), "report": report}
    return EditResult(outcome, json.dumps(report, indent=1), entry)


def _apply(
    opened: OpenMaps, envelope: recipe.Envelope, when_changed: WhenChanged, second: np.ndarray | None
) -> Outcome:
    if envelope.operations and envelope.variable != "segmentation":
        raise RecipeError(f"recipe: it is for {envelope.variable} maps, and these are segmentation maps.")
    ignored = _ignored(envelope, opened.mark, when_changed)
    operations = () if ignored else recipe.check(envelope.operations, TABLE, opened.palette)
    scale = envelope.scale(opened.mark)
    return edit(opened, lambda k, labels: operations, scale=scale, made_on=envelope.made_on, second=second)


def _entry(opened: OpenMaps, given: EditInputs, second: np.ndarray | None) -> dict:
    """What the editor needs: pictures of class indices, the map's mark, the classes, the wanted objects."""
    palette = opened.palette
    return {
        "map": indexed.show(opened.labels[0].numpy()),
        "second": None if second is None else indexed.show(second[0]),
        "picture": None if given.picture is None else indexed.show(_bytes(given.picture)),
        **asdict(opened.mark),
        "variable": "segmentation",
        "classes": [
            [one.index, one.name, "#{:02x}{:02x}{:02x}".format(*one.rgb), one.index in palette.things]
            for one in palette.labels
        ],
        "void": palette.void,
        "objects": None
        if given.objects is None
        else [[item.name, [item.label, *item.also]] for item in given.objects.items],
        "unknown": opened.unknown[0],
        "edited": None,
    }


def _bytes(picture: torch.Tensor) -> np.ndarray:
    """The first picture of an IMAGE batch, uint8 [H, W, 3]."""
    return (pictures_of(picture[..., :3], "picture")[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
