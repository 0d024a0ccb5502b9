"""Edit Map: a recipe on a batch of maps, and what the editor in the browser is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ..editing import recipe, shown
from ..editing.applying import TABLES
from ..editing.keys import RecipeError
from ..maps.palette_file import Palette
from ..objects.words import ObjectQuery
from . import indexed, pose_editing, value_editing
from .choices import WhenChanged
from .editing import Outcome, check_objects, compared, edit, open_maps
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
    opens = {"pose": _of_people, **dict.fromkeys(value_editing.EDITED, _of_levels)}
    task = opens.get(variable, _of_classes)(maps, given, variable)
    try:
        envelope = recipe.read(given.recipe)
        outcome = task.apply(envelope, task.operations(envelope, given.when_changed))
    except RecipeError:
        tell(task.entry)
        raise
    report = {"fits": envelope.fits(task.mark), **task.told(outcome)}
    entry = task.entry | {"edited": indexed.show(outcome.labels[0].numpy()), "report": report}
    return EditResult(outcome, json.dumps(report, indent=1), entry)


@dataclass(frozen=True)
class _Task:
    """What differs between maps of classes and of levels. mark, entry: of the first map. apply: does the operations of a recipe.
    told: what the report says of an outcome."""

    variable: str
    mark: recipe.MapMark
    entry: dict
    apply: Callable[[recipe.Envelope, Sequence[recipe.Operation]], Outcome]
    told: Callable[[Outcome], dict]
    palette: Palette | None = None

    def operations(self, envelope: recipe.Envelope, when_changed: WhenChanged) -> Sequence[recipe.Operation]:
        """Those of a recipe, checked; none if the maps are to pass unedited."""
        if envelope.operations and envelope.variable != self.variable:
            raise RecipeError(f"recipe: it is for {envelope.variable} maps, and these are {self.variable} maps.")
        if _ignored(envelope, self.mark, when_changed):
            return ()
        return recipe.check(envelope.operations, TABLES[self.variable], self.palette)


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


_WITHOUT_CLASSES = {"second": None, "classes": [], "void": None, "objects": None, "unknown": 0.0}


def _refuse_classes(given: EditInputs, variable: str) -> None:
    if given.objects is not None:
        raise ValueError(f"objects: {variable} maps have no classes, so no objects can be counted; disconnect it.")
    if given.second is not None:
        raise ValueError(f"second: nothing can be taken from a second map into {variable} maps; disconnect it.")


def _of_people(maps: torch.Tensor, given: EditInputs, variable: str) -> _Task:
    """Pose maps. The editor shows the people that were read, over the map itself if there is no other picture."""
    _refuse_classes(given, variable)
    crowds = pose_editing.read(maps)
    first = crowds[0]
    mark = recipe.mark(_bytes(maps), variable=variable)
    known = {
        "classes": shown.of_poses(),
        "people": [list(body) for body in first.bodies],
        "bold": first.bold,
        "bright": first.bright,
        "unknown": round(first.unread, 6),
    }
    under = maps if given.picture is None else given.picture
    entry = _entry(pose_editing.drawn(first, maps), mark, variable, under) | _WITHOUT_CLASSES | known
    return _Task(
        variable,
        mark,
        entry,
        lambda envelope, operations: pose_editing.edit(maps, crowds, operations, envelope.scale(mark)),
        lambda outcome: {"map": asdict(mark), "maps": outcome.report},
    )


def _of_levels(maps: torch.Tensor, given: EditInputs, variable: str) -> _Task:
    """Depth maps and sketches."""
    _refuse_classes(given, variable)
    levels = value_editing.read(maps, variable)
    mark = recipe.mark(levels[0], variable=variable)
    return _Task(
        variable,
        mark,
        _entry(levels[0], mark, variable, given.picture) | _WITHOUT_CLASSES,
        lambda envelope, operations: value_editing.edit(maps, levels, operations, variable, envelope.scale(mark)),
        lambda outcome: {"map": asdict(mark), "maps": outcome.report},
    )


def _of_classes(maps: torch.Tensor, given: EditInputs, variable: str) -> _Task:
    """Segmentation maps, and what else has classes."""
    opened = open_maps(maps, given.factor, given.palette)
    check_objects(given.objects, opened)
    second = None if given.second is None else opened.another(given.second, "second")
    palette, mark, objects = opened.palette, opened.mark, given.objects
    known = {
        "second": None if second is None else indexed.show(second[0]),
        "classes": shown.of_palette(palette),
        "void": palette.void,
        "objects": None if objects is None else [[item.name, [item.label, *item.also]] for item in objects.items],
        "unknown": opened.unknown[0],
    }

    def apply(envelope: recipe.Envelope, operations: Sequence[recipe.Operation]) -> Outcome:
        scale = envelope.scale(mark)
        return edit(opened, lambda k, labels: operations, scale=scale, made_on=envelope.made_on, second=second)

    def told(outcome: Outcome) -> dict:
        recall = {} if objects is None else {"recall": compared(opened.labels, outcome.labels, objects)}
        return {"maps": outcome.report, **recall}

    entry = _entry(opened.labels[0].numpy(), mark, "segmentation", given.picture) | known
    return _Task("segmentation", mark, entry, apply, told, palette)


def _entry(labels: np.ndarray, mark: recipe.MapMark, variable: str, picture: torch.Tensor | None) -> dict:
    """What the editor needs of any map: a picture of its labels, its mark, and the picture that is shown under it."""
    return {
        "map": indexed.show(labels),
        "picture": None if picture is None else indexed.show(_bytes(picture)),
        **asdict(mark),
        "variable": variable,
        "edited": None,
    }


def _bytes(picture: torch.Tensor) -> np.ndarray:
    """The first picture of an IMAGE batch, uint8 [H, W, 3]."""
    return (pictures_of(picture[..., :3], "picture")[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
