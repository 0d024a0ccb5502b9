"""Edits of IMAGE batches of segmentation maps: reading them, applying operations to each, painting the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import comfy.model_management
import comfy.utils
import numpy as np
import torch

from ..editing import recipe
from ..editing.applying import Edited, edit_labels
from ..editing.keys import Scale
from ..editing.recipe import Operation
from ..maps.palette_file import Palette
from ..maps.reader import Reader
from ..objects import recall
from ..objects.words import ObjectQuery
from . import indexed, own
from .models.factor import Factor
from .reading import read_maps, to_image, told_reader


@dataclass(frozen=True)
class OpenMaps:
    """Maps that were read. labels: int64 (B, H, W). unknown: of each, the share of pixels that are near no colour."""

    reader: Reader
    labels: torch.Tensor
    unknown: tuple[float, ...]

    @property
    def palette(self) -> Palette:
        return self.reader.with_classes()

    @property
    def mark(self) -> recipe.MapMark:
        """That of the first map."""
        return recipe.mark(self.labels[0].numpy(), self.palette)

    def another(self, maps: torch.Tensor, name: str) -> np.ndarray:
        """The labels of maps of the same palette, int64 (b, h, w)."""
        return read_maps(maps, self.reader, name=name, others=own.library().all).labels.numpy()


@dataclass(frozen=True)
class Outcome:
    """maps IMAGE, changed MASK (B, H, W): 1 where a pixel has another class than before; labels int64 (B, H, W); report: of each
    map what was done, see ``Edited.report``. unknown: what is said of the pixels that could not be read."""

    maps: torch.Tensor
    changed: torch.Tensor
    labels: torch.Tensor
    report: list[dict]
    unknown: str = "are of no known colour"

    @property
    def summary(self) -> str:
        """One line for the node."""
        skipped = [f"{one['op']}: {one['why']}" for entry in self.report for one in entry["skipped"]]
        share = sum(entry["changed"] for entry in self.report) / len(self.report)
        told = f"{100 * share:.1f} % of the pixels changed"
        unknown = max(entry["unknown"] for entry in self.report)
        told += f"; {100 * unknown:.1f} % {self.unknown}" if unknown >= 0.001 else ""
        by_model = [entry["by_model"] for entry in self.report if "by_model" in entry]
        told += "; a language model read what the grammar does not" if any(one["sentences"] for one in by_model) else ""
        told += next(
            (f"; the language model could not be used: {one['failed']}" for one in by_model if one["failed"]), ""
        )
        return (
            told if not skipped else f"{told}; left out: {'; '.join(skipped[:3])}{' ...' if len(skipped) > 3 else ''}"
        )


def tick(index: int) -> None:
    """Before the operation of that index of a recipe: stops if the user wants the run to stop."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def open_maps(maps: torch.Tensor, factor: Factor | None = None, palette: str = "") -> OpenMaps:
    """Read an IMAGE batch of segmentation maps. palette: its name; empty: the factor's own, COCO without a factor.

    NotAMapError for pictures that are none, ValueError for a factor of maps without classes.
    """
    library = own.library()
    reader = told_reader(factor, palette, library)
    if reader.palette is None:
        raise ValueError(f"factor: {reader.kind.name} maps have no classes to edit; connect a segmentation factor.")
    reading = read_maps(maps, reader, name="map", others=library.all)
    return OpenMaps(reader, reading.labels, tuple(round(share, 6) for share in reading.unreadable.tolist()))


def edit(
    opened: OpenMaps,
    operations: Callable[[int, np.ndarray], Sequence[Operation]],
    *,
    scale: Scale = (1.0, 1.0),
    made_on: recipe.MapMark | None = None,
    second: np.ndarray | None = None,
) -> Outcome:
    """Apply operations to every map. operations: gives them for a map by its index and labels. scale, made_on: of the recipe that
    they come from. second: labels (b, h, w) of other maps; the last one stands for all that are missing."""
    palette = opened.palette
    size = (made_on.width, made_on.height) if made_on else (opened.labels.shape[2], opened.labels.shape[1])
    bar = comfy.utils.ProgressBar(len(opened.labels))

    edited: list[Edited[np.ndarray]] = []
    for k, labels in enumerate(opened.labels.numpy()):
        tick(0)
        edited.append(
            edit_labels(
                labels,
                operations(k, labels),
                palette,
                scale=scale,
                second=None if second is None else second[min(k, len(second) - 1)],
                load=lambda name: indexed.load(name, size, len(palette)),
                tick=tick,
            )
        )
        bar.update(1)
    after = torch.from_numpy(np.stack([one.values for one in edited]))
    differs = after != opened.labels
    report = [
        {**one.report(), "unknown": share, "changed": round(float(new.float().mean()), 6)}
        for one, share, new in zip(edited, opened.unknown, differs, strict=True)
    ]
    return Outcome(to_image(opened.reader.draw(after)), to_image(differs.float()), after, report)


def compared(before: torch.Tensor, after: torch.Tensor, query: ObjectQuery) -> list[dict]:
    """Of each pair of label maps int [B, H, W]: recall before and after, and the names of the objects that are missing."""

    def entries(labels: torch.Tensor) -> list[dict]:
        scores = recall.score(labels, query)
        lacks = recall.missing(scores, query)
        return [{"recall": round(float(one), 6), "missing": m} for one, m in zip(scores.recall, lacks, strict=True)]

    return [{"before": one, "after": other} for one, other in zip(entries(before), entries(after), strict=True)]


def check_objects(objects: ObjectQuery | None, opened: OpenMaps) -> None:
    """ValueError for objects of another palette than that of the maps."""
    if objects is not None and objects.palette != opened.palette:
        raise ValueError(
            f"objects: they are classes of {objects.palette.name!r}, but the map is read as {opened.palette.name!r}. "
            "Connect the same factor to Objects, or choose the palette."
        )
