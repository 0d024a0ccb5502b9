"""The subgraph blueprint for newcomers: the front end offers it, shows prompt, seed and count, and it makes an image."""

from __future__ import annotations

import json
from typing import Any

from tools import blueprint, frontend
from tools.server import Server

# What the node library lists, and the type of the node that stands for a blueprint there. Newer front ends keep it elsewhere.
OFFERED = """() => {
  const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
  const all = stores.get('subgraph').subgraphBlueprints ?? [...stores.get('nodeDef').blueprintNodeDefsByName.values()]
  return all.map((one) => [one.display_name, one.description, one.output_name ?? []])
}"""

SAVE = """() => {
  const save = LiteGraph.createNode('SaveImage')
  app.graph.add(save)
  app.graph.nodes.find((node) => node.isSubgraphNode?.()).connect(0, save, 0)
}"""

WIDGETS = """() => app.graph.nodes.find((node) => node.isSubgraphNode?.()).widgets.map((widget) => [widget.name, widget.value])"""

SET = """(values) => app.graph.nodes.find((node) => node.isSubgraphNode?.()).widgets.forEach((widget) => {
  if (widget.name in values) widget.value = values[widget.name]
})"""


def test_a_newcomer_uses_the_blueprint(page: Any, live_server: Server, renderer: str) -> None:
    offered = {name: description for name, description, _ in page.evaluate(OFFERED)}
    assert offered[blueprint.NAME] == blueprint.DESCRIPTION

    listed = live_server.client.get("/global_subgraphs")
    (key,) = [key for key, entry in listed.items() if entry["name"] == blueprint.NAME]
    served = json.loads(live_server.client.get(f"/global_subgraphs/{key}")["data"])
    frontend.show(page, served, "a blueprint")
    shown = dict(page.evaluate(WIDGETS))
    assert [name for name in shown if name != "control_after_generate"] == ["prompt", "seed", "count"]
    assert shown["prompt"] == "a dog and a bicycle under a tree" and shown["count"] == 10

    seed = 5 + len(renderer)  # what the server has cached is not put out again
    page.evaluate(SET, {"prompt": "a car on the road", "seed": seed, "count": 2})
    page.evaluate(SAVE)
    queued = page.evaluate("async () => (await app.graphToPrompt()).output")
    inputs = {node["class_type"]: node["inputs"] for node in queued.values() if node["class_type"] != "CLIPTextEncode"}
    texts = [node["inputs"]["text"] for node in queued.values() if node["class_type"] == "CLIPTextEncode"]
    assert sorted(texts) == ["", "a car on the road"] and inputs["FGDM_Objects"]["text"] == "a car on the road"
    assert inputs["FGDM_SampleMaps"]["seed"] == inputs["KSampler"]["seed"] == seed
    assert inputs["FGDM_SampleMaps"]["count"] == 2
    assert frontend.run(page) == "success"
