"""The family that comes with the pack, loaded by the host's own functions; core's lists of models do not show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.controlnet
import comfy.sd
import folder_paths

from ...factors.files import FactorFileError
from .. import folders


def load_model(name: str) -> tuple[Any, Any, Any]:
    """(MODEL, CLIP, VAE) of an embedded checkpoint, as the host loads any checkpoint.

    Raises FactorFileError if there is none of that name or a file of the pack is damaged.
    """
    path = _checked(folders.EMBEDDED_MODELS, "model_name", name)
    embeddings = folder_paths.get_folder_paths("embeddings")
    return comfy.sd.load_checkpoint_guess_config(
        str(path), output_vae=True, output_clip=True, embedding_directory=embeddings
    )[:3]


def load_image_factor(name: str) -> Any:
    """CONTROL_NET of an embedded image factor, as the host loads any ControlNet. Raises as `load_model` does."""
    return comfy.controlnet.load_controlnet(str(_checked(folders.EMBEDDED_IMAGE_FACTORS, "image_factor_name", name)))


def _checked(kind: str, what: str, name: str) -> Path:
    if name not in folders.embedded_names(kind):
        raise FactorFileError(folders.not_embedded_message(kind, what, name))
    path = folders.EMBEDDED / kind / name
    folders.verify_embedded(path)
    return path
