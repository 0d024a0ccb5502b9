"""Concepts as a user writes them, and what becomes of them for one model, text encoder and map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional as F

from ...maps.reader import Reader
from ...objects.changes import read_changes
from ...sampling.attention_maps import Tokens
from ...sampling.choices import Masks
from ...sampling.edits import Concept
from ...sampling.inversion import InversionError
from ..reading import class_labels

UNKNOWN = ("<unknown>", "<unk>", "[UNK]")
"""How vocabularies call the token of words that they lack."""


@dataclass(frozen=True)
class Written:
    """One concept of the graph. how: everything but the region. where: names of classes of a map, separated by commas; empty:
    anywhere. mask: MASK that also bounds it, or None. grow: pixels by which the region of `where` is widened."""

    text: str
    how: Concept
    where: str = ""
    mask: torch.Tensor | None = None
    grow: int = 0


@dataclass(frozen=True)
class ConceptList:
    """What travels along a link: concepts in the order in which they were chained."""

    items: tuple[Written, ...] = ()


def written(
    text: str, how: Concept, where: str, mask: torch.Tensor | None, grow: int, before: ConceptList | None = None
) -> ConceptList:
    """The concepts of a text such as "+elephant -dog", after those before. InversionError if it names none."""
    changes = read_changes(text)
    if not changes:
        raise InversionError(
            "text: it names nothing to add or to remove. Write for example '+elephant -dog'; commas and lines separate too."
        )
    own = (Written(one.text, replace(how, remove=one.remove), where, mask, grow) for one in changes)
    return ConceptList((*(before.items if before else ()), *own))


@dataclass(frozen=True)
class Words:
    """A concept as a text encoder reads it. unknown: that it has words which the encoder does not know."""

    conditioning: list
    tokens: Tokens
    unknown: bool


def encode(clip, text: str, base: list) -> Words:
    """The CONDITIONING of a concept, with all else that ``base`` holds (ControlNets, areas), and where its words stand.

    InversionError for a text of which the encoder knows no word, or more than it reads at once.
    """
    conditioning = clip.encode_from_tokens_scheduled(clip.tokenize(text))
    (first, *more), empty = (next(iter(clip.tokenize(t).values())) for t in (text, ""))
    fixed = {_id(entry) for entry in empty[0]}
    places = tuple(place for place, entry in enumerate(first) if _id(entry) not in fixed)
    if more:
        raise InversionError(
            f"concepts: {text[:60]!r}... is longer than the text encoder reads at once ({len(empty[0]) - 2} tokens). Name one "
            "thing in a few words; separate several things by commas."
        )
    unknown = _unknown(clip)
    lacking = [_id(first[place]) in unknown for place in places]
    if all(lacking):
        raise InversionError(
            f"concepts: the text encoder of this model knows no word of {text!r}. Use other words; the embedded model knows "
            "those of its icon world, such as dog, bicycle and tree."
        )
    (encoded, options), *_ = conditioning
    shared = {k: v for k, v in base[0][1].items() if k != "pooled_output"}
    return Words([[encoded, {**shared, **options}]], Tokens(places, encoded.shape[1]), any(lacking))


def _id(entry: Sequence[Any]) -> Any:
    token = entry[0]
    return token if isinstance(token, int) else "embedding"


def _unknown(clip) -> set[int]:
    """Ids of the tokens that stand for any word which the vocabularies lack."""
    found: set[int] = set()
    for part in vars(clip.tokenizer).values():
        names = getattr(part, "inv_vocab", None)
        if isinstance(names, dict):
            found |= {number for number, name in names.items() if name in UNKNOWN}
    return found


def classes_of(where: str, reader: Reader) -> list[int]:
    """Labels of all classes named, separated by commas. ValueError that names an unknown one."""
    names = [name for name in where.split(",") if name.strip()]
    return sorted({label for name in names for label in class_labels(name, reader, "where") or ()})


def region_of(labels: torch.Tensor, classes: Sequence[int], grow: int) -> torch.Tensor:
    """Labels [B, H, W] -> float [B, 1, H, W], 1 where one of the classes is, or is within ``grow`` pixels."""
    mask = torch.isin(labels, torch.tensor(list(classes), device=labels.device)).float()[:, None]
    return F.max_pool2d(mask, 2 * grow + 1, stride=1, padding=grow) if grow else mask


def in_cells(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A mask [B, 1, H, W] for latents: each cell has the most of its pixels, so that what is covered is covered whole."""
    if mask.shape[-2] < size[0] or mask.shape[-1] < size[1]:
        return F.interpolate(mask, size)
    return F.adaptive_max_pool2d(mask, size)


def acts_by_attention(concept: Concept) -> bool:
    return concept.masks in (Masks.BOTH, Masks.ATTENTION)
