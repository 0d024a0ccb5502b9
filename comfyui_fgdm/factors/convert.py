"""Checkpoints of the FG-DM release become factor files: the adapter alone, with what it is for.

The release trains with PyTorch Lightning and keeps the whole model in one .pth file: the frozen Stable Diffusion 1.x
(UNet, autoencoder, text encoder), which is loaded from its own checkpoint instead, and the adapter among its weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..maps import kinds
from . import checkpoints, files
from .files import METADATA_KEY, FactorInfo
from .info import reader_of

EMA = "model_ema."


class ConvertError(ValueError):
    """A conversion that cannot be done as asked: what is in the way, and what to do."""


@dataclass(frozen=True)
class Wishes:
    """What the user says about the factor, where the release is silent (None: as the release's own, or as the file says).

    variable: what it draws. palette: name of the palette of its maps. licence: of the weights. trained_size: side of
    the training pictures in pixels. half: write 16-bit weights. force: overwrite the target.
    """

    variable: str | None = None
    palette: str | None = None
    licence: str | None = None
    trained_size: int | None = None
    half: bool = False
    force: bool = False


def convert(source: Path, target: Path, wishes: Wishes, say: Callable[[str], None]) -> FactorInfo:
    """Write the factor in ``source`` to ``target``; ``say`` gets a line of progress at a time.

    The same source and wishes give the same bytes. Raises ConvertError, variables.VariableError,
    adapter.FactorFileError (nothing is written then), and OSError for what the disk does.
    """
    if not source.is_file():
        raise ConvertError(f"{source}: no such file")
    _check_target(source, target, wishes.force)
    say(f"reading {source} ({_size(source.stat().st_size)})")
    try:
        with checkpoints.open_file(source) as checkpoint:
            file = files.read(checkpoint)
            for line in _summary(checkpoint, file):
                say(line)
            info = _info(checkpoint, file.info, wishes)
    except checkpoints.CheckpointError as error:
        raise files.FactorFileError(str(error)) from None
    say(f"writing {target}")
    files.save(target, file.adapter, info, file.lora, torch.float16 if wishes.half else None)
    say(
        f"done: {target} ({_size(target.stat().st_size)}), a {info.variable} factor for {info.base_family}; "
        "put it into ComfyUI/models/fgdm_factors"
    )
    return info


def _check_target(source: Path, target: Path, force: bool) -> None:
    if target.suffix.lower() != ".safetensors":
        raise ConvertError(f"{target}: factor files end in .safetensors; choose such a name")
    if not target.parent.is_dir():
        raise ConvertError(f"{target}: there is no folder {target.parent}; make it first")
    if target.is_dir():
        raise ConvertError(f"{target}: is a folder; name a file")
    if target.exists() and target.samefile(source):
        raise ConvertError(f"{target}: is the file to read; choose another name")
    if target.exists() and not force:
        raise ConvertError(f"{target}: exists already; choose another name, or overwrite it with --force")


def _info(checkpoint: checkpoints.Checkpoint, found: FactorInfo, wishes: Wishes) -> FactorInfo:
    """The factor's description: as the file has it, or as the release's own, changed by what the user says."""
    changes = {
        name: value
        for name in ("palette", "licence", "trained_size")
        if (value := getattr(wishes, name)) is not None and value != getattr(found, name)
    }
    if wishes.variable is not None and wishes.variable != found.variable:
        changes |= {"variable": wishes.variable, "palette": wishes.palette or kinds.get(wishes.variable).palette}
    if {"variable", "palette"} & set(changes):
        changes["classes"] = ()  # those of the other palette mean nothing here
    if METADATA_KEY not in checkpoint.metadata:
        numbers = {k: v for k, v in checkpoint.numbers.items() if k in ("epoch", "global_step")}
        note = "converted from a checkpoint of the FG-DM release's layout, which says nothing about its training"
        changes["training"] = {"note": note, "file": checkpoint.path.name, **numbers}
    try:
        info = dataclasses.replace(found, **changes)
        if wishes.palette is not None:
            reader_of(info)  # a misspelt name would only be noticed when the file is loaded
        return info
    except ValueError as error:
        said = str(error).replace("trained_size", "--size (trained_size)")
        raise ConvertError(f"what is said about the factor does not hold together: {said}") from None


def _summary(checkpoint: checkpoints.Checkpoint, file: files.FactorFile) -> list[str]:
    """What was found and what is left out, a line each."""
    weights = [*file.adapter.values(), *(tensor for pair in file.lora.values() for tensor in pair)]
    precision = ", ".join(sorted({str(w.dtype).removeprefix("torch.") for w in weights}))
    millions = sum(w.numel() for w in weights) / 1e6
    lines = [f"found the weights of a factor ({file.info.kind}): {len(weights)} tensors, {millions:.1f} M, {precision}"]
    averaged = sum(name.startswith(EMA) for name in checkpoint.shapes)
    if rest := len(checkpoint.shapes) - len(weights) - averaged:
        lines.append(f"left out: {rest} tensors of the frozen base, which is loaded from its own checkpoint")
    if averaged:
        lines.append(f"left out: an averaged copy (EMA) of {averaged} tensors; the release uses the plain weights")
    if checkpoint.inert:
        shown = ", ".join(checkpoint.inert[:4]) + (" ..." if len(checkpoint.inert) > 4 else "")
        lines.append(f"left out and not run: {len(checkpoint.inert)} Python names in the file ({shown})")
    return lines


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
