"""Small training recipes for tests, and the files of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from comfyui_fgdm.training import recipe

Sections = Mapping[str, Mapping[str, object]]

FACTOR: Sections = {
    "factor": {"variable": "segmentation", "rank": 4},
    "data": {"folder": "data", "size": 64, "held_out": 0.2},
    "training": {"steps": 12, "batch": 4, "lr": 2e-3, "warmup": 4, "precision": "float32"},
    "watch": {
        "log_every": 4,
        "validate_every": 6,
        "sample_every": 12,
        "save_every": 4,
        "samples": 2,
        "sample_steps": 2,
    },
}
"""A factor of label maps with low-rank changes, for the data in the folder data."""


def quiet(**changes: int) -> dict[str, int]:
    """Of [watch]: nothing on the way, but for changes."""
    return dict.fromkeys(("validate_every", "sample_every", "save_every"), 1000) | changes


def recipe_of(place: Path, sections: Sections = FACTOR, **changes: Mapping[str, object]) -> recipe.TrainingRecipe:
    """Sections with other values in some of them, paths from ``place``, runs in place/out."""
    return recipe.parse({**merged(sections, **changes), "output": "out"}, place)


def merged(sections: Sections, **changes: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Sections with other values in some of them."""
    return {name: {**sections.get(name, {}), **changes.get(name, {})} for name in (*sections, *changes)}


def write(file: Path, output: str, sections: Sections) -> Path:
    """A recipe as a TOML file."""
    lines = [f"output = {_toml(output)}"]
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
