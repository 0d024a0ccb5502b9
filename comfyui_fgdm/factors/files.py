"""Factor files: an adapter's weights with what they are for, in one safetensors file.

Tensors: the adapter under the key names of the FG-DM release (an optional prefix ``model.diffusion_model.adapter.``
is dropped), and optionally low-rank changes of the frozen base, ``lora.<UNet weight key>.down`` and ``.up``; or, if the
metadata says so, a UNet of its own under the key names of Stable Diffusion 1.x.
Metadata: one JSON text under ``fgdm_factor``, the ``FactorInfo``.

The networks are in ``networks`` and ``unet``; the adapters' public names are importable from here as well.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from . import checkpoints, filekinds, unet
from .info import OFFICIAL_INFO, FactorInfo
from .networks import (
    OFFICIAL_EMB,
    OFFICIAL_WIDTHS,
    Adapter,
    AdapterKeysError,
    AdapterKind,
    AdapterSpec,
    TimeAdapter,
    build,
    detect,
    kind_of,
    mismatch,
    official,
)

__all__ = [
    "OFFICIAL_EMB",
    "OFFICIAL_WIDTHS",
    "Adapter",
    "AdapterKeysError",
    "AdapterKind",
    "AdapterSpec",
    "FactorFile",
    "FactorFileError",
    "FactorInfo",
    "LoraPair",
    "TimeAdapter",
    "build",
    "detect",
    "load",
    "lora_delta",
    "module_of",
    "read",
    "read_file",
    "save",
    "write",
]

METADATA_KEY = "fgdm_factor"
PREFIX = "model.diffusion_model.adapter."
LORA = "lora."
T2I_CHANNELS = (64, 192)
"""What the first layer of a T2I-Adapter reads: a grey or an RGB picture folded 8 x 8. All else is as in ``Adapter``."""

LARGEST = 1000.0
"""Of any weight: those of trained adapters stay below ten, and features of larger ones overflow half precision."""

MOST_NUMBERS = 1_000_000_000
"""In all tensors of a factor: the adapters of the release hold 77 and 137 million."""

Shapes = Mapping[str, tuple[int, ...]]
"""Of all tensors of a file, by name."""


class FactorFileError(ValueError):
    """A file that is no usable factor: which file, what is wrong with it, what it seems to be, what is expected."""


class LoraPair(NamedTuple):
    """A low-rank change of one weight: delta = up @ down, with down [rank, in * kh * kw] and up [out, rank]."""

    down: torch.Tensor
    up: torch.Tensor


class FactorFile(NamedTuple):
    """A factor as read: what it is, the weights of its network (an adapter, or a UNet of its own) by name, and changes of base
    weights by UNet weight key."""

    info: FactorInfo
    adapter: dict[str, torch.Tensor]
    lora: dict[str, LoraPair]

    @property
    def spec(self) -> AdapterSpec | unet.UNetConfig:
        """Everything needed to build the network."""
        return _spec({name: tuple(value.shape) for name, value in self.adapter.items()}, self.info)


def _spec(shapes: Shapes, info: FactorInfo | None) -> AdapterSpec | unet.UNetConfig:
    if info is None or info.kind != unet.KIND:
        return detect(shapes, info.blocks if info else 2)
    found = unet.detect(shapes, len(info.parents))
    if problem := mismatch(shapes, found):
        raise unet.UNetKeysError(problem)
    return found


def lora_delta(pair: LoraPair, shape: tuple[int, ...]) -> torch.Tensor:
    """The change of a weight of that shape, float32; ValueError if it does not fit."""
    delta = pair.up.float() @ pair.down.float()
    if delta.numel() != torch.Size(shape).numel() or delta.shape[0] != shape[0]:
        raise ValueError(f"a low-rank change of {tuple(delta.shape)} does not fit a weight of shape {tuple(shape)}")
    return delta.reshape(shape)


def read_file(path: str | os.PathLike) -> FactorFile:
    """Read a factor file to CPU tensors of their stored precision, checked: names, shapes, finite values.

    Names and shapes are checked before any tensor is read, so that a large foreign file is refused at once.
    A .pth, .pt or .ckpt file, as in the FG-DM release, is read too, tensors only: no code in it is ever run.
    FactorFileError for everything that is wrong with the file, OSError only for what the disk does.
    """
    path = Path(path)
    if not path.is_file():
        raise FactorFileError(f"{path}: no such file; put factor files into models/fgdm_factors")
    try:
        with checkpoints.open_file(path) as checkpoint:
            return read(checkpoint)
    except checkpoints.CheckpointError as error:
        raise FactorFileError(str(error)) from None


def read(checkpoint: checkpoints.Checkpoint) -> FactorFile:
    """The factor in an open weights file, as ``read_file`` gives it; raises as it does."""
    path = checkpoint.path
    info, names, pairs = _check(path, checkpoint.shapes, checkpoint.metadata.get(METADATA_KEY))

    def tensor(name: str) -> torch.Tensor:
        return _sound(path, name, checkpoint.get(name))

    adapter = {short: tensor(long) for short, long in names.items()}
    lora = {k: LoraPair(tensor(f"{LORA}{k}.down"), tensor(f"{LORA}{k}.up")) for k in pairs}
    return FactorFile(info, adapter, lora)


def _sound(path: Path, name: str, value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        raise FactorFileError(f"{path}: {name} is {value.dtype}, expected floating-point weights")
    if not _finite(value):
        raise FactorFileError(f"{path}: {name} holds NaN or infinite values; the weights are damaged")
    if (largest := max(map(abs, _ends(value)))) > LARGEST:
        raise FactorFileError(
            f"{path}: {name} holds weights as large as {largest:g}; those of trained adapters stay below ten, so these are "
            "damaged. Download or convert the file again"
        )
    return value


def _ends(value: torch.Tensor) -> tuple[float, float]:
    """Least and largest number. They keep NaN, and need one pass and no memory."""
    low, high = torch.aminmax(value.float()) if value.numel() else (torch.zeros(()),) * 2
    return low.item(), high.item()


def _finite(value: torch.Tensor) -> bool:
    return all(map(math.isfinite, _ends(value)))


def _check(path: Path, shapes: Shapes, text: str | None) -> tuple[FactorInfo, dict[str, str], list[str]]:
    """Information, adapter names (short -> as stored) and low-rank keys of a file with these shapes."""
    info = None
    if text is not None:
        try:
            info = FactorInfo.from_json(text)
        except ValueError as error:
            raise FactorFileError(f"{path}: bad metadata {METADATA_KEY!r}: {error}") from None
    prefixed = {k[len(PREFIX) :]: k for k in shapes if k.startswith(PREFIX)}
    names = prefixed or {k: k for k in shapes if not k.startswith(LORA)}
    found = {short: tuple(shapes[long]) for short, long in names.items()}
    try:
        spec = _spec(found, info)
    except unet.UNetKeysError as error:
        raise FactorFileError(
            f"{path}: its metadata tells of a factor with a UNet of its own, but the weights are none ({error}); the file is damaged"
        ) from None
    except AdapterKeysError as error:
        kind = kind_of(found)
        # Without metadata only one size of each kind is possible: compare with that one, to name what is wrong.
        problem = mismatch(found, official(kind)) if kind and info is None else str(error)
        seems = "a damaged factor file" if info else filekinds.describe_names(shapes)
        raise FactorFileError(
            f"{path}: no FG-DM adapter ({problem}); it seems to be {seems}; expected the keys conv_in.* and body.N.* "
            f"of an adapter, with or without the prefix {PREFIX}"
        ) from None
    if info is None:
        assert isinstance(spec, AdapterSpec)
        if spec != official(spec.kind):
            raise FactorFileError(f"{path}: {_unofficial(spec, bool(prefixed))}")
        info = dataclasses.replace(OFFICIAL_INFO, kind=spec.kind.value)
    kind_found = spec.kind.value if isinstance(spec, AdapterSpec) else unet.KIND
    if (info.kind, info.latent_channels, info.blocks) != (kind_found, spec.in_channels, spec.blocks):
        raise FactorFileError(
            f"{path}: metadata says {info.kind} for {info.latent_channels} latent channels and {info.blocks} blocks a level, but "
            f"the weights are {kind_found} for {spec.in_channels}, {spec.blocks} blocks"
        )
    keys = _lora_keys(path, shapes)
    if keys and info.kind == unet.KIND:
        raise FactorFileError(f"{path}: low-rank changes of a base, beside a network of its own that uses none")
    ours = [*names.values(), *(f"{LORA}{key}.{end}" for key in keys for end in ("down", "up"))]
    if (numbers := sum(math.prod(shapes[name]) for name in ours)) > MOST_NUMBERS:
        raise FactorFileError(
            f"{path}: a network of {numbers} numbers, more than {MOST_NUMBERS}: no factor is so large"
        )
    return info, names, keys


def _unofficial(spec: AdapterSpec, prefixed: bool) -> str:
    """Why a sound adapter that says nothing about itself is refused, and what it seems to be."""
    if spec.kind is AdapterKind.PLAIN and not prefixed and spec.in_channels in T2I_CHANNELS:
        return (
            f"a T2I-Adapter, it seems: its first layer reads {spec.in_channels} channels of a folded picture, that of "
            "an FG-DM adapter reads a latent; load it with Load ControlNet Model"
        )
    emb = f" and a timestep embedding of {spec.emb_channels}" if spec.emb_channels else ""
    return (
        f"an adapter for levels of {spec.widths} channels, a latent of {spec.in_channels}{emb}, but no metadata "
        f"{METADATA_KEY!r} that says what it draws and on which base; only adapters as in the FG-DM release (levels "
        f"of {OFFICIAL_WIDTHS}, a latent of 4, a timestep embedding of {OFFICIAL_EMB} or none) may lack it"
    )


def _lora_keys(path: Path, shapes: Shapes) -> list[str]:
    stored = [k for k in shapes if k.startswith(LORA)]
    if extra := [k for k in stored if not k.endswith((".down", ".up"))]:
        raise FactorFileError(f"{path}: unknown tensors {extra[:4]}; low-rank changes end in .down or .up")
    keys = sorted({k[len(LORA) :].rpartition(".")[0] for k in stored})
    for key in keys:
        down, up = (shapes.get(f"{LORA}{key}.{end}", ()) for end in ("down", "up"))
        if len(down) != 2 or len(up) != 2 or down[0] != up[1] or min(*down, *up) < 1:
            raise FactorFileError(
                f"{path}: low-rank change of {key!r} needs down [rank, in] and up [out, rank], got {down} and {up}"
            )
    return keys


def load(path: str | os.PathLike, ops=nn, device=None, dtype: torch.dtype | None = torch.float32) -> nn.Module:
    """The adapter of a factor file, in eval mode, with ``.spec`` (AdapterSpec) and ``.info`` (FactorInfo).

    dtype None keeps the precision of the file. Low-rank changes of the base are not part of the module: see
    ``read_file``. Raises as ``read_file`` does.
    """
    return module_of(read_file(path), ops, device, dtype)


def module_of(file: FactorFile, ops=nn, device=None, dtype: torch.dtype | None = torch.float32) -> nn.Module:
    """The network of a factor file that is read already, as ``load`` gives it; ops: of an adapter alone."""
    spec, stored = file.spec, next(iter(file.adapter.values())).dtype
    module: Any
    # Built without memory first: initial values would only be overwritten.
    if isinstance(spec, AdapterSpec):
        module = build(spec, ops, "meta", dtype or stored)
    else:
        with torch.device("meta"):
            module = unet.UNet(spec).to(dtype or stored)
    module = module.to_empty(device=device or "cpu")
    module.load_state_dict(file.adapter, strict=True)
    module.info = file.info
    return module.eval().requires_grad_(False)


def save(
    path: str | os.PathLike,
    weights: nn.Module | Mapping[str, torch.Tensor],
    info: FactorInfo,
    lora: Mapping[str, LoraPair] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a factor file, in one step (a reader never sees half a file); ``dtype`` converts, None keeps.

    The file is checked as ``read_file`` would check it, before anything is written.
    """
    path = Path(path)
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    tensors = dict(state)
    for key, (down, up) in (lora or {}).items():
        tensors[f"{LORA}{key}.down"], tensors[f"{LORA}{key}.up"] = down, up
    _check(path, {k: tuple(v.shape) for k, v in tensors.items()}, info.to_json())
    write(path, tensors, {METADATA_KEY: info.to_json()}, dtype)


def write(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], dtype: torch.dtype | None = None
) -> None:
    """A safetensors file, in one step; ``dtype`` converts, None keeps. FactorFileError for numbers that are none."""
    tensors = {k: v.detach().to("cpu", dtype or v.dtype).contiguous().clone() for k, v in tensors.items()}
    for name, value in tensors.items():
        if not _finite(value):
            raise FactorFileError(f"{path}: {name} holds NaN, infinity or numbers too large for {value.dtype}")
    part = path.with_name(f"{path.name}.part")
    try:
        part.touch()
        mode = part.stat().st_mode  # of any new file here; the writer's own would be for this user alone
        save_file(tensors, part, metadata=dict(metadata))
        part.chmod(mode)
        os.replace(part, path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from None
    finally:
        part.unlink(missing_ok=True)
