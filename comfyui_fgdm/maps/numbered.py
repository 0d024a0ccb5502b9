"""Label maps in pictures whose pixels are numbers: grey and indexed files of class indices."""

from __future__ import annotations

import numpy as np

from .palette_file import Palette

MODES = ("P", "L", "I", "I;16", "1")
"""Of Pillow: pictures whose pixels are numbers, not colours."""

VOID_INDEX = 255
"""In such a file: no class."""


def labels_of(numbers: np.ndarray, palette: Palette) -> tuple[np.ndarray, list[int]]:
    """(labels int64 [H, W] of class indices, ``VOID_INDEX`` being void; indices among them that the palette does not have)."""
    labels = numbers.astype(np.int64)
    labels[labels == VOID_INDEX] = palette.void
    unknown = set(np.unique(labels).tolist()) - {label.index for label in palette.labels}
    return labels, sorted(unknown)
