"""Where saved inversions are. By itself, so that the schema of Load Inversion loads nothing else."""

from __future__ import annotations

from pathlib import Path

import folder_paths

FOLDER = "fgdm_inversions"
"""Below the host's output folder."""


def folder() -> Path:
    return Path(folder_paths.get_output_directory()) / FOLDER


def names() -> list[str]:
    """Names of the saved inversions, in order. Never raises: node definitions call it."""
    try:
        return sorted(path.name for path in folder().glob("*.safetensors"))
    except OSError:
        return []
