"""`python -m tools.blueprint`: make the subgraph blueprint for newcomers out of the workflow that shows all of its nodes.

Reads the twin of workflows/api/fgdm_best_of_10.json and writes subgraphs/NAME.json, which the host offers in the node library: one node with
prompt, seed and count, which gives the image, the map it was made from, and the chart. Nodes that explain or save stay outside.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tools.server import ROOT
from tools.workflow import templates

SOURCE = templates()["fgdm_best_of_10"]
NAME = "Text to image, best of N maps (FG-DM)"
TARGET = ROOT / "subgraphs" / f"{NAME}.json"
DESCRIPTION = (
    "Samples N small maps of a prompt, keeps the one that holds most of its objects, and makes the picture from it. "
    "With the tiny model of this pack; open the subgraph to put your own models in."
)
OUTSIDE = {"MarkdownNote", "PreviewImage", "PrimitiveStringMultiline", "SaveImage"}
# What the node asks for: name, type, and the widgets inside that it stands for (node type, title or None, widget).
ASKED = [
    ("prompt", "STRING", [("CLIPTextEncode", "Positive", "text"), ("FGDM_Objects", None, "text")]),
    ("seed", "INT", [("FGDM_SampleMaps", None, "seed"), ("KSampler", None, "seed")]),
    ("count", "INT", [("FGDM_SampleMaps", None, "count")]),
]
# What it gives: name, node type, output.
GIVEN = [("image", "VAEDecode", "IMAGE"), ("best map", "FGDM_DecodeMap", "maps"), ("chart", "FGDM_SampleMaps", "chart")]
INPUT_NODE, OUTPUT_NODE = -10, -20


def name_id(text: str) -> str:
    """The same id at every making."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"fgdm/blueprint/{text}"))


def blueprint(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow of one node, and the subgraph that it is."""
    prompt = next(node for node in workflow["nodes"] if node["type"] == "PrimitiveStringMultiline")
    nodes = [json.loads(json.dumps(node)) for node in workflow["nodes"] if node["type"] not in OUTSIDE]
    inside = {node["id"]: node for node in nodes}
    links = [
        {"id": i, "origin_id": source, "origin_slot": slot, "target_id": target, "target_slot": socket, "type": kind}
        for i, source, slot, target, socket, kind in workflow["links"]
        if source in inside and target in inside
    ]
    kept = {link["id"] for link in links}
    for node in nodes:
        for item in node["inputs"]:
            item["link"] = item["link"] if item["link"] in kept else None
        for item in node["outputs"]:
            item["links"] = [link for link in item["links"] or [] if link in kept]

    def find(kind: str, title: str | None = None) -> dict[str, Any]:
        (node,) = [one for one in nodes if one["type"] == kind and title in (None, one.get("title"))]
        return node

    def joined(link: dict[str, Any]) -> int:
        link["id"] = 1 + max(one["id"] for one in links)
        links.append(link)
        return link["id"]

    left, top = min(node["pos"][0] for node in nodes), min(node["pos"][1] for node in nodes)
    right = max(node["pos"][0] + node["size"][0] for node in nodes)
    inputs, outputs, proxies = [], [], []
    for place, (name, kind, widgets) in enumerate(ASKED):
        made = []
        for node_kind, title, widget in widgets:
            node = find(node_kind, title)
            socket = next(i for i, item in enumerate(node["inputs"]) if item["name"] == widget)
            link = {
                "origin_id": INPUT_NODE,
                "origin_slot": place,
                "target_id": node["id"],
                "target_slot": socket,
                "type": kind,
            }
            node["inputs"][socket]["link"] = joined(link)
            made.append(link["id"])
            if name == "prompt":
                node["widgets_values"][0] = prompt["widgets_values"][0]
        first = find(*widgets[0][:2])
        proxies.append([str(first["id"]), widgets[0][2]])
        if kind == "INT" and name == "seed":
            proxies.append([str(first["id"]), "control_after_generate"])
        inputs.append(
            {"id": name_id(name), "name": name, "type": kind, "linkIds": made, "pos": [left - 80, top + 20 * place]}
        )
    for place, (name, node_kind, output) in enumerate(GIVEN):
        node = find(node_kind)
        slot = next(i for i, item in enumerate(node["outputs"]) if item["name"] == output)
        link = {
            "origin_id": node["id"],
            "origin_slot": slot,
            "target_id": OUTPUT_NODE,
            "target_slot": place,
            "type": "IMAGE",
        }
        node["outputs"][slot]["links"].append(joined(link))
        outputs.append(
            {
                "id": name_id(name),
                "name": name,
                "type": "IMAGE",
                "linkIds": [link["id"]],
                "pos": [right + 80, top + 20 * place],
            }
        )
    last = max(node["id"] for node in nodes)
    graph = {
        "id": name_id("graph"),
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": last,
            "lastLinkId": max(link["id"] for link in links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": NAME,
        "inputNode": {"id": INPUT_NODE, "bounding": [left - 200, top - 20, 120, 100]},
        "outputNode": {"id": OUTPUT_NODE, "bounding": [right + 60, top - 20, 120, 100]},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": links,
        "extra": {"workflowRendererVersion": "LG"},
        "category": "FGDM",
        "description": DESCRIPTION,
    }
    shown = {
        "id": last + 1,
        "type": graph["id"],
        "pos": [0, 0],
        "size": [400, 260],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [
            {"name": name, "type": kind, "widget": {"name": name}, "link": None} for name, kind, _ in ASKED
        ],
        "outputs": [{"name": name, "type": "IMAGE", "links": []} for name, _, _ in GIVEN],
        "properties": {"proxyWidgets": proxies},
        "widgets_values": [],
        "title": NAME,
    }  # fmt: skip
    return {
        "id": name_id("workflow"),
        "revision": 0,
        "last_node_id": last + 1,
        "last_link_id": 0,
        "nodes": [shown],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [graph]},
        "extra": {
            "BlueprintDescription": DESCRIPTION,
            "BlueprintSearchAliases": ["fg-dm", "best of n", "text to image"],
        },
    }


def text() -> str:
    """What the file has to hold."""
    made = blueprint(json.loads(SOURCE.read_text(encoding="utf-8")))
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text(), encoding="utf-8")
