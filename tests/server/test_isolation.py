"""Nothing leaks out of a factor run: a plain run after it equals a plain run before it, bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import safetensors.numpy

from tools.client import Client, Prompt
from tools.server import Server
from tools.workflow import node_id


def plain(prompt: Prompt, seed: int) -> Prompt:
    """Checkpoint, prompt, KSampler, SaveLatent: the core nodes of a workflow and nothing else."""
    loader = prompt[node_id(prompt, "FGDM_LoadEmbedded")]
    return {
        "1": copy.deepcopy(loader),
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a dog and a bicycle under a tree"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 2}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0],
                "seed": seed, "steps": 4, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        },
        "6": {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "plain"}},
    }  # fmt: skip


def latents(client: Client, prompt: Prompt) -> np.ndarray:
    run = client.run(prompt)
    assert run.status == "success", run.error
    (file,) = run.outputs["6"]["latents"]
    return safetensors.numpy.load(client.view(file))["latent_tensor"]


@pytest.mark.parametrize("cache_server", ["classic", "none"], indirect=True)
def test_plain_run_before_equals_plain_run_after(cache_server: Server, main_workflow: Prompt) -> None:
    client = cache_server.client
    before = latents(client, plain(main_workflow, seed=5))
    assert before.size
    assert np.isfinite(before).all()
    # The loaded model stays cached under the classic mode, so the factor is applied to that very object.
    assert client.run(main_workflow).status == "success"
    # Another seed forces the sampler to run again; back at the first one it must give the first latents.
    other = latents(client, plain(main_workflow, seed=6))
    assert not np.array_equal(before, other)
    after = latents(client, plain(main_workflow, seed=5))
    assert np.array_equal(before, after)

    # Within one prompt: the plain sampler beside the factor, on the same loaded model.
    both = main_workflow | {f"plain{key}": value for key, value in plain(main_workflow, seed=7).items()}
    for key in [key for key in both if key.startswith("plain")]:
        for name, value in both[key]["inputs"].items():
            if isinstance(value, list):
                loader = node_id(main_workflow, "FGDM_LoadEmbedded")
                both[key]["inputs"][name] = [loader if value[0] == "1" else f"plain{value[0]}", value[1]]
    del both["plain1"]
    run = client.run(both)
    assert run.status == "success", run.error
    (file,) = run.outputs["plain6"]["latents"]
    beside = safetensors.numpy.load(client.view(file))["latent_tensor"]
    assert np.array_equal(beside, latents(client, plain(main_workflow, seed=7)))
