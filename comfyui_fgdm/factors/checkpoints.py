"""Weights files opened without running anything in them: names and shapes first, a tensor when it is asked for.

A .pth, .pt or .ckpt file is a pickle, which may name any class or function. PyTorch's restricted loading makes only
tensors and plain containers of it. Whole checkpoints of PyTorch Lightning also name the classes of callbacks and the
like; each such name is given an empty class of our own, so that nothing is imported, looked up or called.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from . import filekinds

PICKLES = (".pth", ".pt", ".ckpt")
READABLE = (".safetensors", ".sft", *PICKLES)

MOST_HEADER = 16 << 20
"""Bytes of names, shapes and metadata in a safetensors file, and of the structure of a pickle; those of a whole Stable
Diffusion checkpoint are below one million. Reading them takes many times as much memory."""


class CheckpointError(ValueError):
    """A weights file that cannot be read: which file, why, what it seems to be, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """An open weights file.

    shapes: of every tensor, by name. get: reads one tensor, in its stored precision, on the CPU. metadata: texts of a
    safetensors file. numbers: the numbers beside the state_dict of a pickle, such as epoch and global_step. inert:
    names of the classes and functions that the pickle wanted and that empty ones stood in for.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    get: Callable[[str], torch.Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    inert: tuple[str, ...] = ()


@contextmanager
def open_file(path: Path) -> Iterator[Checkpoint]:
    """Open a weights file by its suffix (a pickle for ``PICKLES``, else safetensors); ``get`` is good while it is open.

    A pickle is mapped into memory, not read, if it is in PyTorch's zip format (1.6 and later): tensors nobody asks
    for cost nothing. CheckpointError for what is wrong with the file, also inside the ``with``.
    """
    if path.suffix.lower() in PICKLES:
        yield _open_pickle(path)
        return
    _check_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}  # noqa: SIM118 (no mapping)
            yield Checkpoint(path, shapes, file.get_tensor, file.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); it seems to be {filekinds.describe_bytes(path)}"
        ) from None


def _check_header(path: Path) -> None:
    """CheckpointError for a safetensors file whose header is there and larger than that of any model."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if MOST_HEADER < length <= path.stat().st_size - 8:
        raise CheckpointError(f"{path}: its header takes {length} bytes, more than the {MOST_HEADER} of any model")


def _check_archive(path: Path) -> None:
    """CheckpointError for a zip file that would be unpacked into memory: PyTorch stores weights as they are."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise CheckpointError(
                    f"{path}: {entry.filename!r} in it is compressed, as no checkpoint of PyTorch is "
                    f"({entry.file_size} bytes of {entry.compress_size}). Unpack the archive, or download the file again"
                )
            if entry.filename.endswith(".pkl") and entry.file_size > MOST_HEADER:
                raise CheckpointError(
                    f"{path}: {entry.filename!r} in it takes {entry.file_size} bytes, more than the {MOST_HEADER} of any "
                    "checkpoint: it holds no mere weights"
                )


def _open_pickle(path: Path) -> Checkpoint:
    inert: tuple[str, ...] = ()
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _check_archive(path)
        inert = _foreign_names(path) if zipped else ()
        stand_ins: list[Any] = [_stand_in(name) for name in inert]
        with torch.serialization.safe_globals(stand_ins) if stand_ins else nullcontext():
            raw = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    except Exception as error:  # the unpickler raises whatever a damaged or hostile file leads it to
        wants = f", it asks for {', '.join(inert[:4])}" if inert else ""
        raise CheckpointError(
            f"{path}: cannot be read as tensors alone ({type(error).__name__}{wants}); it seems to be "
            f"{filekinds.describe_bytes(path)}. Nothing in it was run. Download it again; or, where you trust it and "
            "have the code it was made with, save its state_dict alone with that code and use the new file"
        ) from None
    state = raw.get("state_dict", raw) if isinstance(raw, dict) else None
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and _plain(v)} if isinstance(state, dict) else {}
    beside = raw if isinstance(raw, dict) and state is not raw else {}
    numbers = {k: v for k, v in beside.items() if isinstance(k, str) and type(v) in (int, float)}
    shapes = {k: tuple(v.shape) for k, v in tensors.items()}
    return Checkpoint(path, shapes, tensors.__getitem__, numbers=numbers, inert=inert)


def _plain(value: object) -> bool:
    """A tensor of numbers in memory: not sparse, quantised, nested or without data."""
    if not isinstance(value, torch.Tensor):
        return False
    return value.layout is torch.strided and value.device.type == "cpu" and not (value.is_quantized or value.is_nested)


class _Inert:
    """Stands where a pickle wants a class or function of its own: takes everything, keeps nothing, does nothing."""

    def __new__(cls, *args: object, **keywords: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def _stand_in(full_name: str) -> type[_Inert]:
    """An empty class that goes by that name, under which restricted loading looks it up."""
    module, _, name = full_name.rpartition(".")
    return type(name, (_Inert,), {"__module__": module, "__qualname__": name})


def _foreign_names(path: Path) -> tuple[str, ...]:
    """Names in a pickle that restricted loading would refuse, found by reading its instructions, not by running them."""
    listing = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)  # PyTorch 2.6 and later
    return tuple(sorted(listing(path))) if listing else ()
