"""A scene while it is drawn, and the ids of what is on it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from . import classes as c

STUFF_ENTITY = 64  # entity ids: thing k of the layout is k + 1; stuff is STUFF_ENTITY + its place in c.STUFF
_STUFF_ID = {stuff.index: STUFF_ENTITY + k for k, stuff in enumerate(c.STUFF)}


def stuff_entity(index: int) -> int:
    """The entity id of a stuff class (COCO label index)."""
    return _STUFF_ID[index]


class Canvas:
    """A scene while it is drawn: the picture as float32 H x W x 3, labels and entities as uint8 H x W."""

    def __init__(self, image: np.ndarray, labels: np.ndarray, entities: np.ndarray) -> None:
        self.image, self.labels, self.entities = image, labels, entities

    def paste(
        self, rgba: np.ndarray, outline: np.ndarray, box: tuple[int, int, int, int], index: int, entity: int
    ) -> int:
        """Lay a sprite over box (left, top, width, height in pixels, may reach out of the picture); its edges are soft on the
        picture and hard on the maps. Gives the number of its solid pixels in the picture."""
        left, top, width, height = box
        size = len(self.labels)
        small, shape = (
            np.asarray(Image.fromarray(array).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
            for array in (rgba, outline)
        )
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, size), min(top + height, size)
        cut = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        patch = small[cut].astype(np.float32)
        alpha = patch[..., 3:] / 255
        self.image[y0:y1, x0:x1] = self.image[y0:y1, x0:x1] * (1 - alpha) + patch[..., :3] * alpha
        solid = shape[cut] >= 128
        self.labels[y0:y1, x0:x1][solid] = index
        self.entities[y0:y1, x0:x1][solid] = entity
        return int(solid.sum())
