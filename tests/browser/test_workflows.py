"""A user opens the shipped workflows from the template browser in a window of 1600 x 1000, reads them and runs them, in the
classic renderer and in Nodes 2.0: no node covers another, notes show all of their text, pictures and charts appear."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools import frontend
from tools.client import Prompt
from tools.workflow import runs_as_shipped, templates

FILES = templates()
WORKFLOWS = sorted(name for name in FILES if runs_as_shipped(name))
MAIN = "fgdm_best_of_10"
SHOWING = {"SaveImage", "PreviewImage", "MaskPreview", "FGDM_SampleMaps", "FGDM_BestOfN", "FGDM_TrainFactor"}
OTHER_SIZES = {
    "fgdm_maps_of_pictures": "1036 x 256",
    "fgdm_pose": "512 x 512",
}  # of saved pictures; the first is a grid of four

# Sizes "width x height" of the pictures a node shows: in the page in Nodes 2.0, drawn by the node itself on the classic canvas.
SHOWN = """([type, vue]) => app.graph.nodes.filter((node) => node.type === type).flatMap((node) => {
  const inPage = [...document.querySelectorAll(`[data-node-id="${node.id}"] img`)]
  return (vue ? inPage : node.imgs ?? []).filter((img) => img.complete).map((img) => `${img.naturalWidth} x ${img.naturalHeight}`)
})"""

# Sizes of the charts that the nodes of the graph have put out, read from their files.
CHARTS = """async () => {
  const nodes = app.graph.nodes.filter((node) => ['FGDM_SampleMaps', 'FGDM_BestOfN'].includes(node.type))
  const files = nodes.flatMap((node) => app.nodeOutputs[node.id]?.images ?? [])
  return await Promise.all(files.map(async (file) => {
    const answer = await app.api.fetchApi('/view?' + new URLSearchParams(file))
    const picture = await createImageBitmap(await answer.blob())
    return `${picture.width} x ${picture.height}`
  }))
}"""

# Every seed of the graph, changed by an amount that depends on a text.
OTHER_SEEDS = """(text) => app.graph.nodes.flatMap((node) => node.widgets ?? [])
  .filter((widget) => ['seed', 'noise_seed'].includes(widget.name))
  .forEach((widget) => { widget.value = widget.value + text.length })"""


# Everything as long as it needs to be seen.
FEW_STEPS = """() => app.graph.nodes.flatMap((node) => node.widgets ?? []).filter((widget) => widget.name === 'steps')
  .forEach((widget) => { widget.value = 2 })"""

# Pictures inside a node: those in the page in Nodes 2.0, those that the node draws on the classic canvas.
PICTURES = """([type, vue]) => {
  const node = app.graph.nodes.find((node) => node.type === type)
  const inPage = [...document.querySelectorAll(`[data-node-id="${node.id}"] img`)].filter((img) => img.naturalWidth)
  return vue ? inPage.length : (node.imgs ?? []).length
}"""


def showing_all_kinds() -> set[str]:
    """Workflows that together hold every kind of node that shows pictures: the main one first, then by name."""
    seen: set[str] = set()
    chosen = set()
    for name in sorted(WORKFLOWS, key=lambda name: (name != MAIN, name)):
        kinds = {node["type"] for node in json.loads(FILES[name].read_text("utf-8"))["nodes"]}
        if new := kinds & SHOWING - seen:
            chosen.add(name)
            seen |= new
    return chosen


def assert_nothing_is_missing(page: Any, models: bool = True) -> None:
    """No kind of node, and if ``models`` are all there no other fault."""
    types = page.evaluate("() => app.graph.nodes.map((node) => node.type)")
    missing = page.evaluate("(types) => types.filter((type) => !LiteGraph.registered_node_types[type])", types)
    assert types
    assert not missing
    if models:
        assert not page.evaluate("() => app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type)")
    assert not page.get_by_text("missing node", exact=False).count()


def assert_what_is_queued_is(shipped: Prompt, queued: Prompt) -> None:
    """The graph as drawn equals the API workflow, node for node and link for link, even while model files are missing."""
    assert {key: node["class_type"] for key, node in queued.items()} == {
        key: node["class_type"] for key, node in shipped.items()
    }
    for key, node in queued.items():
        assert node["inputs"] == shipped[key]["inputs"], (key, node["class_type"])


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_template_can_be_read_and_runs_and_shows_chart_and_image(
    page: Any, renderer: str, name: str, api_workflow: Any
) -> None:
    """Each runs in the classic page: as shipped, but those that train in few steps, which the server's tests post as shipped. That of
    Nodes 2.0 runs, in few steps, those that together hold every kind of node with pictures. What is queued is the API workflow
    of the same name, which a script would post."""
    frontend.template(page, FILES[name].stem)
    assert_nothing_is_missing(page, models=runs_as_shipped(name))
    assert frontend.unreadable(page) == [] and frontend.overlaps(page) == []
    assert page.evaluate("() => app.graph.nodes.some((node) => node.type === 'MarkdownNote')")
    assert_what_is_queued_is(api_workflow(name), page.evaluate("async () => (await app.graphToPrompt()).output"))
    if not runs_as_shipped(name) or (renderer == "nodes2" and name not in showing_all_kinds()):
        return
    vue, types = renderer == "nodes2", {node["class_type"] for node in api_workflow(name).values()}
    if vue or any(kind.startswith("FGDM_Train") for kind in types):
        page.evaluate(FEW_STEPS)
    page.evaluate(OTHER_SEEDS, renderer)  # what the server has cached is not put out again
    assert frontend.run(page) == "success"

    shown = {"SaveImage": [OTHER_SIZES.get(name, "128 x 128")]}
    for kind in types & {"FGDM_SampleMaps", "FGDM_BestOfN"}:
        shown[kind] = page.evaluate(CHARTS)
        assert shown[kind], "a chart is put out"
    for kind, sizes in shown.items():
        # A live preview that stays on top of the chart has another size.
        page.wait_for_function(
            f"([sizes, ...args]) => ({SHOWN})(args).some((size) => sizes.includes(size))",
            arg=[sizes, kind, vue],
            timeout=30_000,
        )
    for kind in types & {"PreviewImage", "MaskPreview"}:
        page.wait_for_function(f"(args) => ({SHOWN})(args).length", arg=[kind, vue], timeout=30_000)
    if name == MAIN:
        page.wait_for_timeout(2500)
        assert page.evaluate(PICTURES, ["FGDM_SampleMaps", vue]) == 1, "a live preview goes when the chart is there"
    assert frontend.overlaps(page) == [], "with pictures shown"
    if vue:
        assert page.locator("[data-node-id]").count() >= page.evaluate("app.graph.nodes.length")


@pytest.mark.parametrize("name", ["fgdm_own_map", "fgdm_sd15_own_map"])
def test_a_map_of_ones_own_is_shown(name: str, api_workflow: Any) -> None:
    """As it goes in, before anything is made of it."""
    (map_shown,) = [node for node in api_workflow(name).values() if node.get("_meta", {}).get("title") == "Your map"]
    assert map_shown["class_type"] == "PreviewImage"


def test_a_saved_graph_opens_again_as_it_was(page: Any) -> None:
    frontend.template(page, FILES[MAIN].stem)
    before = page.evaluate("async () => (await app.graphToPrompt()).output")
    page.evaluate("async () => { await app.loadGraphData(app.graph.serialize()) }")
    assert page.evaluate("async () => (await app.graphToPrompt()).output") == before
