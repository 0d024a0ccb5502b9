"""The examples of a data set as latents and encoded prompts, made once and kept on disk; batches are drawn from them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..maps import kinds, palettes
from .backbone import Backbone, BaseFacts
from .factor import Batch
from .packed import Packed, Packer
from .readers.contents import Example
from .readers.pictures import picture_of
from .readers.sources import FolderError
from .readers.view import View

FORMAT = 2
"""Raised when the files of a cache change their meaning."""

IMAGE = "image"
"""The name of the picture itself; every other is a map variable's."""

PROMPTS = 16  # encoded at a time


@dataclass(frozen=True)
class Views:
    """How examples are seen. size: pixels along an edge. crops: random squares of each, besides the one in the middle.
    smallest: least edge of a random square, as a share of the shorter side. flip: every view mirrored, too."""

    size: int
    crops: int = 0
    smallest: float = 0.8
    flip: bool = True

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 2048:
            raise FolderError(
                f"data.size: {self.size} is out of range; give 8 to 2048 pixels, 256 for Stable Diffusion 1.x"
            )
        if not 0 <= self.crops <= 64:
            raise FolderError(f"data.crops: {self.crops} is out of range; give 0 to 64")
        if not 0 < self.smallest <= 1:
            raise FolderError(f"data.smallest: {self.smallest} is out of range; give a share above 0, at most 1")

    def of(self, name: str) -> list[View]:
        """The views of an example; the random ones follow from its name alone."""
        digest = hashlib.sha256(name.encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        squares = [View()] + [
            View(*generator.uniform(size=2).tolist(), scale=float(generator.uniform(self.smallest, 1)))
            for _ in range(self.crops)
        ]
        both = [View(one.left, one.top, one.scale, flipped) for one in squares for flipped in (False, True)]
        return both if self.flip else squares

    @property
    def count(self) -> int:
        return (1 + self.crops) * (2 if self.flip else 1)


class LatentStore:
    """Cached latents of a data set: memory-mapped files in a folder, read as batches need them.

    latents: by variable, float16 N x views x C x h x w. pictures: by variable, N * views packed pictures. prompts: float16
    P x tokens x width; spans: of each example, first and last + 1 of its captions in them; the last prompt is the empty one.
    texts: the prompts in words.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "about.json").read_text("utf-8"))
        self.names: list[str] = about["names"]
        self.spans: list[tuple[int, int]] = [(first, last) for first, last in about["spans"]]
        self.texts: list[str] = about["texts"]
        self.latents = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in about["variables"]}
        self.pictures = {name: Packed.opened(folder / f"{name}.pictures") for name in about["pictures"]}
        self.prompts = np.load(folder / "prompts.npy", mmap_mode="r")

    @property
    def views(self) -> int:
        """How many views there are of each example."""
        return next(iter(self.latents.values())).shape[1]

    def batch(
        self, variable: str, parents: Sequence[str], rows: Sequence[int], views: Sequence[int], captions: Sequence[int]
    ) -> Batch:
        """A batch of these examples (rows), each by its view and its prompt (index into ``prompts``).

        Beside the latents of variable and parents it has all else that the store holds: ``hint``, where it holds pictures
        of a map, and ``image``.
        """

        def latent(name: str) -> Tensor:
            return torch.from_numpy(
                np.stack([self.latents[name][r, v] for r, v in zip(rows, views, strict=True)])
            ).float()

        prompts = torch.from_numpy(np.stack([self.prompts[c] for c in captions])).float()
        empty = len(self.prompts) - 1
        dropped = torch.tensor([c == empty for c in captions])
        seen, words = {name: latent(name) for name in parents}, tuple(self.texts[c] for c in captions)
        numbers = [row * self.views + view for row, view in zip(rows, views, strict=True)]
        hint = next((packed.tensor(numbers) for packed in self.pictures.values()), None)
        image = latent(IMAGE) if IMAGE in self.latents and variable != IMAGE else None
        return Batch(latent(variable), prompts, dropped, seen, texts=words, hint=hint, image=image)


@dataclass(frozen=True)
class DataSet:
    """Training and held-out examples of a store. held_out: share of them, chosen by their names: adding examples moves
    none. caption_dropout: share of training samples with the empty prompt."""

    store: LatentStore
    variable: str
    parents: tuple[str, ...] = ()
    held_out: float = 0.05
    caption_dropout: float = 0.1

    @cached_property
    def held_out_rows(self) -> list[int]:
        """Indices of the held-out examples: at least one, and never all, whatever the share (unless that is 0)."""
        places = [int.from_bytes(hashlib.sha256(name.encode()).digest()[8:16], "little") for name in self.store.names]
        chosen = [row for row, place in enumerate(places) if place < self.held_out * 2**64]
        if not chosen and self.held_out > 0 and len(places) > 1:
            chosen = [places.index(min(places))]
        if len(chosen) == len(places):
            chosen.remove(places.index(max(places)))
        return chosen

    @cached_property
    def training_rows(self) -> list[int]:
        """Indices of the examples that are learned from."""
        held_out = set(self.held_out_rows)
        return [row for row in range(len(self.store.names)) if row not in held_out]

    def draw(self, size: int, generator: torch.Generator) -> Batch:
        """A random batch of training examples."""
        rows = self.training_rows
        views = self.store.views

        def number(below: int) -> int:
            return int(torch.randint(below, (), generator=generator))

        chosen = [rows[number(len(rows))] for _ in range(size)]
        seen = [number(views) for _ in chosen]
        captions = []
        for row in chosen:
            first, last = self.store.spans[row]
            dropped = first == last or float(torch.rand((), generator=generator)) < self.caption_dropout
            captions.append(len(self.store.prompts) - 1 if dropped else first + number(last - first))
        return self.store.batch(self.variable, self.parents, chosen, seen, captions)

    def validation(self, size: int, most: int = 64) -> Iterator[Batch]:
        """The held-out examples, at most so many, always the same: first view, first caption."""
        rows = self.held_out_rows[:most]
        for at in range(0, len(rows), size):
            part = rows[at : at + size]
            spans = [self.store.spans[row] for row in part]
            captions = [first if first < last else len(self.store.prompts) - 1 for first, last in spans]
            yield self.store.batch(self.variable, self.parents, part, [0] * len(part), captions)


def prepare(
    folder: Path,
    examples: Sequence[Example],
    variables: Sequence[str],
    views: Views,
    base: Backbone,
    palette: palettes.Palette,
    say: Callable[[int, int], None] = lambda done, total: None,
    waits: bool = False,
    pictures: Sequence[str] = (),
) -> LatentStore:
    """The store of these examples below ``folder``: read if it is there, of the same files, base and views, else made.

    variables: whose latents it holds; pictures: whose pictures, in steps of 1 / 255. say(done, total) is called after each example, and with 0 after each map that was read for its
    caption. waits: until another process has made it. A store is whole or absent. FolderError names a file that cannot be used.
    """
    folder = folder / f"latents-{_fingerprint(examples, variables, pictures, views, base, palette)[:16]}"
    while waits and not (folder / "about.json").is_file():
        time.sleep(0.2)
    if (folder / "about.json").is_file():
        return LatentStore(folder)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    size = views.size // base.facts.cell
    shape = (len(examples), views.count, base.facts.channels, size, size)
    files = {name: np.lib.format.open_memmap(part / f"{name}.npy", "w+", np.float16, shape) for name in variables}
    packers = {name: Packer(part / f"{name}.pictures", views.size) for name in pictures}
    texts: list[str] = []
    for example in examples:
        texts.extend(example.texts())
        if example.told:  # its map was read: time to ask whether to go on
            say(0, len(examples))
    texts.append("")
    _write_prompts(part / "prompts.npy", texts, base)  # first: one that cannot be read ends it at once
    for row, example in enumerate(examples):
        for name in dict.fromkeys((*variables, *pictures)):
            kind = None if name == IMAGE else kinds.get(name)
            colours = palette if kind is not None and kind.has_classes else None
            shown = torch.stack(
                [picture_of(example.sources[name], kind, views.size, view, colours) for view in views.of(example.name)]
            )
            if name in files:
                files[name][row] = base.encode(shown).cpu().numpy().astype(np.float16)
            if name in packers:
                packers[name].add(shown)
        say(row + 1, len(examples))
    for file in files.values():
        file.flush()
    for packer in packers.values():
        packer.close()
    last = np.cumsum([example.caption_count for example in examples]).tolist()
    facts = {
        "names": [example.name for example in examples],
        "spans": [(after - example.caption_count, after) for after, example in zip(last, examples, strict=True)],
        "variables": list(variables),
        "pictures": list(pictures),
        "texts": texts,
    }
    (part / "about.json").write_text(json.dumps(facts), encoding="utf-8")
    part.rename(folder)
    return LatentStore(folder)


def _write_prompts(file: Path, texts: Sequence[str], base: Backbone) -> None:
    """Encoded texts; a few in memory at a time: those of a large data set are many gigabytes."""
    prompts = None
    for at in range(0, len(texts), PROMPTS):
        encoded = base.prompts(texts[at : at + PROMPTS]).cpu().numpy()
        if prompts is None:
            prompts = np.lib.format.open_memmap(file, "w+", np.float16, (len(texts), *encoded.shape[1:]))
        prompts[at : at + len(encoded)] = encoded
    if prompts is not None:
        prompts.flush()


def stored_bytes(
    examples: Sequence[Example], variables: int, views: Views, facts: BaseFacts, prompt: Sequence[int]
) -> int:
    """Size on disk of the store of so many variables. prompt: shape of an encoded prompt, (tokens, width)."""
    side = views.size // facts.cell
    latents = len(examples) * variables * views.count * facts.channels * side * side
    texts = 1 + sum(example.caption_count for example in examples)
    return 2 * (latents + texts * prompt[0] * prompt[1])


def _fingerprint(
    examples: Sequence[Example],
    variables: Sequence[str],
    pictures: Sequence[str],
    views: Views,
    base: Backbone,
    palette: palettes.Palette,
) -> str:
    facts = [FORMAT, base.facts.fingerprint, asdict(views), palette.name, list(variables), list(pictures)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for example in examples:
        told = [example.told.beginning, example.told.source.stamp()] if example.told else []
        sources = [example.sources[name].stamp() for name in (*variables, *pictures)]
        digest.update(json.dumps([example.name, example.captions, told, sources]).encode())
    return digest.hexdigest()
