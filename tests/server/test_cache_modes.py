"""The host's cache modes: the same bytes under each, no work twice where it caches, nothing that leaks out of a run, and
interrupts that leave nothing behind. One file, so that one process starts each mode's server once."""

from __future__ import annotations

import copy
import time

import numpy as np
import pytest
import safetensors.numpy

from tools.client import Client, Event, Prompt
from tools.server import Server
from tools.workflow import all_equal, node, node_id, saved

# Long enough that a run which is not interrupted would take minutes.
MANY_STEPS = 1000
STAGES = ["FGDM_LoadEmbedded", "FGDM_LoadFactor", "FGDM_SampleMaps", "KSampler", "VAEDecode"]


def drop_all(client: Client) -> None:
    """Caches and models; the server does so before it takes the next prompt."""
    client.free()
    time.sleep(1)


def test_the_same_bytes_twice_anew_and_other_ones_of_another_seed(cache_server: Server, main_workflow: Prompt) -> None:
    client = cache_server.client
    drop_all(client)  # what other tests have left
    first = client.run(main_workflow)
    pictures = saved(client, first, main_workflow)
    assert not first.cached

    again = client.run(main_workflow)
    if cache_server.mode == "none":
        assert set(again.executed) >= {node_id(main_workflow, "FGDM_SampleMaps"), node_id(main_workflow, "KSampler")}
    else:
        assert again.executed == []
        assert again.cached == set(main_workflow)
    assert saved(client, again, main_workflow) == pictures

    # Drop caches and models: everything is computed anew, to the same bytes.
    drop_all(client)
    anew = client.run(main_workflow)
    assert set(anew.executed) == set(main_workflow)
    assert saved(client, anew, main_workflow) == pictures

    node(main_workflow, "FGDM_SampleMaps")["inputs"]["seed"] += 1000
    changed = client.run(main_workflow)
    assert saved(client, changed, main_workflow) != pictures
    loaders = {node_id(main_workflow, "FGDM_LoadEmbedded"), node_id(main_workflow, "FGDM_LoadFactor")}
    if cache_server.mode == "none":
        assert not changed.cached
    else:
        assert loaders <= changed.cached


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


@pytest.mark.parametrize("cache_server", ["none"], indirect=True)
@pytest.mark.parametrize("stage", STAGES)
def test_interrupting_a_stage_stops_it_and_the_next_run_is_as_if_nothing_had_happened(
    cache_server: Server, main_workflow: Prompt, undisturbed: dict, stage: str
) -> None:
    client = cache_server.client
    if cache_server.mode not in undisturbed:
        undisturbed[cache_server.mode] = saved(client, client.run(main_workflow), main_workflow)

    long = copy.deepcopy(main_workflow)
    slow = stage in ("FGDM_SampleMaps", "KSampler")
    if slow:
        node(long, stage)["inputs"]["steps"] = MANY_STEPS
    target = node_id(long, stage)
    interrupted_at: list[float] = []

    def interrupt(event: Event) -> None:
        started = event.type == "executing" and event.data.get("node") == target
        stepping = event.type == "progress" and event.data.get("node") == target and event.data["value"] >= 2
        if not interrupted_at and (stepping if slow else started):
            client.interrupt()
            interrupted_at.append(time.monotonic())

    run = client.run(long, interrupt, timeout=120)
    assert interrupted_at, f"{stage} never ran"
    took = time.monotonic() - interrupted_at[0]
    if slow:
        assert run.status == "interrupted"
        assert took < 10, f"{stage} went on for {took:.1f} s after the interrupt"
    else:
        # A short node may have ended before the interrupt arrived; then the run is whole or stops at a later one.
        assert run.status in ("interrupted", "success")
    assert cache_server.is_alive()

    assert all_equal(saved(client, client.run(main_workflow), main_workflow), undisturbed[cache_server.mode])
