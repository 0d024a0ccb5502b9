"""What the nodes say about maps: scores with a chart, and decoded maps with masks and a legend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..maps import cleaning, palettes
from ..maps.conversion import Colours, convert, table_for
from ..maps.regions import Segs, find_regions, to_segs
from ..objects import charts, recall, words
from ..sampling.noise import candidate_seed
from . import own
from .models.factor import Factor
from .reading import class_index, classes_of, clean_pictures, describe, palette_of, read_maps, scored_palette, to_image


@dataclass(frozen=True)
class MapScores:
    """Result of a best-of-N search: kept indices (best first), recall of the best, chart IMAGE, JSON text."""

    best: list[int]
    recall: float
    chart: torch.Tensor
    json: str


def score_maps(
    maps: torch.Tensor,
    query: words.ObjectQuery,
    factor: Factor | None = None,
    *,
    seed: int | None = None,
    keep: int = 1,
    min_area: float = recall.RULE.min_area,
    erode: int = recall.RULE.erode,
) -> MapScores:
    """Object recall of an IMAGE batch of maps. See recall.py for when an object counts as present.

    Objects that ``factor`` cannot draw are left out and reported. Raises ObjectsError if none is
    left, NotAMapError for pictures that are no maps, ValueError if ``keep`` is out of range.
    """
    if not 1 <= keep <= len(maps):
        raise ValueError(f"keep: {keep} of {len(maps)} maps cannot be kept; give a number from 1 to {len(maps)}.")
    scored_palette(factor, query)
    if factor is not None:
        query = words.restrict(query, factor.info.classes)
    rule = recall.PresenceRule(min_area=min_area, erode=erode)
    labels = read_maps(maps, factor).labels
    scores = recall.score(labels, query, rule)
    seeds = None if seed is None else [candidate_seed(seed, index) for index in range(len(maps))]
    best = recall.best(scores, keep).tolist()
    chart = charts.score_chart(scores, query, maps.float().cpu(), seeds, f"Object recall: {query.text}", query.palette)
    return MapScores(
        best=best,
        recall=float(scores.recall[best[0]]),
        chart=to_image(charts.to_tensor(chart)),
        json=_dumps(recall.to_json(scores, query, seeds, rule)),
    )


def decode_map(
    maps: torch.Tensor,
    factor: Factor | None,
    class_name: str = "",
    rule: palettes.Rule = palettes.Rule.NEAREST,
    colours: Colours = Colours.AS_READ,
    smallest: float = cleaning.SMALLEST,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, str, list[Segs]]:
    """What is on an IMAGE batch of maps: clean maps IMAGE, mask MASK (B, H, W) of the class (or of all things),
    legend IMAGE, JSON text, and the regions of the mask as one SEGS a map.

    Clean maps and legend are in ``colours``; all else is said in the classes that were read. In the clean maps
    pieces below the share ``smallest`` and void are gone (see cleaning.py). Raises
    NotAMapError for pictures that are no maps, ValueError for an unknown class or colours without a table.
    """
    own.refresh()
    palette = palette_of(factor)
    wanted = class_index(class_name, factor)
    try:
        table = table_for(palette, colours)
    except palettes.PaletteError as error:
        raise ValueError(f"colours: {error}. Choose {Colours.AS_READ.value!r}.") from None
    reading = read_maps(maps, factor, rule)
    labels = reading.labels
    masked = palette.things if wanted is None else (wanted,)
    regions = [find_regions(one) for one in labels]
    found = [label for label in labels.unique().tolist() if label != palette.void]
    report = {
        "palette": palette.name,
        "rule": rule.value,
        "classes": classes_of(factor),
        "mask": "things" if wanted is None else palette.labels[wanted].name,
        "colours": table.target.name,
        "without_colour": [palette.labels[label].name for label in found if label not in table.mapped],
        "maps": describe(reading, palette, regions),
    }
    painted = convert(cleaning.clean(labels, palette.void, smallest), table)
    size = (labels.shape[1], labels.shape[2])
    return (
        clean_pictures(painted, table.target),
        to_image(_mask(labels, masked)),
        to_image(charts.to_tensor(charts.legend(painted, table.target))),
        _dumps(report),
        [to_segs([region for region in one if region.label in masked], size, palette) for one in regions],
    )


def paint(maps: torch.Tensor, factor: Factor | None, colours: Colours) -> torch.Tensor:
    """An IMAGE batch of maps in exact class colours, without specks and void. It may show maps in the making: they are
    read as well as may be. PaletteError for colours without a table, ValueError for a factor of maps without classes."""
    palette = palette_of(factor)
    table = table_for(palette, colours)
    labels = palettes.decode(maps.to(device="cpu", dtype=torch.float32), palette, classes_of(factor))
    return clean_pictures(convert(cleaning.clean(labels, palette.void), table), table.target)


def _mask(labels: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    return torch.isin(labels, torch.tensor(list(classes))).float()


def _dumps(report: dict) -> str:
    return json.dumps(report, indent=1)
