"""What happens when the host loads the pack: whatever goes wrong, the nodes are there and say what they lack."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest


def start(comfy_host):
    return asyncio.run(comfy_host.engine("nodes").FGDMExtension().on_load())


@pytest.mark.parametrize(
    "broken",
    ["comfyui_fgdm.host.folders.register", "comfyui_fgdm.host.own.library", "comfyui_fgdm.host.models.family.register"],
)
def test_nothing_that_fails_at_the_start_takes_the_nodes_away(comfy_host, monkeypatch, caplog, broken):
    module, _, name = broken.rpartition(".")
    done = []
    for step in ("folders.register", "own.library", "models.family.register"):
        place, _, function = f"comfyui_fgdm.host.{step}".rpartition(".")
        monkeypatch.setattr(comfy_host.engine(place), function, lambda step=step: done.append(step))

    def fails():
        raise RecursionError("of whatever kind")

    monkeypatch.setattr(comfy_host.engine(module), name, fails)
    with caplog.at_level(logging.ERROR):
        start(comfy_host)
    assert len(done) == 2 and "FGDM: " in caplog.text and "of whatever kind" in caplog.text


def test_nodes_are_defined_where_the_host_cannot_list_the_factors(comfy_host, monkeypatch, caplog):
    monkeypatch.delitem(comfy_host.folder_paths.folder_names_and_paths, "fgdm_factors")
    listed = asyncio.run(comfy_host.engine("nodes").FGDMExtension().get_node_list())
    assert len({node.GET_SCHEMA().node_id for node in listed}) == len(listed) > 10
    assert "cannot be listed" in caplog.text


def test_a_palette_that_is_removed_while_it_is_listed(comfy_host, monkeypatch, tmp_path):
    folders, own = (comfy_host.engine(f"comfyui_fgdm.host.{name}") for name in ("folders", "own"))
    here = tmp_path / "here.json"
    here.write_text("{}")
    monkeypatch.setattr(folders, "palette_files", lambda: [here, Path("/nowhere/gone.json")])
    with_it = own.fingerprint()
    here.unlink()
    assert own.fingerprint() != with_it
    start(comfy_host)
    assert len(own.library().problems) == 2
