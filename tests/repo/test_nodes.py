"""Every node registers and is documented: tooltips, help page, locale keys, a workflow that uses it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "nodes").glob("*.py"))
NODE_IDS = sorted({found for file in SOURCES for found in re.findall(r'node_id="(\w+)"', file.read_text("utf-8"))})


def schema(comfy_host: Any, node_id: str) -> Any:
    return comfy_host.node(node_id).GET_SCHEMA()


def test_there_are_nodes() -> None:
    assert NODE_IDS


def test_every_node_of_the_source_registers(comfy_host: Any) -> None:
    registered = {
        node_id
        for node_id, cls in comfy_host.nodes.NODE_CLASS_MAPPINGS.items()
        if getattr(cls, "RELATIVE_PYTHON_MODULE", "").endswith(".fgdm")
    }
    assert registered == set(NODE_IDS)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_schema_is_complete(comfy_host: Any, node_id: str) -> None:
    node = schema(comfy_host, node_id)
    assert node_id.startswith("FGDM_")
    assert node.display_name and node.description
    assert node.category.split("/")[0] == "FGDM"
    for item in [*node.inputs, *node.outputs]:
        assert item.tooltip, f"{node_id}.{item.id} has no tooltip"
    assert all(output.id and output.display_name for output in node.outputs)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_help_page_covers_every_input_and_output(comfy_host: Any, node_id: str) -> None:
    page = (ROOT / "web" / "docs" / f"{node_id}.md").read_text("utf-8")
    node = schema(comfy_host, node_id)
    explained = [line.split("|")[1] for line in page.splitlines() if line.startswith("|") and line.count("|") >= 3]
    words = {word.strip(" `") for cell in explained for word in cell.split(",")}
    missing = [item.id for item in node.inputs if item.id not in words]
    missing += [item.display_name for item in node.outputs if item.display_name not in words]
    assert not missing, f"web/docs/{node_id}.md does not explain {missing}"


def test_no_help_page_without_a_node() -> None:
    assert sorted(page.name for page in (ROOT / "web" / "docs").iterdir()) == [f"{node_id}.md" for node_id in NODE_IDS]


def test_locale_has_every_node_and_nothing_else(comfy_host: Any) -> None:
    locale = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text("utf-8"))
    assert sorted(locale) == NODE_IDS
    for node_id in NODE_IDS:
        node, entry = schema(comfy_host, node_id), locale[node_id]
        assert entry["display_name"] == node.display_name
        assert entry["description"] == node.description
        assert {key: value["tooltip"] for key, value in entry["inputs"].items()} == {
            item.id: item.tooltip for item in node.inputs
        }, node_id
        assert {key: value["tooltip"] for key, value in entry["outputs"].items()} == {
            str(index): item.tooltip for index, item in enumerate(node.outputs)
        }, node_id


NO_WORKFLOW = {
    "FGDM_LoadInversion",
    *("FGDM_TransformRegion", "FGDM_DeleteRegion", "FGDM_PasteRegion", "FGDM_ChangeClass", "FGDM_DrawOnMap"),
}
"""They take what no template makes, such as an inversion that was saved, or are said in other words by those of a template; host tests run them."""


def test_every_node_is_in_a_workflow() -> None:
    files = (ROOT / "workflows" / "api").glob("*.json")
    used = {node["class_type"] for file in files for node in json.loads(file.read_text("utf-8")).values()}
    assert not set(NODE_IDS) - used - NO_WORKFLOW and not NO_WORKFLOW & used, "no shipped workflow shows these nodes"


def test_node_list_for_the_manager_is_current(comfy_host: Any) -> None:
    """Node managers find nodes by a static scan that does not know V3 schemas; node_list.json tells them."""
    listed = json.loads((ROOT / "node_list.json").read_text("utf-8"))
    assert listed == {node_id: schema(comfy_host, node_id).description for node_id in NODE_IDS}
