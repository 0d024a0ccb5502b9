"""What words refer to on a map: "the left dog", "both people", "it" -> regions of the ground and layers that were moved before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..maps.cleaning import pieces
from ..maps.palette_file import Palette
from ..maps.regions import find_regions
from ..objects import vocabulary
from ..objects.words import find_class
from .regions import Gone
from .scene import NOTHING, Box, Scene

COUNTS = {"two": 2, "both": 2, "three": 3, "four": 4, "five": 5, "2": 2, "3": 3, "4": 4, "5": 5}
_ALL = {"all", "every", "each", "any"}
_SKIPPED = {"the", "a", "an", "my", "this", "that", "these", "those", "of", "one", "other", "its"}
_BY = {
    "left": "left", "leftmost": "left", "right": "right", "rightmost": "right", "top": "top", "upper": "top", "topmost": "top",
    "highest": "top", "bottom": "bottom", "lower": "bottom", "lowest": "bottom", "middle": "middle", "centre": "middle",
    "center": "middle", "large": "large", "larger": "large", "largest": "large", "big": "large", "bigger": "large",
    "biggest": "large", "small": "small", "smaller": "small", "smallest": "small", "little": "small",
}  # fmt: skip
PRONOUNS = {"it", "them", "he", "him", "she", "her", "they"}


class NoReference(Exception):
    """Words that name no class."""


@dataclass(frozen=True)
class Reference:
    """labels: classes that it may be; count: how many regions, None for all; by: which ones go first, "large" by default;
    words: as written."""

    labels: tuple[int, ...]
    count: int | None
    by: str
    words: str


@dataclass(frozen=True)
class Place:
    """A thing that is on the map: id of its layer, None while it is part of the ground; label; box on the map; at: a pixel of
    it, in the ground; area in pixels."""

    id: str | None
    label: int
    box: Box
    at: tuple[int, int]
    area: int

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def split(words: str) -> list[str]:
    """The parts of "the dog, the cat and a tree"."""
    return [one.strip() for one in re.split(r",|\band\b", words) if one.strip()]


def read(words: str, palette: Palette) -> Reference:
    """What one noun with what stands before it refers to; NoReference if it names no class of the palette."""
    rest, count, by = words.split(), 1, "large"
    every = False
    while len(rest) > 1 and not _labels(" ".join(rest), palette, exact=True):
        first = rest[0]
        if first in COUNTS:
            count = COUNTS[first]
        elif first in _ALL:
            every = True
        elif first in _BY:
            by = _BY[first]
        elif first not in _SKIPPED:
            break
        rest = rest[1:]
    labels = _labels(" ".join(rest), palette)
    if not labels:
        raise NoReference(words)
    plural = count == 1 and _is_plural(rest[-1], palette) and by == "large"
    return Reference(labels, None if every or plural else count, by, words)


def _labels(words: str, palette: Palette, exact: bool = False) -> tuple[int, ...]:
    if exact:  # "large vehicle" may be a class of its own
        named = [label.index for label in palette.labels if label.name.lower() == words]
        return tuple(named)
    return find_class(words, palette)


def _is_plural(word: str, palette: Palette) -> bool:
    vocab = vocabulary.of(palette)
    if word in vocab.english.irregular:
        return True
    singular = any((one,) in vocab.entries or find_class(one, palette) for one in vocab.english.singulars(word))
    return singular and (word,) not in vocab.entries


def find(reference: Reference, scene: Scene) -> list[Place]:
    """The things on the map that are meant, in the order of ``by``; Gone if there are too few."""
    found = [place for place in layers(scene) if place.label in reference.labels]
    found += regions_of(scene.ground, reference.labels)
    return _chosen(found, reference, scene.size)


def find_on(labels: np.ndarray, reference: Reference) -> list[Place]:
    """``find`` on a label map, int [H, W], that nothing was done to."""
    return _chosen(regions_of(labels, reference.labels), reference, (labels.shape[1], labels.shape[0]))


def _chosen(found: list[Place], reference: Reference, size: tuple[int, int]) -> list[Place]:
    found = [place for place in found if place.box[2] > place.box[0]]
    if not found:
        raise Gone(f"there is no {_singular(reference.words)} on the map")
    if reference.count is None:
        return found
    if len(found) < reference.count:
        raise Gone(f"there is only {len(found)} of {reference.words!r} on the map")
    width, height = size
    keys = {
        "large": lambda one: -one.area,
        "small": lambda one: one.area,
        "left": lambda one: one.centre[0],
        "right": lambda one: -one.centre[0],
        "top": lambda one: one.centre[1],
        "bottom": lambda one: -one.centre[1],
        "middle": lambda one: abs(one.centre[0] - width / 2) + abs(one.centre[1] - height / 2),
    }
    return sorted(found, key=keys[reference.by])[: reference.count]


def present(scene: Scene, palette: Palette) -> list[str]:
    """Names of the classes on the map, the largest first."""
    labels, counts = np.unique(scene.flat(), return_counts=True)
    order = np.argsort(-counts)
    return [palette.labels[int(labels[k])].name for k in order if labels[k] != palette.void]


def again(place: Place, scene: Scene) -> Place:
    """A thing as it is now."""
    return next((one for one in layers(scene) if one.id == place.id), place)


def _singular(words: str) -> str:
    return re.sub(r"^(?:the|a|an|my|this|that) ", "", words)


def layers(scene: Scene) -> list[Place]:
    """The layers of a scene that have an id and hold something, back to front."""
    found = []
    for layer in scene.layers:
        held, counts = np.unique(layer.labels[layer.labels != NOTHING], return_counts=True)
        if layer.id is not None and len(held):
            a, b, _, d, e, _ = layer.matrix
            area = int(counts.sum() * abs(a * e - b * d))
            found.append(Place(layer.id, int(held[counts.argmax()]), layer.box, (0, 0), area))
    return found


def regions_of(ground: np.ndarray, labels: Sequence[int]) -> list[Place]:
    """Regions of classes on a map, int [H, W], that count as objects; if there is none, the largest that there is."""
    regions = find_regions(torch.from_numpy(ground.astype(np.int64)), labels)
    if regions:
        return [_place(one.label, one.box, one.mask) for one in regions]
    best: list[Place] = []
    for label in labels:
        numbers, count = pieces(ground == label)
        if count:
            mask = numbers == 1 + int(np.argmax(np.bincount(numbers.ravel())[1:]))
            best.append(_place(label, (0, 0, ground.shape[1], ground.shape[0]), mask))
    return sorted(best, key=lambda one: -one.area)[:1]


def _place(label: int, box: Box, mask: np.ndarray) -> Place:
    ys, xs = np.nonzero(mask)
    nearest = int(np.argmin((xs - xs.mean()) ** 2 + (ys - ys.mean()) ** 2))
    tight = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    left, top = box[:2]
    return replace(
        Place(None, label, (tight[0] + left, tight[1] + top, tight[2] + left, tight[3] + top), (0, 0), len(xs)),
        at=(int(xs[nearest]) + left, int(ys[nearest]) + top),
    )
