"""The filmstrip of Choose Map: what it shows after a run, and that a click chooses, in both renderers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from comfyui_fgdm.maps.palettes import COCO, encode
from tools import frontend
from tools.server import Server

# Three maps in a batch, of which the second holds the wanted dog. Gives the id of Choose Map.
GRAPH = """(files) => {
  const add = (type, x, y, values = {}) => {
    const node = LiteGraph.createNode(type)
    app.graph.add(node)
    node.pos = [x, y]
    for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value
    return node
  }
  const objects = add('FGDM_Objects', 40, 60, { text: 'dog', mode: 'list' })
  const images = files.map((image, k) => add('LoadImage', 40 + 300 * k, 420, { image }))
  const batches = [0, 1].map((k) => add('ImageBatch', 400 + 200 * k, 60))
  const choose = add('FGDM_ChooseMap', 860, 60)
  images[0].connect(0, batches[0], 0)
  images[1].connect(0, batches[0], 1)
  batches[0].connect(0, batches[1], 0)
  images[2].connect(0, batches[1], 1)
  batches[1].connect(0, choose, choose.findInputSlot('maps'))
  objects.connect(0, choose, choose.findInputSlot('objects'))
  app.canvas.ds.reset()
  return choose.id
}"""

STRIP = """() => [...document.querySelectorAll('.fgdm-strip button')].map((button) =>
  [button.dataset.choice, button.getAttribute('aria-pressed'), button.innerText.replace(/\\s+/g, ' ').trim(), button.querySelector('img').naturalWidth])"""
CHOICE = "(id) => app.graph.getNodeById(id).widgets.find((widget) => widget.name === 'choice').value"
CHOSEN = "(id) => app.nodeOutputs[id].fgdm_choose[0].chosen"


def test_a_click_on_the_filmstrip_chooses(page: Any, live_server: Server) -> None:
    names = []
    for k in range(3):
        labels = np.full((64, 64), COCO.index("sky-other"))
        labels[40:] = COCO.index("grass")
        labels[20:50, 20 + k : 40] = COCO.index("dog") if k == 1 else COCO.index("cat")
        picture = (encode(torch.from_numpy(labels)).numpy() * 255).round().astype(np.uint8)
        names.append(f"strip{k}.png")
        Image.fromarray(picture).save(live_server.base / "input" / names[-1])
    page.evaluate("async () => await app.refreshComboInNodes?.()")
    node = page.evaluate(GRAPH, names)
    assert page.locator(".fgdm-strip").inner_text() == "Run to see the candidates"
    assert frontend.run(page) == "success"
    page.wait_for_function("document.querySelectorAll('.fgdm-strip img').length === 4")
    page.wait_for_function("[...document.querySelectorAll('.fgdm-strip img')].every((image) => image.naturalWidth)")
    assert page.evaluate(STRIP) == [
        ["0", "true", "best", 64],
        ["1", "false", "1 \u00b7 0 % without dog", 64],
        ["2", "false", "2 \u00b7 100 %", 64],
        ["3", "false", "3 \u00b7 0 % without dog", 64],
    ]
    assert page.evaluate(CHOSEN, node) == 1
    page.locator('.fgdm-strip button[data-choice="3"]').click()
    assert page.evaluate(CHOICE, node) == 3
    assert [pressed for _, pressed, _, _ in page.evaluate(STRIP)] == ["false", "false", "false", "true"]
    assert frontend.run(page) == "success"
    page.wait_for_function(f"app.nodeOutputs[{node}].fgdm_choose[0].chosen === 2")
