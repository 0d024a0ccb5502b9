"""Factor graphs over HTTP: the joint workflow again and again, interrupted in the middle of a step, and built wrongly."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tools.client import Event, Prompt
from tools.server import Server
from tools.workflow import all_equal, node, node_id, saved

UNCACHED = pytest.mark.parametrize("cache_server", ["none"], indirect=True)
Change = Callable[[Prompt], None]


@pytest.fixture
def joint(api_workflow: Callable[[str], Prompt]) -> Prompt:
    prompt = api_workflow("fgdm_joint")
    node(prompt, "BasicScheduler")["inputs"]["steps"] = 3
    return prompt


def edit(class_type: str, **inputs: object) -> Change:
    return lambda prompt: node(prompt, class_type)["inputs"].update(inputs)


def drop(class_type: str, name: str) -> Change:
    def change(prompt: Prompt) -> None:
        del node(prompt, class_type)["inputs"][name]

    return change


def close_a_cycle(prompt: Prompt) -> None:
    """The map is to see the image, which sees the map."""
    link = node_id(prompt, "FGDM_GraphControl")
    back = copy.deepcopy(prompt[link])
    back["inputs"].update(graph=[link, 0], variable="segmentation", shows="image")
    prompt["back"] = back
    node(prompt, "FGDM_GraphGuider")["inputs"]["graph"] = ["back", 0]


def image_twice(prompt: Prompt) -> None:
    image = node_id(prompt, "FGDM_GraphImage")
    prompt["twice"] = copy.deepcopy(prompt[image])
    prompt["twice"]["inputs"]["graph"] = [image, 0]
    node(prompt, "FGDM_GraphControl")["inputs"]["graph"] = ["twice", 0]


FAILS: dict[str, tuple[Change, list[str]]] = {
    "a cycle": (close_a_cycle, ["cycle", "segmentation -> image -> segmentation"]),
    "a variable twice": (image_twice, ["'image'", "twice"]),
    "a missing parent": (edit("FGDM_GraphControl", shows="depth"), ["'depth'", "'segmentation'"]),
    "a missing variable": (edit("FGDM_GraphControl", variable="picture"), ["'picture'", "'image'"]),
    "no VAE": (drop("FGDM_GraphGuider", "vae"), ["'segmentation'", "VAE"]),
    "no map at all": (drop("FGDM_GraphImage", "graph"), ["'segmentation'", "'image'"]),
}


@UNCACHED
@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_twice_the_same_bytes(cache_server: Server, joint: Prompt, mode: str) -> None:
    node(joint, "FGDM_GraphGuider")["inputs"]["mode"] = mode
    first, again = (saved(cache_server.client, cache_server.client.run(joint), joint) for _ in range(2))
    assert all_equal(first, again)


@UNCACHED
def test_interrupt_in_the_middle_of_a_joint_run(cache_server: Server, joint: Prompt) -> None:
    client = cache_server.client
    undisturbed = saved(client, client.run(joint), joint)
    long = copy.deepcopy(joint)
    node(long, "BasicScheduler")["inputs"]["steps"] = 1000
    sampler, done = node_id(long, "SamplerCustomAdvanced"), []

    def interrupt(event: Event) -> None:
        if not done and event.type == "progress" and event.data.get("node") == sampler and event.data["value"] >= 2:
            client.interrupt()
            done.append(event.data["value"])

    run = client.run(long, interrupt, timeout=120)
    assert done and run.status == "interrupted"
    last = max(data["value"] for data in run.data("progress") if data.get("node") == sampler)
    assert last <= done[0] + 2, "stopped within a step or two"
    assert all_equal(saved(client, client.run(joint), joint), undisturbed)


@UNCACHED
@pytest.mark.parametrize("case", list(FAILS))
def test_a_graph_built_wrongly_is_refused_by_name(cache_server: Server, joint: Prompt, case: str) -> None:
    change, words = FAILS[case]
    change(joint)
    run = cache_server.client.run(joint)
    assert run.status == "error", "the prompt ran"
    message = run.error["exception_message"]
    assert all(word in message for word in words), message
    assert cache_server.is_alive()
