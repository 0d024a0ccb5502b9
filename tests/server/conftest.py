"""Servers under each cache mode, and the main workflow made small."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tools.client import Prompt
from tools.server import Server
from tools.workflow import node

MAIN = "fgdm_best_of_10"
CACHE_MODES = {"classic": ["--cache-classic"], "lru": ["--cache-lru", "100"], "none": ["--cache-none"]}


@pytest.fixture(scope="module", params=list(CACHE_MODES))
def cache_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server under one cache mode; `server.mode` is its name."""
    base = tmp_path_factory.mktemp(f"cache_{request.param}")
    with Server(base, options=CACHE_MODES[request.param]) as server:
        server.mode = request.param
        yield server


@pytest.fixture(scope="module")
def uncached_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that computes every node in every run."""
    with Server(tmp_path_factory.mktemp("uncached"), options=CACHE_MODES["none"]) as server:
        yield server


@pytest.fixture
def main_workflow(api_workflow: Callable[[str], Prompt]) -> Prompt:
    """The main workflow, made smaller: three maps."""
    prompt = api_workflow(MAIN)
    node(prompt, "FGDM_SampleMaps")["inputs"].update(count=3, steps=4)
    node(prompt, "KSampler")["inputs"]["steps"] = 4
    return prompt
