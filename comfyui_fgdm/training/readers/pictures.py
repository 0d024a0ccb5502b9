"""What training sees of a source: a view of it, alike for all variables of an example; labels are never blended."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...maps import palettes
from ...maps.variable import VariableKind
from . import labels
from .sources import DrawnSource, FolderError, LabelSource, PictureSource, Source
from .view import View


def read_colours(source: PictureSource, size: int, view: View) -> Tensor:
    """float32 3 x size x size in 0..1 of the view of a picture: averaged (box filter) when it shrinks."""
    picture = source.open().convert("RGB")
    box = view.box(*picture.size)
    shrinks = box[2] - box[0] >= size
    small = picture.resize((size, size), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC, box=box)
    values = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
    return values.flip(2) if view.flipped else values


def read_labels(source: Source, size: int, view: View, palette: palettes.Palette) -> Tensor:
    """int64 size x size of the view of a label map: the labels of the nearest pixels, never a blend.

    Mirrored, left and right change places in names, too ("left eye" of a palette is its "right eye"). FolderError for labels
    that the palette does not have.
    """
    values = _labels(source, palette)
    height, width = values.shape
    left, top, right, _ = view.box(width, height)
    steps = (np.arange(size) + 0.5) * (right - left) / size
    rows = np.minimum((top + steps).astype(int), height - 1)
    columns = np.minimum((left + steps).astype(int), width - 1)
    square = torch.from_numpy(values[rows][:, columns].astype(np.int64))
    return torch.tensor(palette.mirrored)[square.flip(1)] if view.flipped else square


def _labels(source: Source, palette: palettes.Palette) -> np.ndarray:
    if isinstance(source, LabelSource):
        if source.palette != palette.name:
            raise FolderError(
                f"data.palette: the labels of {source} are those of {source.palette!r}, not of {palette.name!r}"
            )
        return source.labels()
    if isinstance(source, PictureSource):
        return labels.of_picture(source, palette)
    raise FolderError(f"{source} is no label map")


def picture_of(
    source: Source, kind: VariableKind | None, size: int, view: View, palette: palettes.Palette | None
) -> Tensor:
    """float32 3 x size x size in 0..1: the view of a map in the exact colours of its kind, or of a photo (kind None).

    FolderError for what cannot be read so, or cannot be mirrored (``can_be_mirrored``).
    """
    if kind is not None and palette is not None:
        seen = read_labels(source, size, view, palette)
        return kind.to_picture(seen[None], palette=palette)[0].permute(2, 0, 1)
    if isinstance(source, DrawnSource) and kind is not None:
        values = source.values(view, size)
        return kind.to_picture(kind.flip(values) if view.flipped else values)[0].permute(2, 0, 1)
    if not isinstance(source, PictureSource):
        raise FolderError(f"{source} is no picture")
    if kind is None or not view.flipped:
        return read_colours(source, size, view)
    upright = read_colours(source, size, View(view.left, view.top, view.scale))
    if not can_be_mirrored(source, kind):
        raise FolderError(f"data.flip: {kind.name} maps cannot be mirrored, left and right have names; set it to false")
    values = kind.to_values(upright.permute(1, 2, 0)[None])
    return kind.to_picture(kind.flip(values))[0].permute(2, 0, 1)


def can_be_mirrored(source: Source, kind: VariableKind | None) -> bool:
    """Whether a map can be shown as in a mirror: pictures of kinds that are drawn, but not read, cannot; values can."""
    return kind is None or kind.read is not None or isinstance(source, DrawnSource)
