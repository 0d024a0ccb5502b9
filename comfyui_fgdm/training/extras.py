"""Packages that only some ways of training need: the extra [train], which nothing else of the pack installs."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingPackageError(RuntimeError):
    """A package of the extra [train] that is not installed; the text names it and the command."""


def load(module: str, purpose: str) -> ModuleType:
    """A module of the extra, imported. purpose: what takes it, the first words of the error."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0] if error.name in (None, module.partition(".")[0]) else error.name
        raise MissingPackageError(
            f'{purpose} takes the package {package!r}, which is not installed: pip install "{package}", or all that '
            'training can use, in the folder of this pack: pip install ".[train]"'
        ) from None
