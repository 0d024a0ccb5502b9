"""Small helpers on workflows in API form and on what their runs saved."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tools.client import Client, Prompt, Run

ROOT = Path(__file__).resolve().parent.parent

OTHER_WEIGHTS = "fgdm_sd15_"
"""Names of API workflows that need model files which the pack does not hold begin so."""


def templates() -> dict[str, Path]:
    """The files that the template browser offers, by the name of their twins in workflows/api, which each holds.

    What the browser shows of a file is its name alone, so that says what the workflow does, and in which order to try them.
    """
    found: dict[str, Path] = {}
    for file in sorted((ROOT / "workflows").glob("*.json")):
        name = json.loads(file.read_text(encoding="utf-8"))["extra"].get("fgdm_api")
        if name is None:
            raise LookupError(f"{file.name}: write the name of its twin in workflows/api into extra, as fgdm_api")
        found[name] = file
    return found


def runs_as_shipped(name: str) -> bool:
    """Whether the pack holds all models of a shipped workflow of that name."""
    return not name.startswith(OTHER_WEIGHTS)


def model_files(prompt: Prompt) -> dict[str, str]:
    """The model files a workflow names, each with the kind of model folder that its loader lists."""
    loaders = {
        "CheckpointLoaderSimple": ("ckpt_name", "checkpoints"),
        "ControlNetLoader": ("control_net_name", "controlnet"),
        "FGDM_LoadEmbedded": ("model_name", "checkpoints"),
        "FGDM_LoadEmbeddedImageFactor": ("image_factor_name", "controlnet"),
        "FGDM_LoadFactor": ("factor_name", "fgdm_factors"),
    }
    found: dict[str, str] = {}
    for entry in prompt.values():
        if entry["class_type"] in loaders:
            name, kind = loaders[entry["class_type"]]
            found[entry["inputs"][name]] = kind
    return found


def node_ids(prompt: Prompt, class_type: str) -> list[str]:
    return [key for key, value in prompt.items() if value["class_type"] == class_type]


def node_id(prompt: Prompt, class_type: str) -> str:
    """The id of the only node of a type. Raises LookupError if there is another number of them."""
    found = node_ids(prompt, class_type)
    if len(found) != 1:
        raise LookupError(f"the workflow has {len(found)} nodes of type {class_type} instead of one")
    return found[0]


def node(prompt: Prompt, class_type: str) -> dict[str, Any]:
    """The only node of a type."""
    return prompt[node_id(prompt, class_type)]


def text_of(prompt: Prompt) -> str:
    """The prompt text of a workflow with Sample Maps: the one that is encoded for the maps."""
    positive = node(prompt, "FGDM_SampleMaps")["inputs"]["positive"][0]
    text = prompt[positive]["inputs"]["text"]
    return text if isinstance(text, str) else prompt[text[0]]["inputs"]["value"]


def set_text(prompt: Prompt, text: str) -> None:
    """Write another prompt text wherever the present one stands."""
    old = text_of(prompt)
    for entry in prompt.values():
        entry["inputs"].update({name: text for name, value in entry["inputs"].items() if value == old})


def upstream(prompt: Prompt, key: str) -> set[str]:
    """A node and everything it depends on."""
    seen: set[str] = set()
    todo = [key]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += [value[0] for value in prompt[current]["inputs"].values() if isinstance(value, list)]
    return seen


def saved(client: Client, run: Run, prompt: Prompt) -> dict[str, list[bytes]]:
    """The encoded pictures of every SaveImage node."""
    assert run.status == "success", run.error
    keys = node_ids(prompt, "SaveImage")
    assert keys
    return {key: client.images(run, key) for key in keys}


def pixels(data: bytes) -> np.ndarray:
    """Decoded picture, without the metadata in which runs may differ."""
    return np.asarray(Image.open(io.BytesIO(data)))


def all_equal(first: dict[str, list[bytes]], second: dict[str, list[bytes]]) -> bool:
    """Whether two runs saved pictures of equal pixels at the same nodes."""
    return first.keys() == second.keys() and all(
        len(first[key]) == len(second[key])
        and all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(first[key], second[key]))
        for key in first
    )
