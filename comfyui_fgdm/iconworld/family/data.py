"""Training data of the tiny family: shards of drawn scenes, encoded, with their captions grounded in masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...maps import palettes
from ..world import truth
from ..world.canvas import STUFF_ENTITY
from ..world.captions import Caption, make_caption
from ..world.draw import Scene, draw_scene
from ..world.icons import Icon
from ..world.layouts import sample_layout
from ..world.scenes import World
from . import text
from .autoencoder import PATCH, PatchEncoder

SLOTS = 12  # entities of a scene: up to 5 things and all stuff it shows
CAPTIONS = 2  # per scene


@dataclass(frozen=True)
class Shard:
    """Arrays of N scenes of side S, h = S / 8. image, map: float16 N x C x h x h latents; labels: uint8 N x S x S; tokens:
    int16 N x 2 x 48; refers: uint16 N x 2 x 48, bit s: the token names entity slot s; cover: uint8 N x 12 x h x h, share
    of each cell that a slot covers, times 255; near: uint8 N x S x S, 255 at the nearest point, 0 at the farthest."""

    image: np.ndarray
    map: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray
    refers: np.ndarray
    cover: np.ndarray
    near: np.ndarray


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


def make_shard(
    first_seed: int, count: int, world: World, bank: dict[int, list[Icon]], encoder: PatchEncoder, size: int = 128
) -> Shard:
    """The first `count` scenes from seed first_seed on whose things are all as visible as the world wants."""
    images, maps, labels, tokens, refers, cover, near = [], [], [], [], [], [], []
    seed = first_seed
    while len(labels) < count:
        scene = draw_scene(sample_layout(seed, world, bank), bank, size)
        seed += 1
        if min(scene.visible) < world.visible:
            continue
        pair = np.stack([scene.image, paint(scene.labels)])
        with torch.no_grad():
            latents = encoder(torch.from_numpy(pair).permute(0, 3, 1, 2).float() / 255).half().numpy()
        captions = [ground(scene, make_caption(scene.layout, seed * CAPTIONS + k)) for k in range(CAPTIONS)]
        images.append(latents[0])
        maps.append(latents[1])
        labels.append(scene.labels)
        tokens.append(np.array([c[0] for c in captions], np.int16))
        refers.append(np.stack([c[1] for c in captions]))
        cover.append(coverage(scene))
        near.append(np.round((1 - truth.depth(scene)) * 255).astype(np.uint8))
    return Shard(*(np.stack(part) for part in (images, maps, labels, tokens, refers, cover, near)))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """An .npz file that is whole or absent: an interrupted write leaves nothing that `read_shards` would take.

    Numbers alone: ValueError for arrays of Python objects, which would be pickled.
    """
    if objects := [name for name, value in arrays.items() if np.asarray(value).dtype.hasobject]:
        raise ValueError(f"{', '.join(objects)}: objects are not written to {path.name}; give arrays of numbers")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)


def write_shard(shard: Shard, path: Path) -> None:
    write_arrays(path, **vars(shard))


def make_pool(
    first_seed: int, count: int, world: World, bank: dict[int, list[Icon]], size: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """(pictures uint8 N x S x S x 3, labels uint8 N x S x S) of the scenes of consecutive seeds."""
    scenes = [draw_scene(sample_layout(first_seed + k, world, bank), bank, size) for k in range(count)]
    return np.stack([scene.image for scene in scenes]), np.stack([scene.labels for scene in scenes])


def read_shards(folder: Path, limit: int | None = None) -> Shard:
    """All shards of a folder (in name order) as one."""
    files = sorted(folder.glob("*.npz"))[:limit]
    if not files:
        raise FileNotFoundError(f"{folder}: no shards; make them with `python -m comfyui_fgdm.iconworld data`")
    parts = []
    for file in files:
        with np.load(file) as data:
            parts.append({key: data[key] for key in data.files})
    return Shard(**{key: np.concatenate([part[key] for part in parts]) for key in parts[0]})


@dataclass(frozen=True)
class Batch:
    """latent: B x C x h x h; tokens: B x 48; masks: B x 48 x h x h, share of each cell covered by what a token names
    (0 for tokens that name nothing and for dropped captions); labels: B x S x S; near: B x S x S in 0..1, 1 nearest;
    dropped: B, which captions were."""

    latent: Tensor
    tokens: Tensor
    masks: Tensor
    labels: Tensor
    near: Tensor
    dropped: Tensor


def draw_batch(shard: Shard, which: str, size: int, generator: torch.Generator, dropout: float = 0.1) -> Batch:
    """A random batch; which: 'image' or 'map'; dropout: share of captions emptied (for classifier-free guidance)."""
    index = torch.randint(len(shard.labels), (size,), generator=generator).numpy()
    caption = torch.randint(CAPTIONS, (size,), generator=generator).numpy()
    dropped = torch.rand(size, generator=generator) < dropout
    tokens = torch.from_numpy(shard.tokens[index, caption].astype(np.int64))
    bits = torch.from_numpy(shard.refers[index, caption].astype(np.int64))
    named = (bits[:, :, None] >> torch.arange(SLOTS)) & 1
    cover = torch.from_numpy(shard.cover[index]).float().div(255).flatten(2)
    tokens[dropped] = torch.tensor(text.encode([]))
    named[dropped] = 0
    masks = (named.float() @ cover).clamp(max=1).unflatten(2, shard.cover.shape[2:])
    latent = torch.from_numpy(getattr(shard, which)[index]).float()
    labels, near = shard.labels[index].astype(np.int64), shard.near[index].astype(np.float32) / 255
    return Batch(latent, tokens, masks, torch.from_numpy(labels), torch.from_numpy(near), dropped)
