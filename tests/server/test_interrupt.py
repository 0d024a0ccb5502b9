"""Interrupting each stage stops the run soon, and the next run is as if nothing had happened."""

from __future__ import annotations

import copy
import time

import pytest

from tools.client import Event, Prompt
from tools.server import Server
from tools.workflow import all_equal, node, node_id, saved

# Long enough that a run which is not interrupted would take minutes.
MANY_STEPS = 1000
STAGES = ["FGDM_LoadEmbedded", "FGDM_LoadFactor", "FGDM_SampleMaps", "KSampler", "VAEDecode"]


@pytest.mark.parametrize("cache_server", ["none"], indirect=True)
@pytest.mark.parametrize("stage", STAGES)
def test_interrupt_and_run_again(cache_server: Server, main_workflow: Prompt, stage: str) -> None:
    client = cache_server.client
    undisturbed = saved(client, client.run(main_workflow), main_workflow)

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

    assert all_equal(saved(client, client.run(main_workflow), main_workflow), undisturbed)
