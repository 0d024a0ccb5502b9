"""Map pictures as IMAGE tensors: reading them as labels, refusing what is no map, describing what is on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import comfy.model_management
import torch

from ..maps import palettes
from ..maps.library import Library
from ..maps.likeness import is_map, looks_like
from ..maps.reader import COCO_MAPS, Reader
from ..maps.regions import Region
from ..objects.words import ObjectQuery, find_class
from .models.factor import Factor

log = logging.getLogger(__name__)


class NotAMapError(ValueError):
    """An IMAGE that holds no segmentation maps."""


@dataclass(frozen=True)
class MapReading:
    """Labels (B, H, W) int64 on the CPU, and per map the share of pixels that are near no colour of the palette."""

    labels: torch.Tensor
    unreadable: torch.Tensor


def reader_of(factor: Factor | None) -> Reader:
    """What reads the maps of a factor; without one, any segmentation map of COCO classes."""
    return COCO_MAPS if factor is None else factor.reader


def told_reader(factor: Factor | None, palette: str, library: Library) -> Reader:
    """The reader of maps that are said to be of a palette, all of whose classes may then occur; that of the factor, if
    ``palette`` is empty or the factor's own. ValueError for a palette that is not there, or where maps have no classes."""
    reader = reader_of(factor)
    if not palette or (reader.palette is not None and reader.palette.name == palette):
        return reader
    if reader.palette is None:
        raise ValueError(f"palette: {reader.kind.name} maps have no classes; leave it at the factor's own.")
    try:
        return replace(reader, palette=library.palette(palette), classes=None)
    except palettes.PaletteError as error:
        raise ValueError(f"palette: {error}.") from None


def reader_by_looks(maps: torch.Tensor, library: Library) -> Reader:
    """What reads an IMAGE batch of given maps, of which nothing is known: as COCO's, unless they look clearly more like
    maps of another palette."""
    other = looks_like(pictures_of(maps[..., :3]), palettes.COCO, library.all)
    return COCO_MAPS if other is None else replace(COCO_MAPS, palette=other)


def scored_reader(factor: Factor | None, query: ObjectQuery | None = None) -> Reader:
    """What reads maps on which objects are counted: that of the factor; without one, any map of the query's palette.

    ValueError for a factor of maps without classes, and for a query of another palette than the factor's.
    """
    if factor is None:
        return COCO_MAPS if query is None else replace(COCO_MAPS, palette=query.palette)
    reader = factor.reader
    if reader.palette is None:
        raise ValueError(
            f"factor: {reader.drawn_by!r} draws {reader.kind.name} maps, which have no classes to count. "
            "Connect a segmentation factor."
        )
    if query is not None and query.palette != reader.palette:
        raise ValueError(
            f"objects: they are classes of {query.palette.name!r}, but {reader.drawn_by!r} draws maps of "
            f"{reader.palette.name!r}. Connect the factor to Objects as well."
        )
    return reader


def pictures_of(maps: torch.Tensor, name: str = "maps") -> torch.Tensor:
    """An IMAGE batch as pictures float32 [B, H, W, 3] on the CPU; NotAMapError for tensors of another shape."""
    if maps.ndim != 4 or maps.shape[-1] != 3 or maps.shape[0] == 0:
        raise NotAMapError(
            f"{name}: expected a batch of RGB pictures (count, height, width, 3), got shape {list(maps.shape)}. "
            "Connect the IMAGE of VAE Decode; drop an alpha channel first."
        )
    return maps.to(device="cpu", dtype=torch.float32)


def masks_of(mask: torch.Tensor) -> torch.Tensor:
    """A MASK, of one or of many, as float32 [B, H, W] on the CPU."""
    return mask.reshape(-1, *mask.shape[-2:]).to(device="cpu", dtype=torch.float32)


def read_maps(
    maps: torch.Tensor,
    reader: Reader,
    rule: palettes.Rule = palettes.Rule.NEAREST,
    *,
    name: str = "maps",
    others: Sequence[palettes.Palette] = (),
    sampled: bool = False,
) -> MapReading:
    """Labels of an IMAGE batch (B, H, W, 3) of maps with classes.

    rule: NEAREST considers the classes of the factor only; OFFICIAL, as released, all of the palette. others: palettes
    that the maps might be of instead. sampled: the maps were just drawn by the factor, however badly, so none is refused.

    Raises NotAMapError for tensors of another shape, for maps that look clearly more like those of another palette,
    and for a batch in which no picture looks like a map of the palette (photos). Where only some pictures look like
    none, the log says so.
    """
    pictures, palette = pictures_of(maps, name), reader.with_classes()
    labels = reader.read(pictures, rule)
    unreadable = _unreadable(pictures, labels, palette)
    if not sampled and (other := looks_like(pictures, palette, others)) is not None:
        raise NotAMapError(
            f"{name}: the colours of these maps are those of the palette {other.name!r}, but they are to be read as "
            f"{palette.name!r}, in which they would mean other classes. Read them with Decode Map, its palette set to "
            f"{other.name!r}, or connect maps of {palette.name!r}."
        )
    bad = (~is_map(pictures, palette, unreadable)).nonzero().flatten().tolist()
    if bad:
        what = (
            f"{name}: {len(bad)} of {len(labels)} pictures (index {', '.join(map(str, bad[:8]))}) have hardly more pixels "
            f"near a colour of the palette {palette.name!r} than photos have, so they are no segmentation maps of it"
        )
        if not sampled and len(bad) == len(labels):
            raise NotAMapError(f"{what}. Connect maps sampled with a segmentation factor, not photos.")
        log.warning("FGDM: %s; their scores mean little.", what)
    return MapReading(labels, unreadable)


def _unreadable(pictures: torch.Tensor, labels: torch.Tensor, palette: palettes.Palette) -> torch.Tensor:
    """Share (B,) of void pixels that are not painted in the colour of void itself."""
    void = torch.tensor(palette.labels[palette.void].rgb, dtype=torch.float32) / 255.0
    far = (pictures - void).square().sum(-1).sqrt() > palettes.MARGIN / 255.0
    return ((labels == palette.void) & far).float().mean(dim=(1, 2))


def class_labels(class_name: str, reader: Reader, said: str = "class_name") -> tuple[int, ...] | None:
    """Labels that a class name, its plural or a synonym means, None for an empty name. ValueError if the palette or the
    factor lacks it. said: the input that it stands in."""
    if not class_name.strip():
        return None
    palette, classes = reader.with_classes(), reader.classes
    if found := find_class(class_name, palette, classes):
        return found
    near = ", ".join(similar_names(class_name, palette, classes))
    if find_class(class_name, palette):
        raise ValueError(
            f"{said}: the factor {reader.drawn_by!r} was not trained to draw {class_name!r}; "
            f"it knows {len(classes or ())} classes, such as {near}."
        )
    raise ValueError(
        f"{said}: palette {palette.name!r} has no class called {class_name!r}. "
        f"Write one of its names, such as {near}, or nothing."
    )


def similar_names(name: str, palette: palettes.Palette, classes: tuple[int, ...] | None, count: int = 5) -> list[str]:
    """Class names that come closest to ``name``, filled up with the first ones."""
    import difflib

    names = [label.name for label in palette.labels if classes is None or label.index in classes]
    return [*dict.fromkeys(difflib.get_close_matches(name, names, count, 0.5) + names)][:count]


def to_image(values: torch.Tensor) -> torch.Tensor:
    """An IMAGE, MASK or latent where, and in the precision in which, the host keeps such tensors between nodes."""
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
