"""What a run will need of memory, asked before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.model_management
import torch

PICTURE_BYTES = 4 * 3
"""Of a pixel of a map, in single precision."""


def check_room(model, shape: Sequence[int], count: int, size: tuple[int, int], said: str) -> None:
    """ValueError where not even one candidate fits into the memory of the model's device, or all maps into the host's.

    shape: C x h x w of one latent; count: of maps, of ``size`` (width, height) in pixels; said: which inputs ask for that.
    A device with no memory for a batch halves it; an operating system that runs out ends the whole server.
    """
    device = model.load_device
    needs = [
        ("sampling one of them", model.model.memory_required([1, *shape]), device),
        (f"{count} of them", 2 * count * size[0] * size[1] * PICTURE_BYTES, torch.device("cpu")),
    ]
    for what, needed, where in needs:
        room = comfy.model_management.get_total_memory(where)
        if needed > room:
            raise ValueError(
                f"{said}: maps of {size[0]} x {size[1]} pixels are too large here: {what} takes about {_gib(needed)}, "
                f"and there are {_gib(room)} in all. Give a smaller width and height, or fewer maps."
            )


def _gib(count: float) -> str:
    return f"{count / 2**30:.3g} GiB"
