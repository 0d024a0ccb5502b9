"""Inversions as files: one safetensors file each in the host's output folder, with what it holds for in its metadata."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file

from ...sampling.inversion import Inversion, InversionError, Order, check_sigmas
from .. import folders
from .fingerprint import PARTS
from .invert import Inverted
from .listing import folder, names

KEY = "fgdm_inversion"
VERSION = 1
TENSORS = ("sigmas", "source", "path", "noises")


def save(inverted: Inverted, name: str) -> str:
    """Write an inversion; returns the name by which it is listed. A file of that name stays, and the new one gets a number."""
    path, made = folders.free_path(folder(), folders.stem_of(name, InversionError)), inverted.inversion
    facts = {"version": VERSION, "order": int(made.order), "model": dict(inverted.model), "exact": inverted.exact}
    tensors = {name: getattr(made, name).contiguous().clone() for name in TENSORS}
    save_file(tensors, path, {KEY: json.dumps(facts)})
    return path.name


def path_of(name: object) -> Path:
    """Where an inversion of that name lies. InversionError if there is none."""
    if name not in names():
        raise InversionError(
            f"inversion_name: there is no inversion {name!r} in {folder()}; there is: {', '.join(names()) or 'none yet'}. Save one "
            "with Save Inversion; then refresh."
        )
    return folder() / str(name)


def load(name: object) -> Inverted:
    """Read an inversion. InversionError for a file that is missing, damaged or something else."""
    path = path_of(name)
    try:
        with safetensors.safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in TENSORS if name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise InversionError(f"{path}: it cannot be read: {error}") from None
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        raise InversionError(f"{path}: it is no inversion that this version of the pack reads. Invert anew.")
    if missing := [one for one in TENSORS if one not in tensors]:
        raise InversionError(f"{path}: it lacks {', '.join(missing)}.")
    _check(path, facts, tensors)
    model = {part: facts["model"][part] for part in PARTS}
    order = Order(facts["order"])
    return Inverted(
        Inversion(order=order, **{k: v.float() for k, v in tensors.items()}), model, bool(facts.get("exact"))
    )


def _check(path: Path, facts: dict, tensors: dict[str, torch.Tensor]) -> None:
    try:
        check_sigmas(tensors["sigmas"])
    except InversionError as error:
        raise InversionError(f"{path}: {error}") from None
    steps, shape = len(tensors["sigmas"]) - 1, tensors["source"].shape
    wanted = {"path": (steps + 1, *shape), "noises": (steps, *shape)}
    for name, size in wanted.items():
        if tuple(tensors[name].shape) != size or not tensors[name].isfinite().all():
            raise InversionError(
                f"{path}: {name} should hold {list(size)} finite numbers, not {list(tensors[name].shape)}."
            )
    known = isinstance(facts.get("model"), dict) and all(isinstance(facts["model"].get(part), str) for part in PARTS)
    if not known or facts.get("order") not in list(Order):
        raise InversionError(f"{path}: its metadata is incomplete. Invert anew.")
