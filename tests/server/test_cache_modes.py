"""The same prompt under the host's cache modes: the same bytes, and no work twice where the host caches."""

from __future__ import annotations

import time

from tools.client import Client, Prompt
from tools.server import Server
from tools.workflow import node, node_id, saved


def drop_all(client: Client) -> None:
    """Caches and models; the server does so before it takes the next prompt."""
    client.free()
    time.sleep(1)


def test_twice_the_same_bytes_and_cache_hits(cache_server: Server, main_workflow: Prompt) -> None:
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


def test_another_seed_gives_other_maps_and_reuses_the_models(cache_server: Server, main_workflow: Prompt) -> None:
    client = cache_server.client
    before = saved(client, client.run(main_workflow), main_workflow)
    node(main_workflow, "FGDM_SampleMaps")["inputs"]["seed"] += 1000
    changed = client.run(main_workflow)
    assert saved(client, changed, main_workflow) != before
    loaders = {node_id(main_workflow, "FGDM_LoadEmbedded"), node_id(main_workflow, "FGDM_LoadFactor")}
    if cache_server.mode == "none":
        assert not changed.cached
    else:
        assert loaders <= changed.cached
