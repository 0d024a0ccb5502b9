"""The map editor on its node in ComfyUI, in both renderers: open, edit, queue, save, copy, and a map that changes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.editing import recipe
from comfyui_fgdm.editing.applying import TABLES, edit_labels, edit_levels, edit_people
from comfyui_fgdm.editing.pose import STANDING
from comfyui_fgdm.maps import pose_reading
from comfyui_fgdm.maps.palettes import COCO
from comfyui_fgdm.maps.pose import JOINTS
from tools import frontend
from tools.server import Server

DOG, BIRD, SKY, GRASS = (COCO.index(name) for name in ("dog", "bird", "sky-other", "grass"))

# Two Edit Maps, each with a map of its own; the first also has a second map, a picture and objects. Gives their ids.
GRAPH = """([first, second]) => {
  const add = (type, x, y, values = {}) => {
    const node = LiteGraph.createNode(type)
    app.graph.add(node)
    node.pos = [x, y]
    for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value
    return node
  }
  const objects = add('FGDM_Objects', 40, 480, { text: 'a dog and a car', mode: 'auto' })
  const images = [first, second].map((image, k) => add('LoadImage', 40, 60 + 800 * k, { image }))
  const edits = [0, 1].map((k) => add('FGDM_EditMap', 520 + 480 * k, 60))
  edits.forEach((edit, k) => images[k].connect(0, edit, edit.findInputSlot('map')))
  images[1].connect(0, edits[0], edits[0].findInputSlot('second'))
  images[0].connect(0, edits[0], edits[0].findInputSlot('picture'))
  objects.connect(0, edits[0], edits[0].findInputSlot('objects'))
  app.canvas.ds.reset()
  return edits.map((edit) => edit.id)
}"""

VALUE = "(id) => app.graph.getNodeById(id).widgets.find((widget) => widget.name === 'recipe').value"
THUMBS = """(ids) => ids.map((id) => app.graph.getNodeById(id).widgets.find((widget) => widget.name === 'editor').element)
  .map((element) => element.querySelector('canvas').width)"""
OUTPUT = """(id) => app.nodeOutputs[id].fgdm_edit[0]"""


def scene(shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:96, :128]
    labels = np.where(y < 50, SKY, GRASS)
    labels[(x - 40 - shift) ** 2 / 300 + (y - 70) ** 2 / 100 < 1] = DOG
    return labels


def other() -> np.ndarray:
    labels = np.full((64, 64), SKY)
    labels[10:30, 20:50] = BIRD
    return labels


def save(server: Server, name: str, labels: np.ndarray) -> None:
    colours = np.array([label.rgb for label in COCO.labels], dtype=np.uint8)
    Image.fromarray(colours[labels]).save(Path(server.base) / "input" / name)


def of_python(labels: np.ndarray, text: str, second: np.ndarray) -> np.ndarray:
    operations = recipe.check(recipe.read(text).operations, TABLES["segmentation"], COCO)
    return edit_labels(labels, operations, COCO, second=second).values


def result(page: Any, server: Server, node: int) -> np.ndarray:
    """The class indices that the node put out."""
    edited = page.evaluate(OUTPUT, node)["edited"]
    return np.asarray(Image.open(io.BytesIO(server.client.view(edited)))).astype(int)


def open_editor(page: Any, node: int) -> Any:
    """Click the node's button; the editor's dialog."""
    button = page.evaluate_handle(
        "(id) => app.graph.getNodeById(id).widgets.find((widget) => widget.name === 'editor').element.querySelector('button')",
        node,
    ).as_element()
    button.click()
    dialog = page.locator("dialog.fgdm-editor")
    dialog.wait_for(state="visible")
    page.wait_for_function("document.querySelector('.fgdm-base').width > 300")
    return dialog


def at(page: Any, x: float, y: float, size: tuple[int, int] = (128, 96)) -> list[float]:
    """Where a pixel of the map is on the page, if the map is fitted into the view."""
    box = page.locator(".fgdm-over").bounding_box()
    scale = min((box["width"] - 40) / size[0], (box["height"] - 40) / size[1])
    left = round((box["width"] - size[0] * scale) / 2)
    top = round((box["height"] - size[1] * scale) / 2)
    return [box["x"] + left + (x + 0.5) * scale, box["y"] + top + (y + 0.5) * scale]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=5)
    page.mouse.up()


def test_a_map_is_edited_on_its_node(page: Any, renderer: str, live_server: Server) -> None:
    save(live_server, f"{renderer}_map.png", scene())
    save(live_server, f"{renderer}_other.png", other())
    # The lists of files in the page are of an earlier time.
    first, second = page.evaluate(GRAPH, [f"{renderer}_map.png", f"{renderer}_other.png"])
    nodes = page.evaluate("app.graph.nodes.length")
    assert (ran := frontend.run(page)) == "success", ran
    page.wait_for_function(f"(ids) => ({THUMBS})(ids).every((width) => width > 30)", arg=[first, second])
    assert np.array_equal(result(page, live_server, first), scene()), "an empty recipe changes nothing"

    dialog = open_editor(page, first)
    assert dialog.locator(".fgdm-there").inner_text().endswith("dog")
    drag(page, (40, 70), (90, 60))
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("b")
    drag(page, (10, 20), (60, 30))
    page.wait_for_timeout(300)
    assert page.evaluate("app.graph.nodes.length") == nodes, "the graph's own undo hears nothing"
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")
    text = page.evaluate(VALUE, first)
    assert [one["op"] for one in json.loads(text)["operations"]] == ["lift", "transform", "stroke"]
    assert json.loads(text)["operations"][1]["move"] == [49, -10]
    assert page.evaluate(VALUE, second) == "", "each node has an editor of its own"
    kept = page.evaluate("JSON.stringify(app.extensionManager.workflow.activeWorkflow.changeTracker.activeState)")
    assert json.dumps(text) in kept, "the front end knows of the change: it outlives a reload, and can be undone"

    assert (ran := frontend.run(page)) == "success", ran
    want = of_python(scene(), text, other())
    assert want[60, 89] == DOG
    assert np.array_equal(result(page, live_server, first), want)
    report = page.evaluate(OUTPUT, first)["report"]["maps"][0]
    assert report["applied"] == 3

    # Saved, loaded, copied and sent, it is the same text.
    saved = page.evaluate("JSON.parse(JSON.stringify(app.graph.serialize()))")
    entry = next(node for node in saved["nodes"] if str(node["id"]) == str(first))
    assert entry["widgets_values"].count(text) == 1
    assert len(json.dumps(entry)) < len(text) + 3000, "nothing but the recipe is saved"
    frontend.show(page, saved, "edited")
    assert page.evaluate(VALUE, first) == text
    assert page.evaluate("async (id) => (await app.graphToPrompt()).output[id].inputs.recipe", first) == text
    assert page.evaluate(
        "(id) => { const copy = app.graph.getNodeById(id).clone(); app.graph.add(copy)\n"
        "const value = copy.widgets.find((widget) => widget.name === 'recipe').value; app.graph.remove(copy); return value }",
        first,
    ) == text  # fmt: skip

    # Opened anew after loading, from what the server remembers: the same edits, to be gone on with.
    dialog = open_editor(page, first)
    assert not dialog.locator(".fgdm-banner").is_visible()
    page.mouse.click(*at(page, 89, 60))
    page.keyboard.press("Delete")
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")
    text = page.evaluate(VALUE, first)
    assert (ran := frontend.run(page)) == "success", ran
    assert np.array_equal(result(page, live_server, first), of_python(scene(), text, other()))

    # Another map comes in: the run stops, the edits are kept, and the editor asks.
    save(live_server, f"{renderer}_new.png", scene(shift=9))
    page.evaluate(
        "([id, name]) => { const node = app.graph.getNodeById(app.graph.getNodeById(id).getInputNode(0).id)\n"
        "node.widgets.find((widget) => widget.name === 'image').value = name }",
        [first, f"{renderer}_new.png"],
    )
    assert "error" in frontend.run(page)
    assert page.evaluate(VALUE, first) == text
    page.keyboard.press("Escape")
    frontend_dialogs = page.locator(".p-dialog-close-button")
    if frontend_dialogs.count():
        frontend_dialogs.first.click()
    page.wait_for_timeout(500)
    dialog = open_editor(page, first)
    dialog.locator(".fgdm-banner").wait_for(state="visible")
    assert dialog.locator('[data-action="done"]').is_disabled()
    dialog.locator('[data-action="apply_to_new"]').click()
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")
    assert json.loads(page.evaluate(VALUE, first))["operations"] == json.loads(text)["operations"]
    assert (ran := frontend.run(page)) == "success", ran
    assert np.array_equal(result(page, live_server, first), of_python(scene(shift=9), text, other()))


def test_long_recipes_and_subgraphs(page: Any, renderer: str, live_server: Server) -> None:
    save(live_server, f"{renderer}_map.png", scene())
    save(live_server, f"{renderer}_other.png", other())
    first, second = page.evaluate(GRAPH, [f"{renderer}_map.png", f"{renderer}_other.png"])
    page.evaluate("(id) => app.graph.remove(app.graph.getNodeById(id))", second)
    inner = page.evaluate(
        """(id) => {
          window.edits = []
          app.api.addEventListener('executed', ({ detail }) => {
            if (detail.output?.fgdm_edit) window.edits.push(detail.output.fgdm_edit[0].edited)
          })
          const { subgraph } = app.graph.convertToSubgraph(new Set([app.graph.getNodeById(id)]))
          window.inner = subgraph.nodes.find((node) => node.type === 'FGDM_EditMap')
          return window.inner.id
        }""",
        first,
    )
    assert inner is not None
    assert (ran := frontend.run(page)) == "success", ran

    # More strokes than a text should hold: they become a picture in the input folder, and the same map.
    rng = np.random.default_rng(1)
    strokes = [
        {
            "op": "stroke",
            "class": None if k % 7 == 0 else int(rng.integers(183)),
            "size": 1 + k % 5,
            "points": rng.integers(0, 96, (60, 2)).tolist(),
        }
        for k in range(150)
    ]
    lift = {"op": "lift", "id": "dog", "class": "dog", "at": [40, 70]}
    long = json.dumps({"version": 1, "operations": [lift, *strokes, {"op": "order", "target": "dog", "to": "front"}]})
    assert len(long) > 64 * 1024
    page.evaluate("inner.widgets.find((widget) => widget.name === 'editor').element.querySelector('button').click()")
    dialog = page.locator("dialog.fgdm-editor")
    dialog.wait_for(state="visible")
    dialog.locator("summary").click()
    dialog.locator("textarea").fill(long)
    dialog.get_by_text("Use this recipe").click()
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")
    text = page.evaluate("inner.widgets.find((widget) => widget.name === 'recipe').value")
    assert [one["op"] for one in json.loads(text)["operations"]] == ["lift", "paint", "order"]
    assert (ran := frontend.run(page)) == "success", ran
    edited = page.evaluate("edits.at(-1)")
    got = np.asarray(Image.open(io.BytesIO(live_server.client.view(edited)))).astype(int)
    assert np.array_equal(got, of_python(scene(), long, other()))


# An Edit Map for a depth map, one for a sketch and one for a pose map, with no factor that says so. Gives their ids.
# Their ids are new: a page remembers values and pictures of the nodes of a graph that was cleared.
LEVELS = """(images) => images.map((image, k) => {
  app.graph.last_node_id = Math.max(app.graph.last_node_id, 100)
  const [source, edit] = ['LoadImage', 'FGDM_EditMap'].map((type) => LiteGraph.createNode(type))
  for (const [node, x] of [[source, 40], [edit, 400]]) {
    app.graph.add(node)
    node.pos = [x + 760 * (k >> 1), 60 + 460 * (k % 2)]
  }
  source.widgets.find((widget) => widget.name === 'image').value = image
  edit.widgets.find((widget) => widget.name === 'variable').value = ['depth', 'sketch', 'pose'][k]
  source.connect(0, edit, edit.findInputSlot('map'))
  app.canvas.ds.reset()
  return edit.id
})"""


def test_depth_maps_sketches_and_poses_are_edited_on_their_nodes(page: Any, renderer: str, live_server: Server) -> None:
    y, x = np.mgrid[:96, :128]
    depth = np.where((x - 40) ** 2 + (y - 50) ** 2 < 400, 180, y).astype(np.uint8)
    sketch = np.where(abs(x - y) < 2, 255, 0).astype(np.uint8)
    body = tuple((64.5 + dx * 0.08, 48.5 + dy * 0.08) for dx, dy in STANDING)
    figures = (pose_reading.PeopleRead((body,), 2.0).draw(96, 128) * 255).round().byte().numpy()
    names = [f"{renderer}_{variable}.png" for variable in ("depth", "sketch", "pose")]
    for name, levels in zip(names, (depth, sketch, figures)):
        # In colours: core reads files of grey levels by a way that is a level off here and there.
        Image.fromarray(levels).convert("RGB").save(Path(live_server.base) / "input" / name)
    nodes = page.evaluate(LEVELS, names)
    assert (ran := frontend.run(page)) == "success", ran
    page.wait_for_function(f"(ids) => ({THUMBS})(ids).every((width) => width > 30)", arg=nodes)

    dialog = open_editor(page, nodes[0])
    page.mouse.click(*at(page, 40, 50))
    page.keyboard.press(".")
    drag(page, (40, 50), (80, 40))
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")

    dialog = open_editor(page, nodes[1])
    page.keyboard.press("b")
    drag(page, (70, 10), (120, 20))
    page.keyboard.press("t")
    page.keyboard.type("STOP")
    dialog.locator('[data-text="size"]').fill("20")
    page.mouse.click(*at(page, 50, 70))
    dialog.locator(".fgdm-layers").get_by_text("STOP").wait_for()
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")

    dialog = open_editor(page, nodes[2])
    (wx, wy), wrist = body[JOINTS.index("left wrist")], JOINTS.index("left wrist")
    drag(page, (wx - 0.5, wy - 0.5), (wx + 19.5, wy - 30.5))
    page.keyboard.press("a")
    drag(page, (20, 10), (22, 80))
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")

    texts = [page.evaluate(VALUE, node) for node in nodes]
    made = [json.loads(text) for text in texts]
    assert [one["variable"] for one in made] == ["depth", "sketch", "pose"]
    assert [one["op"] for one in made[0]["operations"]] == ["lift", "shift", "transform"]
    assert [one["op"] for one in made[1]["operations"]] == ["stroke", "text"]
    assert [one["op"] for one in made[2]["operations"]] == ["lift", "joint", "add"]
    saved = page.evaluate("JSON.parse(JSON.stringify(app.graph.serialize()))")
    frontend.show(page, saved, "levels")
    assert [page.evaluate(VALUE, node) for node in nodes] == texts
    assert (ran := frontend.run(page)) == "success", ran
    read = pose_reading.read(torch.from_numpy(figures).float() / 255)
    people = edit_people(read.bodies, recipe.check(made[2]["operations"], TABLES["pose"]))
    assert len(people.values) == 2
    assert people.values[0][wrist] == pytest.approx((wx + 20, wy - 30), abs=1)
    assert np.array_equal(result(page, live_server, nodes[2]), pose_reading.indices(read.draw(96, 128, people.values)))
    for node, levels, one in zip(nodes[:2], (depth, sketch), made):
        operations = recipe.check(one["operations"], TABLES[one["variable"]])
        want = edit_levels(levels, operations, one["variable"])
        assert not want.skipped
        assert (want.values != levels).any()
        assert np.array_equal(result(page, live_server, node), want.values)
    # Opened again, the word is there, and what is typed changes it.
    dialog = open_editor(page, nodes[1])
    dialog.locator(".fgdm-layers").get_by_text("STOP").click()
    dialog.locator('[data-text="text"]').fill("GO")
    dialog.locator(".fgdm-layers").get_by_text("GO").wait_for()
    dialog.locator('[data-action="done"]').click()
    dialog.wait_for(state="detached")
    assert json.loads(page.evaluate(VALUE, nodes[1]))["operations"][1]["text"] == "GO"
