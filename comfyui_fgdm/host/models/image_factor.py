"""A trained image factor joins the user's ControlNets, and is loaded as the host loads any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.controlnet
import torch

from ...factors import image_files
from ...factors.files import FactorFileError
from .. import controlnets, folders


def keep(file: Path, name: str) -> Path:
    """Put a trained image factor into models/controlnet, in half precision; a file of that name stays, unless it is the same,
    and the new one gets a number. Returns where it lies. FactorFileError for a name under which no file is written."""
    stem, folder = folders.stem_of(name, FactorFileError), controlnets.own()
    folder.mkdir(parents=True, exist_ok=True)
    made, found = folder / f".{stem}.new", image_files.read(file)
    image_files.save(made, found.whole, found.pairs if found.low_rank else None, found.info, torch.float16)
    try:
        path = folders.free_path(folder, stem, lambda there: there.read_bytes() == made.read_bytes())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
    return path


def load(path: Path) -> Any:
    """CONTROL_NET of a file."""
    return comfy.controlnet.load_controlnet(str(path))
