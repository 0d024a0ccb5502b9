"""Edit Map on depth maps and sketches: levels in place of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch

from ..editing import recipe
from ..editing.applying import edit_levels
from ..editing.keys import RecipeError, Scale, said
from ..maps import kinds
from . import folders
from .editing import Outcome, tick
from .reading import pictures_of, to_image

EDITED = ("depth", "sketch")
FONTS = (".ttf", ".otf", ".ttc")


def read(maps: torch.Tensor, variable: str) -> np.ndarray:
    """Levels uint8 (B, H, W) of an IMAGE batch: nearness of depth, strength of lines of a sketch."""
    kind = kinds.find(variable)
    if kind is None or kind.level is None:
        raise RecipeError(f"recipe: {variable} maps cannot be edited.")
    return (kind.level(kind.to_values(pictures_of(maps, "map"))) * 255).round().to(torch.uint8).numpy()


def edit(
    maps: torch.Tensor,
    levels: np.ndarray,
    operations: Sequence[recipe.Operation],
    variable: str,
    scale: Scale = (1.0, 1.0),
) -> Outcome:
    """Apply operations to all maps of a batch, float (B, H, W, 3), of which the levels were read; pixels that keep their level keep
    their value. scale: of the operations' coordinates."""

    edited = [edit_levels(one, operations, variable, scale=scale, font=font, tick=tick) for one in levels]
    after = np.stack([one.values for one in edited])
    differs = torch.from_numpy(after != levels)
    painted = torch.from_numpy(after.astype(np.float32) / 255)[..., None].expand(*after.shape, 3)
    report = [
        {**one.report(), "unknown": 0.0, "changed": round(float(new.float().mean()), 6)}
        for one, new in zip(edited, differs, strict=True)
    ]
    pictures = torch.where(differs[..., None], painted, pictures_of(maps, "map"))
    return Outcome(to_image(pictures), to_image(differs.float()), torch.from_numpy(after.astype(np.int64)), report)


def font(name: str, size: float) -> Any:
    """A font of a file in the host's input folder; RecipeError if there is no such font there."""
    from PIL import ImageFont

    file = folders.input_file(name, FONTS)
    if file is None:
        raise RecipeError(f"'font': {said(name)} names no font file ({', '.join(FONTS)}) in ComfyUI's input folder")
    try:
        return ImageFont.truetype(str(file), size)
    except (OSError, ValueError) as error:
        base = Path(folder_paths.get_input_directory()).resolve()
        raise RecipeError(f"'font': {said(name)} cannot be read from {base} ({error})") from None
