"""`python -m tools.layout ["NAME" ...]`: lay the nodes of shipped workflows out so that they are legible and do not overlap.

A workflow file says which nodes stand in a column (the same x), in which order, how wide they are and which groups they are in.
This measures the height that each node takes in both renderers of the front end, the texts of notes included, and writes
positions, heights and group frames anew. What shows pictures or takes text keeps at least the height that the file gives it.
The whole has to fit a window of 1600 x 1000 pixels at a zoom at which text is drawn; if it does not, that is said.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools import chromium, frontend
from tools.server import CACHE, ROOT, Server

NOTES = {"Note", "MarkdownNote"}
# Nodes whose height is for what they show or are told; of others the least is enough.
TALL = {
    "CLIPTextEncode", "FGDM_BestOfN", "FGDM_Objects", "FGDM_ObjectsByModel", "FGDM_SampleMaps", "MaskPreview", "PreviewImage",
    "PrimitiveStringMultiline", "SamplerCustomAdvanced", "SaveImage", "FGDM_TrainFactor", "FGDM_EditByText", "FGDM_FinishMap",
    "FGDM_Judge", "FGDM_SelectBest", "FGDM_ChooseMap", "FGDM_EditMap", "FGDM_EditByWords", "FGDM_CompareMaps", "FGDM_PasteEdited",
    "FGDM_TrainImageFactor", "FGDM_TrainJoint",
}  # fmt: skip
TITLE = 30  # of a node, above its position
BETWEEN = 26  # free between two nodes of a column; the classic renderer writes the pack's name there
COLUMNS_APART = 44
LEFT, TOP = 40, 140
FRAME = 20  # from a group's nodes to its frame
HEADER = 80  # from a group's frame to the position of its first nodes
LEAST_ZOOM = 0.58  # the classic renderer draws text from 8 / 14 on

Sizes = Mapping[int, float]

MEASURE = """(notes) => app.graph.nodes.map((node) => {
  const shown = document.querySelector(`[data-node-id="${node.id}"]`)
  const inside = shown ?? node.widgets?.[0]?.element
  let height = Math.max(node.size[1], node.computeSize()[1])
  if (shown) height = Math.max(height, shown.getBoundingClientRect().height / app.canvas.ds.scale - 30)
  const text = notes.includes(node.type) ? inside?.querySelector('.comfy-markdown-content, .tiptap') : null
  if (text) height += Math.max(0, text.scrollHeight - text.clientHeight) + 4
  return [Number(node.id), height]
})"""


def columns_of(nodes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Nodes by x, each column from above to below."""
    places = sorted({node["pos"][0] for node in nodes})
    return [sorted((n for n in nodes if n["pos"][0] == x), key=lambda node: node["pos"][1]) for x in places]


def least(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which every node that does not need its height is as low as the front end lets it be."""
    low = copy.deepcopy(dict(workflow))
    for node in low["nodes"]:
        if node["type"] not in TALL:
            node["size"][1] = 60 if node["type"] in NOTES else 1
    return low


def arrange(workflow: Mapping[str, Any], heights: Sizes) -> dict[str, Any]:
    """A copy with the nodes stacked in their columns and the frames of groups around them; heights: by node id, pixels."""
    done = copy.deepcopy(dict(workflow))
    members = {group["title"]: nodes_inside(group, done["nodes"]) for group in done["groups"]}
    x = LEFT
    for column in columns_of(done["nodes"]):
        width, y = max(node["size"][0] for node in column), TOP
        for node in column:
            node["pos"], node["size"] = [x, y], [width, round(heights[node["id"]])]
            y += node["size"][1] + TITLE + BETWEEN
        x += width + COLUMNS_APART
    lowest = max(node["pos"][1] + node["size"][1] for node in done["nodes"]) + FRAME
    for group in done["groups"]:
        inside = [node for node in done["nodes"] if node["id"] in members[group["title"]]]
        left = min(node["pos"][0] for node in inside) - FRAME
        right = max(node["pos"][0] + node["size"][0] for node in inside) + FRAME
        group["bounding"] = [left, TOP - HEADER, right - left, lowest - TOP + HEADER]
    return done


def nodes_inside(group: Mapping[str, Any], nodes: list[dict[str, Any]]) -> set[int]:
    """Ids of the nodes whose upper left corner lies in the frame of a group."""
    left, top, width, height = group["bounding"]
    return {
        node["id"] for node in nodes if 0 <= node["pos"][0] - left < width and 0 <= node["pos"][1] - top < height
    }  # fmt: skip


def zoom(workflow: Mapping[str, Any], window: tuple[int, int] = (1600, 1000)) -> float:
    """The zoom at which the template browser opens a workflow: three quarters of the window, 10 pixels around the nodes."""
    boxes = [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    width = max(x + w for x, _, w, _ in boxes) - min(x for x, _, _, _ in boxes) + 20
    height = max(y + h for _, y, _, h in boxes) - min(y for _, y, _, _ in boxes) + TITLE + 20
    return 0.75 * min(window[0] / width, window[1] / height)


def main() -> int:
    parser = argparse.ArgumentParser(prog="layout", description=__doc__)
    parser.add_argument("names", nargs="*", help="of workflows/NAME.json; all without any")
    names = parser.parse_args().names or sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))
    if chromium.find() is None:
        print(chromium.why_missing())
        return 1
    files = {name: ROOT / "workflows" / f"{name}.json" for name in names}
    drawn = {name: json.loads(file.read_text("utf-8")) for name, file in files.items()}
    heights: dict[str, dict[int, float]] = {name: {} for name in names}
    with tempfile.TemporaryDirectory(prefix="layout-", dir=CACHE) as base, Server(Path(base)) as server:
        with frontend.browser() as browser:
            for renderer in frontend.RENDERERS:
                with frontend.page(browser, server, renderer) as page:
                    for name, workflow in drawn.items():
                        frontend.show(page, least(workflow), name)
                        for node, height in page.evaluate(MEASURE, sorted(NOTES)):
                            heights[name][node] = max(height, heights[name].get(node, 0))
    for name, file in files.items():
        done = arrange(drawn[name], heights[name])
        file.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{name}: zoom {zoom(done):.3f}" + (", TOO LARGE: text is not drawn" if zoom(done) < LEAST_ZOOM else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
