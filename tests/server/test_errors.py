"""Bad input: the answer names the input and what to do, and the server stays healthy."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tools.client import Prompt, RequestError
from tools.server import Server
from tools.workflow import all_equal, node, node_id, saved, set_text

Change = Callable[[Prompt], None]
UNCACHED = pytest.mark.parametrize("cache_server", ["none"], indirect=True)


def sampler(**inputs: object) -> Change:
    return lambda prompt: node(prompt, "FGDM_SampleMaps")["inputs"].update(inputs)


def factor(name: str) -> Change:
    return lambda prompt: node(prompt, "FGDM_LoadFactor")["inputs"].update(factor_name=name)


def objects(text: str, mode: str = "auto") -> Change:
    return lambda prompt: node(prompt, "FGDM_Objects")["inputs"].update(text=text, mode=mode)


def feed_photo_to_best_of_n(prompt: Prompt) -> None:
    """White pictures, a colour far from every class, into Best of N."""
    prompt["white"] = {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 2, "color": 0xFFFFFF},
    }
    prompt["best"] = {
        "class_type": "FGDM_BestOfN",
        "inputs": {"maps": ["white", 0], "objects": [node_id(prompt, "FGDM_Objects"), 0], "keep": 1, "seed": 0}
        | {"min_area": 0.001, "erode": 1},
    }
    prompt["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["best", 0]}}


# What is wrong with the prompt, and words the answer must hold.
REFUSED: dict[str, tuple[Change, list[str]]] = {
    "no map": (sampler(count=0), ["count", "smaller than min"]),
    "a thousand maps": (sampler(count=1000), ["count", "bigger than max"]),
    "no step": (sampler(steps=0), ["steps", "smaller than min"]),
    "unknown sampler": (sampler(sampler="magic"), ["sampler", "magic"]),
    "missing factor file": (factor("nowhere.safetensors"), ["factor_name", "nowhere.safetensors"]),
    "factor outside the folders": (factor("../../secret.safetensors"), ["factor_name"]),
    "unknown mode": (objects("dog", "guess"), ["mode", "guess"]),
}
FAILS: dict[str, tuple[Change, list[str]]] = {
    "no object": (objects(""), ["empty", "dog"]),
    "no known object": (objects("justice and entropy"), ["justice and entropy", "write"]),
    "objects the factor lacks": (objects("refrigerator, scissors", "list"), ["refrigerator", "instead"]),
    "size off the grid": (sampler(width=130, height=128), ["width", "130"]),
    "controlnet as factor": (factor("a_controlnet.safetensors"), ["a_controlnet.safetensors"]),
    "checkpoint as factor": (factor("a_checkpoint.safetensors"), ["a_checkpoint.safetensors", "checkpoint"]),
    "lora as factor": (factor("a_lora.safetensors"), ["a_lora.safetensors", "LoRA"]),
    "truncated factor": (factor("truncated.safetensors"), ["truncated.safetensors"]),
    "empty factor file": (factor("empty.safetensors"), ["empty.safetensors"]),
    "a batch that is no map": (feed_photo_to_best_of_n, ["map"]),
}


@pytest.fixture(scope="module")
def small(api_workflow: Callable[[str], Prompt]) -> Prompt:
    prompt = api_workflow("fgdm_best_of_10")
    node(prompt, "FGDM_SampleMaps")["inputs"].update(count=2, steps=3)
    node(prompt, "KSampler")["inputs"]["steps"] = 3
    return prompt


@UNCACHED
@pytest.mark.parametrize("case", list(REFUSED))
def test_refused_before_anything_runs(cache_server: Server, small: Prompt, case: str) -> None:
    change, words = REFUSED[case]
    prompt = copy.deepcopy(small)
    change(prompt)
    with pytest.raises(RequestError) as caught:
        cache_server.client.run(prompt)
    assert caught.value.status == 400
    text = str(caught.value.body["node_errors"])
    assert all(word in text for word in words), text


@UNCACHED
@pytest.mark.parametrize("case", list(FAILS))
def test_fails_with_a_clear_message(cache_server: Server, small: Prompt, case: str) -> None:
    prompt = copy.deepcopy(small)
    change, words = FAILS[case]
    change(prompt)
    try:
        run = cache_server.client.run(prompt)
    except RequestError as error:  # where the node can tell before anything runs, all the better
        message = str(error.body["node_errors"])
    else:
        assert run.status == "error", "the prompt ran"
        message = run.error["exception_message"]
    assert all(word in message for word in words), message
    assert cache_server.is_alive()


@UNCACHED
def test_errors_leave_the_next_run_whole(cache_server: Server, small: Prompt) -> None:
    """A good run, an error in the middle of sampling's stage, and the same good run again."""
    client = cache_server.client
    pictures = saved(client, client.run(small), small)
    for case in ("size off the grid", "truncated factor", "a batch that is no map"):
        bad = copy.deepcopy(small)
        FAILS[case][0](bad)
        assert client.run(bad).status == "error"
        assert all_equal(saved(client, client.run(small), small), pictures)


@UNCACHED
def test_a_prompt_of_a_thousand_words_runs(cache_server: Server, small: Prompt) -> None:
    prompt = copy.deepcopy(small)
    text = " ".join(["a dog and a bicycle under a tree in wind"] * 100)
    assert len(text.split()) == 1000
    set_text(prompt, text)
    assert cache_server.client.run(prompt).status == "success"
