"""What tells one MODEL from another: samples of its weights, of its LoRAs, of its factors, and how it takes noise.

An inversion holds for the model that it was made with. Hashing gigabytes at every run would take longer than the run, so a few
values of each tensor are hashed. What acts by code (patches of attention of other packs) leaves no trace here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import comfy.patcher_extension
import torch

from ..models.features import KEY

VALUES = 8  # of each tensor
PARTS = ("base model", "noise levels", "LoRAs", "factors")


def of_model(model) -> dict[str, str]:
    """A digest of each of PARTS of a MODEL. Equal for equal weights in equal precision, whatever was loaded before."""
    sampling = model.get_model_object("model_sampling")
    kinds = [kind.__name__ for kind in type(sampling).__mro__]
    levels = [
        float(sampling.sigma_min),
        float(sampling.sigma_max),
        *map(float, (sampling.percent_to_sigma(p) for p in (0.25, 0.5, 0.75))),
    ]
    return {
        "base model": _digest(_weights(model)),
        "noise levels": _digest([repr(kinds), *(f"{level:.6g}" for level in levels)]),
        "LoRAs": _digest(_patches(model)),
        "factors": _digest(_factors(model)),
    }  # fmt: skip


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Those of PARTS in which two fingerprints differ."""
    return [part for part in PARTS if one.get(part) != other.get(part)]


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:32]


def _weights(model) -> Iterable[str]:
    """The unpatched weights: where a LoRA is written into them now, core keeps what was there before."""
    for name, value in sorted(model.model.diffusion_model.state_dict().items()):
        kept = model.backup.get(f"diffusion_model.{name}")
        yield f"{name} {_sample(value if kept is None else kept.weight)}"


def _sample(value: torch.Tensor) -> str:
    shape = list(value.shape)
    try:
        flat = value.detach().reshape(-1)
        step = max(1, len(flat) // VALUES)
        return f"{shape} {flat[::step][:VALUES].float().cpu().tolist()}"
    except (RuntimeError, NotImplementedError, TypeError):  # weights kept in a packed form
        return f"{shape} {value.dtype}"


def _patches(model) -> Iterable[str]:
    for name, patches in sorted(model.patches.items(), key=lambda item: str(item[0])):
        for patch in patches:
            yield f"{name} {_said(patch)}"


def _said(value: Any) -> str:
    """Numbers and tensors inside a patch, by whatever classes core wraps them in."""
    if isinstance(value, torch.Tensor):
        return _sample(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, (str, int, float, bool, type(None))):
        return repr(value)
    weights = getattr(value, "weights", None)
    return f"{type(value).__name__} {_said(weights) if isinstance(weights, (list, tuple)) else ''}"


def _factors(model) -> Iterable[str]:
    for wrapper in model.get_wrappers(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, KEY):
        yield f"{wrapper.strength} {wrapper.sigma_range} {wrapper.blocks}"
        for name, value in sorted(wrapper.factor.patcher.model.state_dict().items()):
            yield f"{name} {_sample(value)}"
