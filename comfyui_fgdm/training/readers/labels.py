"""Label maps as data sets publish them, as labels of a palette: class numbers by a table, panoptic ids, one mask a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ...maps import numbered, palettes
from .sources import FolderError, LabelSource, PictureSource


@dataclass(frozen=True)
class ClassTable:
    """What the numbers in the label files of a data set are. palette: name. targets: the label of each number from 0, -1 for
    a number that does not occur. about: in words, for errors."""

    palette: str
    targets: tuple[int, ...]
    about: str


@dataclass(frozen=True)
class NumberedFile(LabelSource):
    """A grey or indexed picture of class numbers, each a label by a table."""

    source: PictureSource
    table: ClassTable

    def __str__(self) -> str:
        return str(self.source)

    @property
    def palette(self) -> str:  # type: ignore[override]
        return self.table.palette

    def stamp(self) -> list[Any]:
        return [self.table.palette, *self.source.stamp()]

    def labels(self) -> np.ndarray:
        picture = self.source.open()
        if picture.mode not in numbered.MODES:
            raise FolderError(
                f"{self} is a picture of colours (mode {picture.mode}), not of class numbers: {self.table.about}"
            )
        numbers = np.array(picture).astype(np.int64)
        targets = np.array(self.table.targets)
        inside = (numbers >= 0) & (numbers < len(targets))
        labels = np.where(inside, targets[np.where(inside, numbers, 0)], -1)
        if (labels < 0).any():
            unknown = np.unique(numbers[labels < 0]).tolist()
            raise FolderError(f"{self} holds the class numbers {unknown[:8]}, which do not occur: {self.table.about}")
        return labels


@dataclass(frozen=True)
class PanopticFile(LabelSource):
    """A panoptic picture: each pixel is the id R + 256 G + 65536 B of a segment. segments: (id, label) of this picture."""

    source: PictureSource
    segments: tuple[tuple[int, int], ...]
    palette: str = palettes.COCO.name
    void: int = palettes.COCO.void

    def __str__(self) -> str:
        return str(self.source)

    def stamp(self) -> list[Any]:
        return [list(self.segments), *self.source.stamp()]

    def labels(self) -> np.ndarray:
        rgb = np.array(self.source.open().convert("RGB")).astype(np.int64)
        ids = rgb @ np.array([1, 256, 65536])
        known = {0: self.void, **dict(self.segments)}
        found, places = np.unique(ids, return_inverse=True)
        unknown = [one for one in found.tolist() if one not in known]
        if unknown:
            raise FolderError(
                f"{self} holds the segments {unknown[:8]}, which the panoptic JSON file does not list for it: take pictures "
                "and JSON file from one download"
            )
        return np.array([known[one] for one in found.tolist()])[places].reshape(ids.shape)


@dataclass(frozen=True)
class PartMasks(LabelSource):
    """One mask a part, merged in this order: a later part covers an earlier one. parts: (label, mask)."""

    parts: tuple[tuple[int, PictureSource], ...]
    palette: str
    void: int

    def __str__(self) -> str:
        return f"{self.parts[0][1]} and its other parts"

    def stamp(self) -> list[Any]:
        return [[label, *mask.stamp()] for label, mask in self.parts]

    def labels(self) -> np.ndarray:
        merged: np.ndarray | None = None
        for label, mask in self.parts:
            covered = np.array(mask.open().convert("L")) > 0
            if merged is None:
                merged = np.full(covered.shape, self.void, np.int64)
            if covered.shape != merged.shape:
                raise FolderError(
                    f"{mask} is {covered.shape[1]} x {covered.shape[0]} pixels, {self.parts[0][1]} "
                    f"{merged.shape[1]} x {merged.shape[0]}; the masks of one picture have one size"
                )
            merged[covered] = label
        assert merged is not None
        return merged


def of_picture(source: PictureSource, palette: palettes.Palette) -> np.ndarray:
    """int64 [H, W] of a label map in a picture: grey and indexed files hold class indices, ``numbered.VOID_INDEX`` is void; others
    the exact colours of the palette. FolderError names indices and colours that the palette does not have."""
    picture = source.open()
    if picture.mode in numbered.MODES:
        return _of_indices(picture, source, palette)
    return _of_colours(np.array(picture.convert("RGB")), source, palette)


def _of_indices(picture: Image.Image, source: PictureSource, palette: palettes.Palette) -> np.ndarray:
    labels, unknown = numbered.labels_of(np.array(picture), palette)
    if unknown:
        raise FolderError(
            f"{source} holds the class indices {unknown[:8]}, which the palette {palette.name!r} does not have: "
            "set data.palette to the palette of these files"
        )
    return labels


def _of_colours(rgb: np.ndarray, source: PictureSource, palette: palettes.Palette) -> np.ndarray:
    codes = rgb.astype(np.int64) @ np.array([65536, 256, 1])
    known = {(r << 16) + (g << 8) + b: label.index for label in reversed(palette.labels) for r, g, b in [label.rgb]}
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    unknown = [(int(count), int(code)) for code, count in zip(found, counts, strict=True) if int(code) not in known]
    if unknown:
        worst = ", ".join(
            f"#{code:06x} ({100 * count / codes.size:.1f} %)" for count, code in sorted(unknown)[::-1][:5]
        )
        raise FolderError(
            f"{source} holds {len(unknown)} colours that the palette {palette.name!r} does not have: {worst}. Set "
            "data.palette to the palette of these files; a map saved as JPEG or resized smoothly cannot be repaired"
        )
    return np.array([known[int(code)] for code in found])[inverse].reshape(codes.shape)
