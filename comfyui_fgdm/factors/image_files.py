"""Image factors as files: ControlNets as ComfyUI's Load ControlNet Model reads them, with a note of what they are for.

A whole ControlNet holds ``input_blocks.``, ``middle_block.`` and ``time_embed.`` as its base calls them, and the parts in
``OWN``; on reading, a prefix ``control_model.`` is dropped. A Control-LoRA holds a mark, low-rank changes of the base's
weights, ``<layer>.down`` and ``.up``, and the parts in ``OWN``. Metadata: one JSON text under ``fgdm_image_factor``, the
``ImageFactorInfo``; files of others have none.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from . import checkpoints, filekinds
from .files import FactorFileError, LoraPair, lora_delta, write

METADATA_KEY = "fgdm_image_factor"
PREFIX = "control_model."
MARK = "lora_controlnet"
HINT = "input_hint_block."
OWN = (HINT, "zero_convs.", "middle_block_out.")
"""The parts that the base does not have."""


@dataclass(frozen=True)
class ImageFactorInfo:
    """variable: whose maps the picture follows. base_family, prediction_type: of the frozen base. palette: of the maps, None
    for those without classes. trained_size: pixels. licence: of the weights. training: free JSON record."""

    variable: str
    base_family: str
    palette: str | None = None
    trained_size: int = 0
    prediction_type: str = "eps"
    licence: str = ""
    training: dict = field(default_factory=dict, hash=False)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ImageFactorInfo:
        """Inverse of ``to_json``; unknown fields are ignored. ValueError says what is wrong."""
        try:
            raw = json.loads(text)
            info = cls(**{key: raw[key] for key in (f.name for f in dataclasses.fields(cls)) if key in raw})
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"no record of an image factor ({error})") from None
        for key in ("variable", "base_family", "prediction_type", "licence"):
            if not isinstance(getattr(info, key), str):
                raise ValueError(f"{key} must be a text")
        return info


@dataclass(frozen=True)
class ImageFactorFile:
    """An image factor as read. info: None in files of others. whole: weights by name, single precision. pairs: low-rank
    changes by the name of the base's weight; low_rank: whether it is a Control-LoRA."""

    path: Path
    info: ImageFactorInfo | None
    whole: dict[str, Tensor]
    pairs: dict[str, LoraPair]
    low_rank: bool

    def weights(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights of the ControlNet that it stands for on a base. FactorFileError for changes that do not fit."""
        if not self.low_rank:
            return dict(self.whole)
        shared = {
            name: weight.float() for name, weight in base.items() if not name.startswith(("output_blocks.", "out."))
        }
        changed = {}
        for name, pair in self.pairs.items():
            if name not in shared:
                raise FactorFileError(f"{self.path}: it changes {name!r}, which is no weight of the base's encoder")
            try:
                changed[name] = shared[name] + lora_delta(pair, shared[name].shape).to(shared[name].device)
            except ValueError as error:
                raise FactorFileError(f"{self.path}: {name}: {error}") from None
        return shared | changed | self.whole


def read(path: str | os.PathLike) -> ImageFactorFile:
    """Read a ControlNet or Control-LoRA; names are checked before any tensor is read, and nothing in the file is run.

    FactorFileError for a file that is something else, says something odd of itself, or holds numbers that are none.
    """
    path = Path(path)
    if not path.is_file():
        raise FactorFileError(f"{path}: no such file")
    try:
        with checkpoints.open_file(path) as file:
            names = {name.removeprefix(PREFIX): name for name in file.shapes}
            if not all(any(name.startswith(own) for name in names) for own in OWN):
                raise FactorFileError(
                    f"{path}: no ControlNet of Stable Diffusion 1.x in the layout of ComfyUI ({', '.join(OWN)} ...); it "
                    f"seems to be {filekinds.describe_names(file.shapes)}"
                )
            text = file.metadata.get(METADATA_KEY)
            try:
                info = None if text is None else ImageFactorInfo.from_json(text)
            except ValueError as error:
                raise FactorFileError(f"{path}: bad metadata {METADATA_KEY!r}: {error}") from None
            return parsed(path, {short: file.get(long) for short, long in names.items()}, info)
    except checkpoints.CheckpointError as error:
        raise FactorFileError(str(error)) from None


def parsed(path: Path, state: Mapping[str, Tensor], info: ImageFactorInfo | None = None) -> ImageFactorFile:
    """The image factor in tensors by name; path: for messages."""
    whole = {name: value.float() for name, value in state.items() if name.endswith((".weight", ".bias"))}
    for name, value in whole.items():
        if not bool(torch.isfinite(value).all()):
            raise FactorFileError(f"{path}: {name} holds NaN or infinite values; the weights are damaged")
    layers = [name.removesuffix(".up") for name in state if name.endswith(".up")]
    if odd := [layer for layer in layers if f"{layer}.down" not in state]:
        raise FactorFileError(f"{path}: {odd[0]}.up is there, {odd[0]}.down is not")
    pairs = {
        f"{layer}.weight": LoraPair(state[f"{layer}.down"].float().flatten(1), state[f"{layer}.up"].float().flatten(1))
        for layer in layers
    }
    return ImageFactorFile(path, info, whole, pairs, MARK in state)


def state(whole: Mapping[str, Tensor], pairs: Mapping[str, LoraPair] | None) -> dict[str, Tensor]:
    """Tensors as ComfyUI reads them; pairs: of a Control-LoRA, None for a whole ControlNet."""
    if pairs is None:
        return dict(whole)
    found = {MARK: torch.zeros(0)}
    for name, (down, up) in pairs.items():
        layer = name.removesuffix(".weight")
        found[f"{layer}.up"], found[f"{layer}.down"] = up, down
    return found | dict(whole)


def save(
    path: Path,
    whole: Mapping[str, Tensor],
    pairs: Mapping[str, LoraPair] | None,
    info: ImageFactorInfo | None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write an image factor, in one step; ``dtype`` converts. FactorFileError for numbers that are none."""
    write(path, state(whole, pairs), {METADATA_KEY: info.to_json()} if info else {}, dtype)
