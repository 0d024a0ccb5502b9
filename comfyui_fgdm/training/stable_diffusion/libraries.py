"""diffusers and transformers, of the extra [train]."""

from __future__ import annotations

from typing import Any

from .. import extras
from .kinds import BaseModelError


def load() -> tuple[Any, Any]:
    """(diffusers, transformers). MissingPackageError without them, BaseModelError where they do not run."""
    diffusers, transformers = (
        extras.load(name, "training on a checkpoint outside ComfyUI") for name in ("diffusers", "transformers")
    )
    try:  # both import their parts when they are asked for, and turn what fails there into errors of their own
        _ = diffusers.AutoencoderKL, diffusers.UNet2DConditionModel, transformers.CLIPTextModel
    except (ImportError, RuntimeError) as error:
        raise BaseModelError(
            f"base: diffusers and transformers are installed but do not run ({short(error)})"
        ) from None
    return diffusers, transformers


def short(error: Exception) -> str:
    """The first words of an error, on one line."""
    return " ".join(str(error).split())[:200]
