"""Workflows for Stable Diffusion 1.5: the host accepts them where the files are, and they run with the tiny family in
place of these files. The real files are not at hand in tests: what their pictures look like is not checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.client import Prompt
from tools.workflow import OTHER_WEIGHTS, model_files, node_ids

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(file.stem for file in (ROOT / "workflows" / "api").glob(f"{OTHER_WEIGHTS}*.json"))
DEPTH = "fgdm-depth.safetensors"
TINY = {
    "checkpoints": "fgdm-iconworld.safetensors",
    "controlnet": "fgdm-iconworld-image.safetensors",
    "fgdm_factors": "fgdm-iconworld-segmentation.safetensors",
}


def validate(comfy_host: Any, prompt: Prompt) -> tuple[set[str], dict[str, Any]]:
    """Output nodes that the host would run, and what it has against others."""
    _, _, outputs, node_errors = asyncio.run(comfy_host.execution.validate_prompt("sd15", prompt, None))
    return set(outputs), node_errors


@pytest.fixture
def put_files(comfy_host: Any, tmp_path: Path) -> Iterator[Callable[[dict[str, Path | None], dict[str, str]], None]]:
    """A function that puts files (name to source, None for an empty one) of kinds (name to kind) where the host lists
    them, until the end of the test."""
    folder_paths, added = comfy_host.folder_paths, []

    def put(files: dict[str, Path | None], kinds: dict[str, str]) -> None:
        for name, source in files.items():
            folder = tmp_path / kinds[name]
            folder.mkdir(exist_ok=True)
            if source is None:
                (folder / name).touch()
            else:
                (folder / name).symlink_to(source)
            if kinds[name] not in added:
                folder_paths.add_model_folder_path(kinds[name], str(folder))
                added.append(kinds[name])
        folder_paths.filename_list_cache.clear()

    yield put
    for kind in added:
        folder_paths.folder_names_and_paths[kind][0].remove(str(tmp_path / kind))
    folder_paths.filename_list_cache.clear()


def test_there_are_some() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_host_accepts_it_where_the_files_are(
    comfy_host: Any, api_workflow: Callable[[str], Prompt], put_files: Callable[..., None], name: str
) -> None:
    prompt = api_workflow(name)
    saved = set(node_ids(prompt, "SaveImage"))
    missing = set(model_files(prompt))
    outputs, errors = validate(comfy_host, prompt)
    assert not saved <= outputs
    assert missing and all(file in str(errors) for file in missing), "what is missing is named"
    kinds = model_files(prompt)
    put_files(dict.fromkeys(kinds), kinds)
    outputs, errors = validate(comfy_host, prompt)
    assert saved <= outputs and not errors


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_with_the_tiny_family(
    comfy_host: Any,
    api_workflow: Callable[[str], Prompt],
    make_factor: Callable[..., str],
    factor_folder: Path,
    put_files: Callable[..., None],
    name: str,
) -> None:
    """Small files stand under the names that the workflow asks for, so that its own loaders find them."""
    prompt = api_workflow(name)
    kinds = model_files(prompt)
    weights = comfy_host.engine("comfyui_fgdm.host.folders").EMBEDDED
    files = {file: weights / kind / TINY[kind] for file, kind in kinds.items()}
    if DEPTH in files:
        made = make_factor("a-depth-factor.safetensors", variable="depth", palette=None, parents=("segmentation",))
        files[DEPTH] = factor_folder / made
    put_files(files, kinds)
    for entry in prompt.values():
        inputs = entry["inputs"]
        inputs.update({key: number for key, number in (("steps", 8), ("count", 2)) if key in inputs})
        if entry["class_type"] != "EmptyImage":  # maps of one's own stay as drawn
            inputs.update({key: inputs[key] // 4 for key in ("width", "height") if key in inputs})
    run = comfy_host.run(prompt)
    saved = node_ids(prompt, "SaveImage")
    assert saved and all(run.ui[key]["images"] for key in saved)
    sizes = {run.output(prompt[key]["inputs"]["images"][0]).shape[1] for key in saved if is_picture(prompt, key)}
    assert sizes == {128}


def is_picture(prompt: Prompt, key: str) -> bool:
    return prompt[key]["inputs"]["filename_prefix"].endswith("_image")
