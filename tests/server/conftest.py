"""Servers under each cache mode, the shared one among them, and the main workflow made small."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tools.client import Prompt
from tools.server import ROOT, Server, make_base
from tools.workflow import node

MAIN = "fgdm_best_of_10"
WEIGHTS = ROOT / "comfyui_fgdm" / "data" / "weights"
OTHER_MODES = {"lru": ["--cache-lru", "100"], "none": ["--cache-none"]}


@pytest.fixture(scope="session", params=["classic", *OTHER_MODES])
def cache_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server under one cache mode; `server.mode` is its name. "classic" is the server that all tests share.

    A test of one mode parametrizes it indirectly; pytest groups the tests, so that each mode starts once.
    """
    if request.param == "classic":
        server = request.getfixturevalue("live_server")
        server.mode = "classic"
        yield server
        return
    base = make_base(tmp_path_factory.mktemp(f"cache_{request.param}"))
    put_foreign_factors(base / "models" / "fgdm_factors")
    with Server(base, options=OTHER_MODES[request.param]) as server:
        server.mode = request.param
        yield server


def put_foreign_factors(folder: Path) -> None:
    """Files in the factor folder that are no factor of the embedded family, named after what they are."""
    folder.mkdir(parents=True)
    shutil.copyfile(WEIGHTS / "controlnet" / "fgdm-iconworld-image.safetensors", folder / "a_controlnet.safetensors")
    shutil.copyfile(WEIGHTS / "checkpoints" / "fgdm-iconworld.safetensors", folder / "a_checkpoint.safetensors")
    good = (WEIGHTS / "fgdm_factors" / "fgdm-iconworld-segmentation.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(good[: len(good) // 2])
    (folder / "empty.safetensors").write_bytes(b"")
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k"
    lora = {
        f"{layer}.lora_down.weight": np.zeros((4, 64), np.float32),
        f"{layer}.lora_up.weight": np.zeros((64, 4), np.float32),
        f"{layer}.alpha": np.ones((), np.float32),
    }
    safetensors.numpy.save_file(lora, folder / "a_lora.safetensors")


@pytest.fixture
def main_workflow(api_workflow: Callable[[str], Prompt]) -> Prompt:
    """The main workflow, made smaller: three maps."""
    prompt = api_workflow(MAIN)
    node(prompt, "FGDM_SampleMaps")["inputs"].update(count=3, steps=4)
    node(prompt, "KSampler")["inputs"]["steps"] = 4
    return prompt


@pytest.fixture(scope="session")
def undisturbed() -> dict[str, dict]:
    """By cache mode, what the main workflow makes where nothing was interrupted: run once, by the first test that asks."""
    return {}
