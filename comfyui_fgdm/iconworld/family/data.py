"""What training is told of a drawn scene: which words of a caption name which part of it, and where that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from ...maps import palettes
from ..world.canvas import STUFF_ENTITY
from ..world.captions import Caption
from ..world.draw import Scene, draw_scene
from ..world.icons import Icon
from ..world.layouts import sample_layout
from ..world.scenes import World
from . import text
from .autoencoder import PATCH

SLOTS = 12  # entities of a scene: up to 5 things and all stuff it shows
CAPTIONS = 2  # per scene

_COLOURS = palettes.colours(palettes.COCO).to(torch.uint8).numpy()


def paint(labels: np.ndarray) -> np.ndarray:
    """uint8 label map(s) -> uint8 RGB of the COCO palette."""
    return _COLOURS[labels]


def _slots(scene: Scene) -> list[int]:
    """Entity ids of the scene, things first, at most SLOTS."""
    present = np.flatnonzero(np.bincount(scene.entities.ravel(), minlength=256))
    return [int(e) for e in present if e < STUFF_ENTITY] + [int(e) for e in present if e >= STUFF_ENTITY]


def ground(scene: Scene, caption: Caption) -> tuple[list[int], np.ndarray]:
    """(token ids, bit mask of entity slots per token) of a caption; start, end and padding name nothing."""
    slots = _slots(scene)[:SLOTS]
    tokens = text.encode([word.text for word in caption.words])
    refers = np.zeros(text.LENGTH, np.uint16)
    for at, word in enumerate(caption.words[: text.LENGTH - 2], start=1):
        for entity in word.refers:
            if entity in slots:
                refers[at] |= np.uint16(1 << slots.index(entity))
    return tokens, refers


def coverage(scene: Scene) -> np.ndarray:
    """uint8 SLOTS x h x h: share of each latent cell covered by each entity slot."""
    side = PATCH
    cells_across = scene.entities.shape[0] // side
    result = np.zeros((SLOTS, cells_across, cells_across), np.uint8)
    for slot, entity in enumerate(_slots(scene)[:SLOTS]):
        cells = (scene.entities == entity).reshape(cells_across, side, cells_across, side).mean((1, 3))
        result[slot] = np.round(cells * 255)
    return result


def redrawn(seeds: Iterable[int], world: World, bank: dict[int, list[Icon]], size: int = 128) -> Iterator[Scene]:
    """The scenes of seeds."""
    for seed in seeds:
        yield draw_scene(sample_layout(seed, world, bank), bank, size)


def make_pool(
    first_seed: int, count: int, world: World, bank: dict[int, list[Icon]], size: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """(pictures uint8 N x S x S x 3, labels uint8 N x S x S) of the scenes of consecutive seeds."""
    scenes = list(redrawn(range(first_seed, first_seed + count), world, bank, size))
    return np.stack([scene.image for scene in scenes]), np.stack([scene.labels for scene in scenes])
