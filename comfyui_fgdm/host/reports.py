"""What the nodes say about maps: scores with a chart, and decoded maps with masks and a legend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import comfy.model_management
import torch

from ..maps import cleaning, palettes
from ..maps.conversion import Colours, convert
from ..maps.reader import Reader, VariableError
from ..maps.regions import Segs, find_regions, to_segs
from ..objects import charts, gallery, recall, words
from ..objects.query import summary
from ..sampling.noise import candidate_seed
from . import own
from .models.factor import Factor
from .reading import class_labels, describe, pictures_of, read_maps, scored_reader, to_image, told_reader
from .usage import Usage


@dataclass(frozen=True)
class MapScores:
    """Result of a best-of-N search: kept indices (best first), recall of the best, the maps as a chart IMAGE, their scores
    as a table IMAGE, JSON text, and in one line what was counted and what was not."""

    best: list[int]
    recall: float
    chart: torch.Tensor
    table: torch.Tensor
    json: str
    summary: str


def score_maps(
    maps: torch.Tensor,
    query: words.ObjectQuery,
    factor: Factor | None = None,
    *,
    seed: int | None = None,
    keep: int = 1,
    min_area: float = recall.RULE.min_area,
    erode: int = recall.RULE.erode,
    usage: Usage | None = None,
) -> MapScores:
    """Object recall of an IMAGE batch of maps. See recall.py for when an object counts as present.

    usage: ``factor`` has just drawn these maps in a search, so they are none of something else, however badly they came out.
    Objects that ``factor`` cannot draw are left out and reported. Raises ObjectsError if none is
    left, NotAMapError for pictures that are no maps, ValueError if ``keep`` is out of range.
    """
    if not 1 <= keep <= len(maps):
        raise ValueError(f"keep: {keep} of {len(maps)} maps cannot be kept; give a number from 1 to {len(maps)}.")
    reader = scored_reader(factor, query)
    if factor is not None:
        query = words.restrict(query, factor.info.classes)
    rule = recall.PresenceRule(min_area=min_area, erode=erode)
    labels = read_maps(maps, reader, others=own.library().all, sampled=usage is not None).labels
    scores = recall.score(labels, query, rule)
    numbers = range(len(maps)) if usage is None else usage.finished
    seeds = None if seed is None else [candidate_seed(seed, number) for number in numbers]
    best = recall.best(scores, keep).tolist()
    pictures, title = maps.float().cpu(), f"Object recall: {query.text}"
    comfy.model_management.throw_exception_if_processing_interrupted()
    told = usage.sentence() if usage is not None and (usage.stop_at is not None or usage.dropped or usage.note) else ""
    chart = gallery.score_gallery(scores, query, pictures, seeds, title, told)
    table = charts.score_chart(scores, query, pictures, seeds, title, query.palette, told)
    report = recall.to_json(scores, query, seeds, rule)
    if usage is not None:
        report["search"] = usage.report()
    return MapScores(
        best=best,
        recall=float(scores.recall[best[0]]),
        chart=to_image(charts.to_tensor(chart)),
        table=to_image(charts.to_tensor(table)),
        json=_dumps(report),
        summary="; ".join(filter(None, (summary(query), told))),
    )


@dataclass(frozen=True)
class Decoding:
    """How a map is to be decoded. class_name: of the mask. rule: how colours are read. colours: to paint in. smallest:
    share of the map, 0..1, below which a piece is a speck. palette: name of that of the maps; empty: the factor's own,
    COCO without a factor."""

    class_name: str = ""
    rule: palettes.Rule = palettes.Rule.NEAREST
    colours: Colours = Colours.AS_READ
    smallest: float = cleaning.SMALLEST
    palette: str = ""


Decoded = tuple[torch.Tensor, torch.Tensor, torch.Tensor, str, list[Segs]]
"""Clean maps IMAGE, mask MASK (B, H, W), legend IMAGE, JSON text, and the regions of the mask as one SEGS a map."""


def decode_map(maps: torch.Tensor, factor: Factor | None, wishes: Decoding = Decoding()) -> Decoded:
    """What is on an IMAGE batch of maps of any variable.

    With classes: the mask is that of the class (or of all things); clean maps and legend are in ``colours``, all else is
    said in the classes that were read; in the clean maps specks and void are gone (see cleaning.py). Without: the mask
    is the level of the variable (nearness of depth, strength of a line), and the legend says what the pictures show.
    Raises NotAMapError for pictures that are no maps, ValueError for an unknown class, colours without a table, and a
    variable that cannot be read.
    """
    library = own.library()
    reader = told_reader(factor, wishes.palette, library)
    if reader.palette is None:
        return _decode_values(pictures_of(maps), reader, wishes)
    palette, wanted = reader.palette, class_labels(wishes.class_name, reader)
    try:
        table = library.table(palette, wishes.colours)
    except palettes.PaletteError as error:
        raise ValueError(f"colours: {error}. Choose {Colours.AS_READ.value!r}.") from None
    reading = read_maps(maps, reader, wishes.rule, others=library.all)
    labels = reading.labels
    masked = palette.things if wanted is None else wanted
    regions = [find_regions(one) for one in labels]
    found = [label for label in labels.unique().tolist() if label != palette.void]
    report = {
        "palette": palette.name,
        "rule": wishes.rule.value,
        "classes": reader.classes,
        "mask": "things" if wanted is None else ", ".join(palette.labels[label].name for label in wanted),
        "colours": table.target.name,
        "without_colour": [palette.labels[label].name for label in found if label not in table.mapped],
        "maps": describe(reading, palette, regions),
    }
    clean = reader.clean(labels, wishes.smallest)
    size = (labels.shape[1], labels.shape[2])
    return (
        to_image(reader.draw(clean, table)),
        to_image(_mask(labels, masked)),
        to_image(charts.to_tensor(charts.legend(convert(clean, table), table.target))),
        _dumps(report),
        [to_segs([region for region in one if region.label in masked], size, palette) for one in regions],
    )


def _decode_values(pictures: torch.Tensor, reader: Reader, wishes: Decoding) -> Decoded:
    """``decode_map`` of maps without classes, float32 [B, H, W, 3]."""
    kind, size = reader.kind, (pictures.shape[1], pictures.shape[2])
    if wishes.class_name.strip():
        raise ValueError(f"class_name: {kind.name} maps have no classes; leave it empty.")
    if wishes.colours is not Colours.AS_READ:
        raise ValueError(f"colours: {kind.name} maps have no classes; choose {Colours.AS_READ.value!r}.")
    try:
        values = reader.read(pictures)
        clean = reader.draw(reader.clean(values, wishes.smallest))
    except VariableError as error:
        raise ValueError(f"factor: {error}.") from None
    level = torch.zeros(pictures.shape[:3]) if kind.level is None else kind.level(values)
    entries = [
        {"map": index, "width": size[1], "height": size[0], "least": float(one.min()), "mean": float(one.mean()),
         "most": float(one.max())}
        for index, one in enumerate(level)
    ]  # fmt: skip
    report = {"variable": kind.name, "title": kind.title, "about": kind.about, "values": kind.values, "maps": entries}
    legend = charts.note(kind.title, kind.about)
    return (
        to_image(clean),
        to_image(level),
        to_image(charts.to_tensor(legend)),
        _dumps(report),
        [(size, [])] * len(clean),
    )


def _mask(labels: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    return torch.isin(labels, torch.tensor(list(classes))).float()


def _dumps(report: dict) -> str:
    return json.dumps(report, indent=1)
