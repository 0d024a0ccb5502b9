"""Shipped workflows: thumbnails, notes, twins for the API, files that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "workflows").glob("*.json"))
NAMES = [file.stem for file in FILES]
NOTES = {"Note", "MarkdownNote"}
WEIGHTS = ROOT / "comfyui_fgdm" / "data" / "weights"


def load(name: str, api: bool = False) -> Any:
    folder = ROOT / "workflows" / ("api" if api else "")
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def test_the_main_workflow_is_there() -> None:
    assert "fgdm_best_of_10" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_thumbnail_is_a_small_jpeg(name: str) -> None:
    file = ROOT / "workflows" / f"{name}.jpg"
    with Image.open(file) as picture:
        assert picture.format == "JPEG"
        assert min(picture.size) >= 128
    assert file.stat().st_size <= 200_000


@pytest.mark.parametrize("name", NAMES)
def test_the_user_is_told_what_to_do(name: str) -> None:
    notes = [node for node in load(name)["nodes"] if node["type"] in NOTES]
    assert any(len(note["widgets_values"][0]) > 80 for note in notes)


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_twins_have_the_same_nodes(name: str) -> None:
    ui = sorted(node["type"] for node in load(name)["nodes"] if node["type"] not in NOTES)
    api = sorted(node["class_type"] for node in load(name, api=True).values())
    assert ui == api


@pytest.mark.parametrize("name", NAMES)
def test_links_join_existing_sockets(name: str) -> None:
    graph = load(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link_id, source, source_slot, target, target_slot, _ in graph["links"]:
        assert nodes[target]["inputs"][target_slot]["link"] == link_id
        assert link_id in nodes[source]["outputs"][source_slot]["links"]


@pytest.mark.parametrize("name", NAMES)
def test_named_model_files_are_embedded(name: str) -> None:
    embedded = {file.name for file in WEIGHTS.rglob("*.safetensors")}
    for node in load(name, api=True).values():
        for key, value in node["inputs"].items():
            if isinstance(value, str) and value.endswith(".safetensors"):
                assert value in embedded, f"{name}: {node['class_type']}.{key} = {value}"


def test_every_api_workflow_has_a_twin() -> None:
    assert sorted(file.stem for file in (ROOT / "workflows" / "api").glob("*.json")) == NAMES
