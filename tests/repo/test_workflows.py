"""Shipped workflows: thumbnails, notes, twins for the API, files that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tools import blueprint, layout
from tools.workflow import model_files, runs_as_shipped, templates

ROOT = Path(__file__).resolve().parents[2]
FILES = templates()
NAMES = sorted(FILES)  # of the API twins
NOTES = {"Note", "MarkdownNote"}
BYPASSED = 4  # mode of nodes that the front end leaves out: they need model files that a user may not have
WEIGHTS = ROOT / "comfyui_fgdm" / "data" / "weights"


def load(name: str, api: bool = False) -> Any:
    file = ROOT / "workflows" / "api" / f"{name}.json" if api else FILES[name]
    return json.loads(file.read_text("utf-8"))


def runs(node: dict[str, Any]) -> bool:
    """Whether a node of a workflow is queued."""
    return node["type"] not in NOTES and node["mode"] != BYPASSED


@pytest.mark.parametrize("name", NAMES)
def test_nodes_that_are_bypassed_stand_in_a_group_that_says_so(name: str) -> None:
    workflow = load(name)
    named = [
        layout.nodes_inside(group, workflow["nodes"]) for group in workflow["groups"] if "(bypassed" in group["title"]
    ]
    assert {node["id"] for node in workflow["nodes"] if node["mode"] == BYPASSED} == set().union(*named)


def test_the_main_workflow_is_there() -> None:
    assert "fgdm_best_of_10" in NAMES


def test_names_say_what_a_workflow_does_and_in_which_order_to_try_them() -> None:
    """The template browser shows a file's name as its title and as its description."""
    assert sorted(file.stem for file in (ROOT / "workflows").glob("*.json")) == sorted(
        file.stem for file in FILES.values()
    )
    ours = [file.stem for name, file in FILES.items() if runs_as_shipped(name)]
    others = [file.stem for name, file in FILES.items() if not runs_as_shipped(name)]
    for stems, begin in ((ours, ""), (others, "SD15 ")):
        assert all(stem.startswith(begin) for stem in stems)
        assert sorted(int(stem.removeprefix(begin).split(" ")[0]) for stem in stems) == list(range(1, len(stems) + 1))
        assert all(len(stem.removeprefix(begin).split()) >= 5 for stem in stems)


@pytest.mark.parametrize("name", NAMES)
def test_thumbnail_is_a_small_jpeg(name: str) -> None:
    file = FILES[name].with_suffix(".jpg")
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
    ui = sorted(node["type"] for node in load(name)["nodes"] if runs(node))
    api = sorted(node["class_type"] for node in load(name, api=True).values())
    assert ui == api


@pytest.mark.parametrize("name", NAMES)
def test_links_join_existing_sockets(name: str) -> None:
    graph = load(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link_id, source, source_slot, target, target_slot, _ in graph["links"]:
        assert nodes[target]["inputs"][target_slot]["link"] == link_id
        assert link_id in nodes[source]["outputs"][source_slot]["links"]


def named_files(name: str) -> set[str]:
    """Values of a workflow that look like weight files, in whatever input they stand."""
    values = [value for node in load(name, api=True).values() for value in node["inputs"].values()]
    return {value for value in values if isinstance(value, str) and value.endswith((".safetensors", ".pth", ".ckpt"))}


@pytest.mark.parametrize("name", NAMES)
def test_named_model_files_are_embedded_or_the_name_says_that_they_are_not(name: str) -> None:
    embedded = {file.name for file in WEIGHTS.rglob("*.safetensors")}
    files = named_files(name)
    assert files == set(model_files(load(name, api=True)))
    assert files <= embedded if runs_as_shipped(name) else files and not files & embedded


@pytest.mark.parametrize("name", [name for name in NAMES if not runs_as_shipped(name)])
def test_a_note_says_where_files_that_are_not_embedded_go(name: str) -> None:
    notes = [node["widgets_values"][0] for node in load(name)["nodes"] if node["type"] in NOTES]
    (note,) = [text for text in notes if "Folders of ComfyUI/models" in text]
    lines = note.splitlines()
    for file, folder in model_files(load(name, api=True)).items():
        assert any(line.startswith(f"- {folder}: **{file}**") for line in lines), f"{file} to {folder}"


@pytest.mark.parametrize("name", NAMES)
def test_widgets_of_the_twins_have_the_same_values(name: str) -> None:
    api = load(name, api=True)
    for node in load(name)["nodes"]:
        if not runs(node):
            continue
        constants = [value for value in api[str(node["id"])]["inputs"].values() if not isinstance(value, list)]
        assert [value for value in constants if value not in node["widgets_values"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_offered_downloads_are_files_that_the_node_loads(name: str) -> None:
    kinds = model_files(load(name, api=True))
    for node in load(name)["nodes"]:
        for offer in node["properties"].get("models", []):
            assert offer["name"] in node["widgets_values"] and offer["directory"] == kinds[offer["name"]]
            assert offer["url"].startswith("https://") and offer["url"].endswith(f"/{offer['name']}")


def test_every_api_workflow_has_a_twin() -> None:
    assert sorted(file.stem for file in (ROOT / "workflows" / "api").glob("*.json")) == NAMES


def test_the_blueprint_is_made_of_the_main_workflow() -> None:
    files = [file.name for file in (ROOT / "subgraphs").iterdir()]
    assert files == [blueprint.TARGET.name], "one blueprint, and nothing else"
    assert blueprint.TARGET.read_text("utf-8") == blueprint.text(), "run: python -m tools.blueprint"
