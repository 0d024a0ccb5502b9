"""Pictures of training examples: read, cropped and flipped alike for all variables of an example; labels are never blended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..maps import palettes
from .folder import FolderError

VOID_INDEX = 255  # of indexed label files: no class


@dataclass(frozen=True)
class View:
    """A square of a picture. left, top: of the square, as shares of what is cut off (0..1). scale: edge of the square as a
    share of the shorter side (0..1]. flipped: mirrored."""

    left: float = 0.5
    top: float = 0.5
    scale: float = 1.0
    flipped: bool = False

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels of a picture of this size."""
        edge = self.scale * min(width, height)
        x, y = self.left * (width - edge), self.top * (height - edge)
        return x, y, x + edge, y + edge


def open_picture(path: Path) -> Image.Image:
    """A picture, fully read; FolderError for a file that is cut off or no picture."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FolderError(f"{path} cannot be read as a picture ({error}); replace or remove it") from None


def read_colours(path: Path, size: int, view: View) -> Tensor:
    """float32 3 x size x size in 0..1 of the view of a picture: averaged (box filter) when it shrinks."""
    picture = open_picture(path).convert("RGB")
    box = view.box(*picture.size)
    shrinks = box[2] - box[0] >= size
    small = picture.resize((size, size), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC, box=box)
    values = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
    return values.flip(2) if view.flipped else values


def read_labels(path: Path, size: int, view: View, palette: palettes.Palette) -> Tensor:
    """int64 size x size of the view of a label map: the labels of the nearest pixels, never a blend.

    Grey and indexed files hold class indices, ``VOID_INDEX`` is void; others the exact colours of the palette.
    FolderError names indices and colours that the palette does not have.
    """
    picture = open_picture(path)
    labels = _of_indices(picture, path, palette) if picture.mode in ("P", "L", "I", "I;16", "1") else None
    if labels is None:
        labels = _of_colours(np.array(picture.convert("RGB")), path, palette)
    height, width = labels.shape
    left, top, right, _ = view.box(width, height)
    steps = (np.arange(size) + 0.5) * (right - left) / size
    rows = np.minimum((top + steps).astype(int), height - 1)
    columns = np.minimum((left + steps).astype(int), width - 1)
    square = torch.from_numpy(labels[rows][:, columns].astype(np.int64))
    return square.flip(1) if view.flipped else square


def _of_indices(picture: Image.Image, path: Path, palette: palettes.Palette) -> np.ndarray:
    labels = np.array(picture).astype(np.int64)
    labels[labels == VOID_INDEX] = palette.void
    unknown = sorted(set(np.unique(labels).tolist()) - {label.index for label in palette.labels})
    if unknown:
        raise FolderError(
            f"{path} holds the class indices {unknown[:8]}, which the palette {palette.name!r} does not have: "
            "set data.palette to the palette of these files"
        )
    return labels


def _of_colours(rgb: np.ndarray, path: Path, palette: palettes.Palette) -> np.ndarray:
    codes = rgb.astype(np.int64) @ np.array([65536, 256, 1])
    known = {(r << 16) + (g << 8) + b: label.index for label in palette.labels for r, g, b in [label.rgb]}
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    unknown = [(int(count), int(code)) for code, count in zip(found, counts, strict=True) if int(code) not in known]
    if unknown:
        worst = ", ".join(
            f"#{code:06x} ({100 * count / codes.size:.1f} %)" for count, code in sorted(unknown)[::-1][:5]
        )
        raise FolderError(
            f"{path} holds {len(unknown)} colours that the palette {palette.name!r} does not have: {worst}. Set "
            "data.palette to the palette of these files; a map saved as JPEG or resized smoothly cannot be repaired"
        )
    return np.array([known[int(code)] for code in found])[inverse].reshape(codes.shape)
