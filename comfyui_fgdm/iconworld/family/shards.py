"""Training scenes on disk, keyed by the name of what they show: the picture, and every map variable.

A shard is a folder: `scenes.npz` (seeds, captions, what their words cover), and for each name `NAME.npy`, latents, and
`NAME.npz`, pictures packed without loss. What a shard lacks is drawn from its seeds, so that a new variable needs no new
scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from ...training.packed import Packed, pack
from ..world import truths
from ..world.captions import make_caption
from ..world.draw import Scene, draw_scene
from ..world.icons import Icon
from ..world.layouts import sample_layout
from ..world.scenes import World
from . import text
from .autoencoder import PatchEncoder
from .data import CAPTIONS, SLOTS, coverage, ground, redrawn

PICTURE = "image"
"""The name of the picture itself; every other name is a map variable's."""

Bank = dict[int, list[Icon]]


def _whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file that is whole or absent: an interrupted write leaves nothing that is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        write(file)
    temporary.replace(path)


def _save(file: IO[bytes], array: np.ndarray) -> None:
    np.save(file, array)


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """An .npz file that is whole or absent. Numbers alone: ValueError for arrays of Python objects, which would be pickled."""
    if objects := [name for name, value in arrays.items() if np.asarray(value).dtype.hasobject]:
        raise ValueError(f"{', '.join(objects)}: objects are not written to {path.name}; give arrays of numbers")
    _whole(path, partial(np.savez, **arrays))


class Pictures(Packed):
    """N pictures of side S, packed, and how they lie in a shard."""

    def write(self, path: Path) -> None:
        write_arrays(path, data=self.data, ends=self.ends, side=np.array(self.side))

    @staticmethod
    def read(paths: Iterable[Path]) -> Pictures:
        """The pictures of several files as one."""
        data, ends, side, total = [], [], 0, 0
        for path in paths:
            with np.load(path) as file:
                data.append(file["data"])
                ends.append(file["ends"] + total)
                side = int(file["side"])
            total += len(data[-1])
        return Pictures(np.concatenate(data), np.concatenate(ends), side)


def picture(name: str, scene: Scene) -> np.ndarray:
    """uint8 S x S x 3 of what a scene shows under a name."""
    return scene.image if name == PICTURE else truths.picture(name, scene)


def new_scenes(first_seed: int, count: int, world: World, bank: Bank, size: int) -> Iterator[tuple[int, Scene]]:
    """(seed, scene) of the first `count` scenes from a seed on whose things are all as visible as the world wants."""
    seed = first_seed
    while count:
        scene = draw_scene(sample_layout(seed, world, bank), bank, size)
        if min(scene.visible) >= world.visible:
            yield seed, scene
            count -= 1
        seed += 1


def make_shard(
    folder: Path,
    first_seed: int,
    count: int,
    world: World,
    bank: Bank,
    encoder: PatchEncoder,
    latents: Collection[str],
    pictures: Collection[str],
    size: int = 128,
) -> bool:
    """Make what a shard lacks; False if that is nothing. latents, pictures: the names it shall hold of each."""
    head = folder / "scenes.npz"
    encoded: dict[str, list[np.ndarray]] = {n: [] for n in latents if not (folder / f"{n}.npy").exists()}
    packed: dict[str, list[bytes]] = {n: [] for n in pictures if not (folder / f"{n}.npz").exists()}
    if head.exists() and not encoded and not packed:
        return False
    if head.exists():
        with np.load(head) as file:
            known = file["seeds"].tolist()
        source = zip(known, redrawn(known, world, bank, size), strict=True)
    else:
        source = new_scenes(first_seed, count, world, bank, size)
    seeds, tokens, refers, cover = [], [], [], []
    for seed, scene in source:
        captions = [ground(scene, make_caption(scene.layout, (seed + 1) * CAPTIONS + k)) for k in range(CAPTIONS)]
        seeds.append(seed)
        tokens.append(np.array([c[0] for c in captions], np.int16))
        refers.append(np.stack([c[1] for c in captions]))
        cover.append(coverage(scene))
        shown = {name: picture(name, scene) for name in {*encoded, *packed}}
        for name, arrays in encoded.items():
            with torch.no_grad():
                level = torch.from_numpy(shown[name])[None].permute(0, 3, 1, 2).float() / 255
                arrays.append(encoder(level)[0].half().numpy())
        for name, parts in packed.items():
            parts.append(pack(shown[name]))
    if not head.exists():
        columns = {"tokens": tokens, "refers": refers, "cover": cover}
        write_arrays(head, seeds=np.array(seeds), **{key: np.stack(value) for key, value in columns.items()})
    for name, arrays in encoded.items():
        _whole(folder / f"{name}.npy", partial(_save, array=np.stack(arrays)))
    for name, parts in packed.items():
        Pictures.join(parts, size).write(folder / f"{name}.npz")
    return True


@dataclass(frozen=True)
class Batch:
    """tokens: B x 48; masks: B x 48 x h x h, share of each cell covered by what a token names (0 for tokens that name
    nothing and for dropped captions); dropped: bool B, which captions were; latents: by name, B x C x h x h; pictures: by
    name, B x 3 x S x S in 0..1."""

    tokens: Tensor
    masks: Tensor
    dropped: Tensor
    latents: dict[str, Tensor]
    pictures: dict[str, Tensor]


@dataclass(frozen=True)
class Shard:
    """Arrays of N scenes of side S, h = S / 8. tokens: int16 N x 2 x 48; refers: uint16 N x 2 x 48, bit s: the token names
    entity slot s; cover: uint8 N x 12 x h x h, share of each cell that a slot covers, times 255; latents: by name, float16
    N x C x h x h; pictures: by name."""

    tokens: np.ndarray
    refers: np.ndarray
    cover: np.ndarray
    latents: dict[str, np.ndarray]
    pictures: dict[str, Pictures]

    def draw(self, size: int, generator: torch.Generator, dropout: float = 0.1) -> Batch:
        """A random batch of all that the shard holds; dropout: share of captions emptied (for classifier-free guidance)."""
        index = torch.randint(len(self.tokens), (size,), generator=generator).numpy()
        caption = torch.randint(CAPTIONS, (size,), generator=generator).numpy()
        dropped = torch.rand(size, generator=generator) < dropout
        tokens = torch.from_numpy(self.tokens[index, caption].astype(np.int64))
        bits = torch.from_numpy(self.refers[index, caption].astype(np.int64))
        named = (bits[:, :, None] >> torch.arange(SLOTS)) & 1
        cover = torch.from_numpy(self.cover[index]).float().div(255).flatten(2)
        tokens[dropped] = torch.tensor(text.encode([]))
        named[dropped] = 0
        masks = (named.float() @ cover).clamp(max=1).unflatten(2, self.cover.shape[2:])
        latents = {name: torch.from_numpy(values[index]).float() for name, values in self.latents.items()}
        pictures = {name: packed.tensor(index) for name, packed in self.pictures.items()}
        return Batch(tokens, masks, dropped, latents, pictures)


def read_shards(
    folder: Path, latents: Collection[str] = (), pictures: Collection[str] = (), limit: int | None = None
) -> Shard:
    """All shards of a folder (in name order) as one, with these latents and pictures and no others."""
    files = sorted(folder.glob("*/scenes.npz"))[:limit]
    if not files:
        raise FileNotFoundError(f"{folder}: no shards; make them with `python -m comfyui_fgdm.iconworld data`")
    for file in files:
        for name in (*(f"{n}.npy" for n in latents), *(f"{n}.npz" for n in pictures)):
            if not (file.parent / name).exists():
                raise FileNotFoundError(
                    f"{file.parent}: no {name}; `python -m comfyui_fgdm.iconworld data` draws what shards lack"
                )
    heads = [np.load(file) for file in files]
    tokens, refers, cover = (np.concatenate([head[key] for head in heads]) for key in ("tokens", "refers", "cover"))
    return Shard(
        tokens,
        refers,
        cover,
        {name: np.concatenate([np.load(file.with_name(f"{name}.npy")) for file in files]) for name in latents},
        {name: Pictures.read(file.with_name(f"{name}.npz") for file in files) for name in pictures},
    )
