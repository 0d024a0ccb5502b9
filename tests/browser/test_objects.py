"""The Objects node tells which words count and which do not, on the node itself, in both renderers."""

from __future__ import annotations

from typing import Any

from tools import frontend

GRAPH = """(text) => {
  const [objects, shown] = ['FGDM_Objects', 'PreviewAny'].map((type) => LiteGraph.createNode(type))
  app.graph.add(objects)
  app.graph.add(shown)
  shown.pos = [600, 400]
  objects.widgets.find((widget) => widget.name === 'text').value = text
  objects.connect(1, shown, 0)
}"""

TEXTS = """() => app.graph.nodes.filter((node) => node.type === 'FGDM_Objects')
  .flatMap((node) => node.widgets.map((widget) => String(widget.value)))"""


def test_what_counts_and_what_does_not_is_seen_on_the_node(page: Any, renderer: str) -> None:
    line = "1 object: dog; not counted: unicorn, dragon"
    page.evaluate(GRAPH, f"a unicorn and a dragon near a dog, no {'cats' if renderer == 'nodes2' else 'cows'}")
    assert frontend.run(page) == "success"
    page.wait_for_function(f"(line) => ({TEXTS})().includes(line)", arg=line, timeout=30_000)
    page.get_by_text(line, exact=False).first.wait_for(state="visible", timeout=30_000)
    if renderer == "nodes2":
        check_settings(page)


def check_settings(page: Any) -> None:
    """The endpoint of a language model can be set in the front end, is empty until then, and is kept by the server."""
    kept = page.evaluate("""async () => {
      const settings = app.extensionManager.setting
      const before = ['url', 'model', 'key'].map((key) => settings.get(`fgdm.llm.${key}`))
      await settings.set('fgdm.llm.model', 'small')
      const kept = await (await app.api.fetchApi('/settings')).json()
      await settings.set('fgdm.llm.model', '')
      return [...before, kept['fgdm.llm.model']]
    }""")
    assert kept == ["", "", "", "small"]
