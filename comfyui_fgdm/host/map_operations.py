"""Single operations on IMAGE batches of maps, as the nodes offer them: the recipes that they come to, map by map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from ..editing import by_model, comparing, instructions, recipe, referring
from ..editing.applying import TABLES
from ..editing.keys import RecipeError, said
from ..editing.recipe import Operation
from ..editing.referring import Reference
from ..editing.regions import Gone
from ..editing.scene import Scene
from ..editing.segmentation import TABLE
from ..maps import palettes
from ..maps.palette_file import Palette
from ..objects.words import ObjectQuery
from . import chat, value_editing
from .choices import Asked, Which
from .editing import OpenMaps, Outcome, check_objects, compared, edit
from .reading import class_labels, to_image

DRAWINGS = ("stroke", "line", "rectangle", "ellipse", "polygon", "fill", "recolour", "background")


@dataclass(frozen=True)
class Selection:
    """What a node is to act on: of a class (empty: any) the region at a point, what lies in a MASK (B, h, w), or one or all of its
    regions. x, y: -1 for no point."""

    class_name: str = ""
    which: Which = Which.LARGEST
    x: int = -1
    y: int = -1
    mask: torch.Tensor | None = None

    def lifts(self, k: int, labels: np.ndarray, opened: OpenMaps, op: str = "lift", **more) -> list[Operation]:
        """Operations that make layers "1", "2", ... of it on map ``k`` of the batch; one that finds nothing if there is nothing."""
        named = class_labels(self.class_name, opened.reader)
        at = (float(self.x), float(self.y)) if min(self.x, self.y) >= 0 else None
        if named is None and at is None and self.mask is None:
            raise ValueError("class_name: say what to take: a class, a point (x and y), or a mask.")
        there = [label for label in named or () if (labels == label).any()] or list(named or ())[:1]
        if self.mask is not None:
            mask = _mask(self.mask, k, labels.shape)
            found: list[dict] = [{"mask": mask, **({"label": label} if named else {})} for label in there or [0]]
        elif at is not None:
            found = [{"at": at, **({"label": there[0]} if named else {})}]
        else:
            by = {"largest": "large", "smallest": "small"}.get(self.which.value, self.which.value)
            count = None if self.which is Which.ALL else 1
            try:
                places = referring.find_on(labels, Reference(tuple(there), count, by, self.class_name))
                found = [{"label": one.label, "at": one.at} for one in places]
            except Gone:
                found = [{"label": there[0]}]
        return [Operation(op, number, {"id": str(number), **one, **more}) for number, one in enumerate(found, 1)]


def _mask(mask: torch.Tensor, k: int, shape: tuple[int, ...]) -> np.ndarray:
    """The mask of map ``k``, bool [H, W]; a batch that is too short ends with its last one for all others."""
    if mask.ndim == 2:
        mask = mask[None]
    one = mask[min(k, len(mask) - 1)][None, None].float().cpu()
    return (F.interpolate(one, size=shape, mode="nearest-exact")[0, 0] > 0.5).numpy()


@dataclass(frozen=True)
class Change:
    """What is done to each region: see ``segmentation.transform``. behind: class that it goes behind, empty: none. copy: the
    original stays. new_class: what it becomes, empty: stays."""

    move: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    rotate: float = 0.0
    flip: str | None = None
    behind: str = ""
    copy: bool = False
    new_class: str = ""


def transform(opened: OpenMaps, selection: Selection, change: Change) -> Outcome:
    """Move, resize, turn, flip, copy, reclass regions, or put them behind others."""
    new, behind = _class(opened, change.new_class, "new_class"), class_labels(change.behind, opened.reader)

    def operations(k: int, labels: np.ndarray) -> list[Operation]:
        lifts = selection.lifts(k, labels, opened)
        rest: list[tuple[str, dict]] = []
        for one in lifts:
            name = one.arguments["id"]
            if change.copy:
                rest.append(("duplicate", {"target": name, "id": f"{name} copy"}))
                name = f"{name} copy"
            if new is not None:
                rest.append(("reclass", {"target": name, "label": new}))
            rest.append(
                (
                    "transform",
                    {
                        "target": name,
                        "flip": change.flip,
                        "scale": (change.scale, change.scale),
                        "rotate": change.rotate,
                        "move": change.move,
                    },
                )
            )
        rest += [
            ("lift", {"id": f"before {label}", "label": label}) for label in behind or () if (labels == label).any()
        ]
        return [*lifts, *_numbered(rest, len(lifts))]

    return edit(opened, operations)


def delete(opened: OpenMaps, selection: Selection, fill: str) -> Outcome:
    """Take regions away. fill: class that the hole gets, empty: its surroundings. All of a class is all of it, specks included."""
    closed = _class(opened, fill, "fill")
    named = class_labels(selection.class_name, opened.reader)
    whole = (
        named is not None
        and selection.which is Which.ALL
        and selection.mask is None
        and min(selection.x, selection.y) < 0
    )

    def operations(k: int, labels: np.ndarray) -> list[Operation]:
        if whole:
            there = [label for label in named or () if (labels == label).any()] or list(named or ())[:1]
            lifts = _numbered([("lift", {"id": str(label), "label": label, "fill": closed}) for label in there], 0)
        else:
            lifts = selection.lifts(k, labels, opened, fill=closed)
        return [*lifts, *_numbered([("delete", {"target": one.arguments["id"]}) for one in lifts], len(lifts))]

    return edit(opened, operations)


def paste(opened: OpenMaps, second: torch.Tensor, selection: Selection, to: tuple[int, int], change: Change) -> Outcome:
    """Copy regions of other maps. to: pixel for the centre of the first one, -1: the place that it has there."""
    others = opened.another(second, "second")

    def operations(k: int, labels: np.ndarray) -> list[Operation]:
        source = others[min(k, len(others) - 1)]
        more = {"to": (float(to[0]), float(to[1]))} if min(to) >= 0 else {}
        pasted = selection.lifts(k, source, opened, "paste", **more)
        scale = (change.scale, change.scale)
        turned = [("transform", {"target": one.arguments["id"], "flip": change.flip, "scale": scale}) for one in pasted]
        return [*pasted, *_numbered(turned, len(pasted))]

    return edit(opened, operations, second=others)


def change_class(opened: OpenMaps, old: str, new: str, second: torch.Tensor | None) -> Outcome:
    """Give a class, or the background (empty), another class; the background of a second map, if ``new`` is empty."""
    named, goal = class_labels(old, opened.reader), _class(opened, new, "to_class")
    if goal is None and (named is not None or second is None):
        raise ValueError("to_class: say what it becomes; only the background can come from a second map.")
    if named is None:
        wanted = [("background", {"label": goal} if goal is not None else {"source": "second"})]
    else:
        wanted = [("recolour", {"old": label, "new": goal}) for label in named]
    others = None if second is None else opened.another(second, "second")
    return edit(opened, lambda k, labels: _numbered(wanted, 0), second=others)


def draw(opened: OpenMaps, shapes: str) -> Outcome:
    """Draw shapes, a JSON list of the drawing operations of a recipe; RecipeError for anything else."""
    operations = _shapes(shapes, {name: TABLE[name] for name in DRAWINGS}, opened.palette)
    return edit(opened, lambda k, labels: operations)


def draw_levels(maps: torch.Tensor, shapes: str, variable: str) -> Outcome:
    """The same on depth maps or sketches, with all operations that these have."""
    operations = _shapes(shapes, TABLES[variable], None)
    return value_editing.edit(maps, value_editing.read(maps, variable), operations, variable)


def _shapes(text: str, table: recipe.Table, palette: Palette | None) -> Sequence[Operation]:
    try:
        raw = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"shapes: this is no JSON ({error}).") from None
    if not isinstance(raw, list):
        raise RecipeError(f"shapes: expected a list of shapes, got {said(raw)}.")
    if len(raw) > recipe.MOST:
        raise RecipeError(f"shapes: {len(raw)} shapes; at most {recipe.MOST} are drawn.")
    try:
        return recipe.check(raw, table, palette)
    except RecipeError as error:
        raise RecipeError(str(error).replace("recipe:", "shapes:", 1)) from None


@dataclass(frozen=True)
class Model:
    """Whether and how a language model is asked what sentences mean. name: empty: the one that is set up. timeout: seconds that a
    question may take."""

    asked: Asked = Asked.NEVER
    name: str = ""
    timeout: float = 30.0


def by_words(opened: OpenMaps, text: str, model: Model = Model()) -> tuple[Outcome, str]:  # noqa: B008 (frozen)
    """Do what sentences say, to each map; and the recipe for the first one. InstructionError for one that is not understood."""
    ask = None if model.asked is Asked.NEVER else _asking(opened.palette, model)
    always = model.asked is Asked.ALWAYS
    understood = [
        instructions.understand(text, labels, opened.palette, ask, always) for labels in opened.labels.numpy()
    ]
    checked = [recipe.check(one.operations, TABLE, opened.palette) for one in understood]
    outcome = edit(opened, lambda k, labels: checked[k])
    for entry, one in zip(outcome.report, understood, strict=True):
        entry["skipped"] += [{"operation": 0, "op": sentence, "why": why} for sentence, why in one.skipped]
        if ask is not None:
            entry["by_model"] = {"sentences": list(one.told), "failed": one.failed}
    if any(one.failed for one in understood):
        chat.failed()
    return outcome, recipe.write(understood[0].operations, opened.mark)


def _asking(palette: Palette, model: Model) -> instructions.Ask:
    """A function that asks the language model which the server's owner has set up."""

    def ask(sentences: str, scene: Scene) -> Sequence[by_model.Told]:
        conversation = by_model.messages(sentences, scene, palette)
        return by_model.read_answer(chat.answer(chat.endpoint(model.name), conversation, model.timeout), scene, palette)

    return ask


@dataclass(frozen=True)
class Comparison:
    """picture IMAGE (B, H, 2 W, 3), changed MASK (B, H, W), share of pixels that changed, json text."""

    picture: torch.Tensor
    changed: torch.Tensor
    share: float
    json: str


def compare(before: OpenMaps, after: torch.Tensor, objects: ObjectQuery | None) -> Comparison:
    """What is different between maps and their edited versions, one by one."""
    check_objects(objects, before)
    others = torch.from_numpy(before.another(after, "after"))
    if others.shape != before.labels.shape:
        sizes = " and ".join(f"{len(one)} of {one.shape[2]} x {one.shape[1]}" for one in (before.labels, others))
        raise ValueError(f"after: maps can be compared if they are as many and as large; these are {sizes}.")
    entries = [
        comparing.differences(a, b, before.palette) for a, b in zip(before.labels.numpy(), others.numpy(), strict=True)
    ]
    report: dict = {"maps": entries}
    if objects is not None:
        report["recall"] = compared(before.labels, others, objects)
    colours = (palettes.colours(before.palette) / 255).numpy()
    pictures = [comparing.picture(a, b, colours) for a, b in zip(before.labels.numpy(), others.numpy(), strict=True)]
    differs = others != before.labels
    return Comparison(
        to_image(torch.from_numpy(np.stack(pictures))),
        to_image(differs.float()),
        float(differs.float().mean()),
        json.dumps(report, indent=1),
    )


def _class(opened: OpenMaps, name: str, what: str) -> int | None:
    """The class that a name means, None for an empty one."""
    try:
        found = class_labels(name, replace(opened.reader, classes=None))  # any class of the palette may be painted
    except ValueError as error:
        raise ValueError(str(error).replace("class_name:", f"{what}:", 1)) from None
    return None if found is None else found[0]


def _numbered(wanted: Sequence[tuple[str, dict]], start: int) -> list[Operation]:
    return [Operation(op, number, arguments) for number, (op, arguments) in enumerate(wanted, start + 1)]
