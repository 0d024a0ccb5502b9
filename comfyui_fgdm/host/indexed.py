"""Pictures of class indices: written for the browser into the host's temporary folder, read from its input folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths
import numpy as np
from PIL import Image

from ..editing.keys import RecipeError, said
from ..editing.scene import NOTHING
from . import folders

SUBFOLDER = "fgdm_edit"
UNTOUCHED = 255


def show(values: np.ndarray) -> dict[str, str]:
    """Write labels or levels, integer [H, W], or a picture, uint8 [H, W, 3], as a PNG; what /view needs to show it.

    The grey level is the label: 8 bits, or 16 if a label is above 255. The name is made from the content.
    """
    wide = values.ndim == 2 and int(values.max(initial=0)) > 255
    array = np.ascontiguousarray(values, dtype="<u2" if wide else np.uint8)
    digest = hashlib.sha256(f"{array.shape} {array.dtype} ".encode() + array.tobytes()).hexdigest()[:24]
    place = Path(folder_paths.get_temp_directory()) / SUBFOLDER
    file = place / f"{digest}.png"
    if not file.exists():
        place.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            Image.fromarray(array).save(out, format="PNG", compress_level=1)
    return {"filename": file.name, "subfolder": SUBFOLDER, "type": "temp"}


def load(name: str, size: tuple[int, int], classes: int) -> np.ndarray:
    """Labels int16 [H, W] of a PNG in the host's input folder, NOTHING where its level is 255.

    size: (width, height) that it has to have. classes: how many there are. RecipeError if there is no such file in that
    folder, or it is something else.
    """
    file = folders.input_file(name, (".png",))
    if file is None:
        raise RecipeError(f"'png': {said(name)} names no PNG in ComfyUI's input folder")
    if not file.is_file():
        base = Path(folder_paths.get_input_directory()).resolve()
        raise RecipeError(f"'png': there is no {said(name)} in {base}; put it back, or undo this operation")
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if picture.size != size:  # before anything is unpacked
                raise RecipeError(
                    f"'png': {said(name)} is {picture.size[0]} x {picture.size[1]} pixels, and the map of the recipe "
                    f"{size[0]} x {size[1]}; it belongs to another map"
                )
            if picture.mode not in ("L", "P"):
                raise RecipeError(
                    f"'png': {said(name)} is no picture of class indices: its mode is {picture.mode}, not L"
                )
            labels = np.asarray(picture).astype(np.int16)
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"'png': {said(name)} cannot be read ({error})") from None
    labels[labels == UNTOUCHED] = NOTHING
    if labels.max(initial=0) >= classes:
        raise RecipeError(f"'png': {said(name)} holds class {int(labels.max())}; the palette has 0 to {classes - 1}")
    return labels
