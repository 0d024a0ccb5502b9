"""What comes into a node is checked before the node runs: every link carries what its socket is for, every number is one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

PLAIN = (str, bytes, int, float, bool, list, tuple, dict, type(None))
"""What a workflow can hold in place of a link; whatever travels along links of the types of objects is none of these."""


def checked(execute: Callable | None = None, *, packs: Iterable[str] = ()) -> Callable:
    """Decorates `execute` (or `check_lazy_status`) of a node, below @classmethod: ValueError that names the input, before anything runs, for

    - a literal where the socket takes a link (a workflow sent over the API may hold one),
    - a number that is not finite or, coming by a link, is outside of the range of its input,
    - a LATENT that packs several variables, unless its input is named in `packs`.
    """
    if execute is None:
        return functools.partial(checked, packs=packs)

    @functools.wraps(execute)
    def run(cls, **values):
        schema = cls.SCHEMA or cls.GET_SCHEMA()
        for one in schema.inputs:
            value = values.get(one.id)
            if one.id not in values or (value is None and (one.optional or one.lazy)):
                continue
            for single in value if schema.is_input_list and isinstance(value, list) else [value]:
                _check(one, single, one.id in packs)
        return execute(cls, **values)

    return run


def _check(one, value: Any, packed: bool) -> None:
    kind = one.get_io_type()
    if kind in ("INT", "FLOAT"):
        _number(one, value)
    elif kind == "LATENT":
        _latent(one, value, packed)
    elif kind not in ("STRING", "BOOLEAN", "COMBO", "*") and not _carries(kind, value):
        raise _no_link(one, value)


def _number(one, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{one.id}: expected a number, got {_said(value)}. Connect a number, or type one in.")
    low, high = one.min, one.max
    within = f"a number from {_short(low)} to {_short(high)}" if None not in (low, high) else "a finite number"
    if not math.isfinite(value):
        raise ValueError(f"{one.id}: {value} is no finite number; give {within}.")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"{one.id}: {_short(value)} is out of range; give {within}.")


def _latent(one, value: Any, packed: bool) -> None:
    import torch

    samples = value.get("samples") if isinstance(value, dict) else None
    if getattr(samples, "is_nested", False):
        if not packed:
            raise ValueError(
                f"{one.id}: this latent packs {len(samples.unbind())} variables in one, as SamplerCustomAdvanced gives "
                "them for a graph. Take one of them out with Graph Result, and connect that."
            )
    elif not isinstance(samples, torch.Tensor):
        raise _no_link(one, value)
    elif samples.ndim < 4:
        raise ValueError(
            f"{one.id}: expected latents of pictures (batch, channels, height, width), got shape {list(samples.shape)}. "
            "Connect an Empty Latent Image, or a picture through VAE Encode."
        )


def _carries(kind: str, value: Any) -> bool:
    import torch

    if kind in ("IMAGE", "MASK", "SIGMAS"):
        return isinstance(value, torch.Tensor)
    if kind == "CONDITIONING":
        return isinstance(value, list) and all(
            isinstance(entry, (list, tuple)) and len(entry) == 2 and isinstance(entry[1], dict) for entry in value
        )
    if kind == "BOUNDING_BOX":  # core's boxes travel as lists of dicts
        return isinstance(value, (list, dict))
    return not isinstance(value, PLAIN)


def _no_link(one, value: Any) -> ValueError:
    return ValueError(
        f"{one.id}: expected a link that carries {one.get_io_type()}, got {_said(value)}. Connect the output of a node "
        '(over the API: ["id of the node", number of its output]).'
    )


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"the {type(value).__name__} {text[:40]}{'...' if len(text) > 40 else ''}"


def _short(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
