"""Map pictures as IMAGE tensors: reading them as labels, refusing what is no map, describing what is on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import comfy.model_management
import torch

from ..maps import palettes
from ..maps.regions import Region
from ..objects.query import ObjectQuery
from .models.factor import Factor

log = logging.getLogger(__name__)

UNREADABLE_LIMIT = 0.5
"""Share of pixels near no colour of the palette above which a picture is taken for something else than a map."""


class NotAMapError(ValueError):
    """An IMAGE that holds no segmentation maps."""


@dataclass(frozen=True)
class MapReading:
    """Labels (B, H, W) int64 on the CPU, and per map the share of pixels that are near no colour of the palette."""

    labels: torch.Tensor
    unreadable: torch.Tensor


def palette_of(factor: Factor | None) -> palettes.Palette:
    """The palette of a factor's maps; COCO without a factor. ValueError for a factor of maps without classes."""
    if factor is None:
        return palettes.COCO
    if factor.info.palette is None:
        raise ValueError(
            f"factor: {factor.name!r} draws {factor.info.variable} maps, which have no classes to count or to read. "
            "Connect a segmentation factor."
        )
    return palettes.get(factor.info.palette)


def scored_palette(factor: Factor | None, query: ObjectQuery | None = None) -> palettes.Palette:
    """``palette_of`` where objects are counted. ValueError for maps without classes, and for a query of another palette."""
    palette = palette_of(factor)
    if query is not None and query.palette != palette:
        raise ValueError(
            f"objects: they are classes of {query.palette.name!r}, but the maps are of the palette {palette.name!r}. "
            "Connect the factor that draws the maps to Objects as well as here."
        )
    return palette


def classes_of(factor: Factor | None) -> tuple[int, ...] | None:
    """Labels the maps can hold: those the factor was trained on, else None for the whole palette."""
    return factor.info.classes or None if factor is not None else None


def read_maps(
    maps: torch.Tensor,
    factor: Factor | None,
    rule: palettes.Rule = palettes.Rule.NEAREST,
    *,
    name: str = "maps",
) -> MapReading:
    """Labels of an IMAGE batch (B, H, W, 3).

    rule: NEAREST considers the classes of the factor only; OFFICIAL, as released, all of the palette.

    Raises NotAMapError for tensors of another shape, and for a batch in which most pixels of every
    picture are near no colour of the palette (photos). Where only some pictures are like that, or
    where a factor is said to have drawn them, the log says so instead: a badly sampled map can be read.
    """
    if maps.ndim != 4 or maps.shape[-1] != 3 or maps.shape[0] == 0:
        raise NotAMapError(
            f"{name}: expected a batch of RGB pictures (count, height, width, 3), got shape {list(maps.shape)}. "
            "Connect the IMAGE of VAE Decode; drop an alpha channel first."
        )
    palette = palette_of(factor)
    pictures = maps.to(device="cpu", dtype=torch.float32)
    if rule is palettes.Rule.OFFICIAL:
        labels = palettes.decode_official(pictures, palette)
    else:
        labels = palettes.decode(pictures, palette, classes_of(factor))
    unreadable = _unreadable(pictures, labels, palette)
    bad = (unreadable > UNREADABLE_LIMIT).nonzero().flatten().tolist()
    if bad:
        what = (
            f"{name}: {len(bad)} of {len(labels)} pictures (index {', '.join(map(str, bad[:8]))}) have most pixels near "
            f"no colour of the palette {palette.name!r}, so they are no segmentation maps of it"
        )
        if factor is None and len(bad) == len(labels):
            raise NotAMapError(f"{what}. Connect maps sampled with a segmentation factor, not photos.")
        log.warning("FGDM: %s; their scores mean little.", what)
    return MapReading(labels, unreadable)


def _unreadable(pictures: torch.Tensor, labels: torch.Tensor, palette: palettes.Palette) -> torch.Tensor:
    """Share (B,) of void pixels that are not painted in the colour of void itself."""
    void = torch.tensor(palette.labels[palette.void].rgb, dtype=torch.float32) / 255.0
    far = (pictures - void).square().sum(-1).sqrt() > palettes.MARGIN / 255.0
    return ((labels == palette.void) & far).float().mean(dim=(1, 2))


def class_index(class_name: str, factor: Factor | None) -> int | None:
    """Label of a class by name, None for an empty name. ValueError if the palette or the factor lacks it."""
    if not class_name.strip():
        return None
    palette, classes = palette_of(factor), classes_of(factor)
    try:
        index = palette.index(class_name)
    except palettes.PaletteError as error:
        near = ", ".join(similar_names(class_name, palette, classes))
        raise ValueError(f"class_name: {error}. Write one of its names, such as {near}, or nothing.") from None
    if classes is not None and index not in classes:
        near = ", ".join(similar_names(class_name, palette, classes))
        raise ValueError(
            f"class_name: the factor {factor.name!r} was not trained to draw {class_name!r}; "
            f"it knows {len(classes)} classes, such as {near}."
        )
    return index


def similar_names(name: str, palette: palettes.Palette, classes: tuple[int, ...] | None, count: int = 5) -> list[str]:
    """Class names that come closest to ``name``, filled up with the first ones."""
    import difflib

    names = [label.name for label in palette.labels if classes is None or label.index in classes]
    return [*dict.fromkeys(difflib.get_close_matches(name, names, count, 0.5) + names)][:count]


def clean_pictures(labels: torch.Tensor, palette: palettes.Palette) -> torch.Tensor:
    """IMAGE (B, H, W, 3) of a label map in the exact colours of the palette."""
    return to_image(palettes.encode(labels, palette))


def to_image(values: torch.Tensor) -> torch.Tensor:
    """An IMAGE or MASK where, and in the precision in which, the host keeps such tensors between nodes."""
    return values.to(
        device=comfy.model_management.intermediate_device(), dtype=comfy.model_management.intermediate_dtype()
    )


def describe(reading: MapReading, palette: palettes.Palette, regions: Sequence[Sequence[Region]]) -> list[dict]:
    """One entry a map: its size, the share of it that could not be read, and the classes on it by falling area.

    A class is {label, name, area 0..1, box [left, top, right, bottom], regions}; the last two of a box are
    exclusive. ``regions``, those of each map, become [{area, box}] of their class, largest first.
    """
    entries = []
    for index, (one, unreadable) in enumerate(zip(reading.labels, reading.unreadable.tolist(), strict=True)):
        found, counts = one.unique(return_counts=True)
        objects = []
        for label, count in zip(found.tolist(), counts.tolist()):
            if label == palette.void:
                continue
            ys, xs = (one == label).nonzero(as_tuple=True)
            islands = [
                {"area": round(island.area / one.numel(), 6), "box": list(island.box)}
                for island in regions[index]
                if island.label == label
            ]
            objects.append(
                {
                    "label": label,
                    "name": palette.labels[label].name,
                    "area": round(count / one.numel(), 6),
                    "box": [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1],
                    "regions": islands,
                }
            )
        objects.sort(key=lambda entry: (-entry["area"], entry["label"]))
        size = {"width": one.shape[1], "height": one.shape[0]}
        entries.append({"map": index, **size, "unreadable": round(unreadable, 6), "classes": objects})
    return entries
