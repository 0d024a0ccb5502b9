"""diffusers and transformers, of the extra [train]."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import extras
from .kinds import BaseModelError


def load() -> tuple[Any, Any]:
    """(diffusers, transformers). MissingPackageError without them, or accelerate, with which weights that a file lacks are
    noticed; BaseModelError where they do not run."""
    diffusers, transformers, _ = (
        extras.load(name, "training on a checkpoint outside ComfyUI")
        for name in ("diffusers", "transformers", "accelerate")
    )
    try:  # both import their parts when they are asked for, and turn what fails there into errors of their own
        _ = diffusers.AutoencoderKL, diffusers.UNet2DConditionModel, transformers.CLIPTextModel
    except (ImportError, RuntimeError) as error:
        raise BaseModelError(
            f"base: diffusers and transformers are installed but do not run ({short(error)})"
        ) from None
    return diffusers, transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, neither library writes warnings or progress bars; afterwards as before."""
    loggers = [library.utils.logging for library in load()]
    before = [(one.get_verbosity(), one.is_progress_bar_enabled()) for one in loggers]
    for one in loggers:
        one.set_verbosity_error()
        one.disable_progress_bar()
    try:
        yield
    finally:
        for one, (verbosity, bars) in zip(loggers, before, strict=True):
            one.set_verbosity(verbosity)
            if bars:
                one.enable_progress_bar()


def short(error: Exception) -> str:
    """The first words of an error, on one line."""
    return " ".join(str(error).split())[:200]
