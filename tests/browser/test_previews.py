"""What a node shows after a run: the pictures that it put out, each once, in both renderers."""

from __future__ import annotations

from typing import Any

from tools import frontend
from tools.workflow import templates

# Pictures inside a node: those in the page in Nodes 2.0, those that the node draws on the classic canvas.
PICTURES = """([type, vue]) => {
  const node = app.graph.nodes.find((node) => node.type === type)
  const inPage = [...document.querySelectorAll(`[data-node-id="${node.id}"] img`)].filter((img) => img.naturalWidth)
  return vue ? inPage.length : (node.imgs ?? []).length
}"""

SEED = """(seed) => {
  const node = app.graph.nodes.find((node) => node.type === 'FGDM_SampleMaps')
  node.widgets.find((widget) => widget.name === 'seed').value = seed
}"""


def test_a_live_preview_goes_when_the_chart_is_there(page: Any, renderer: str) -> None:
    frontend.template(page, templates()["fgdm_best_of_10"].stem)
    # A seed of its own for each renderer: what the server has cached is put out without a preview.
    page.evaluate(SEED, 4321 + len(renderer))
    assert frontend.run(page) == "success"
    page.wait_for_timeout(2500)
    assert page.evaluate(PICTURES, ["FGDM_SampleMaps", renderer == "nodes2"]) == 1
