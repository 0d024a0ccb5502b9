"""The help page of a node opens in the front end, in a language without pages of its own as well."""

from __future__ import annotations

from typing import Any

from tools import frontend
from tools.server import Server

SELECT = """() => {
  const node = LiteGraph.createNode('FGDM_Objects')
  app.graph.add(node)
  node.pos = [300, 300]
  app.canvas.selectNode ? app.canvas.selectNode(node) : app.canvas.select(node)
}"""


def test_help_opens_in_every_language(browser: Any, live_server: Server) -> None:
    live_server.client.post("/settings", {"Comfy.Locale": "zh"})
    try:
        with frontend.page(browser, live_server, "nodes2") as tab:
            tab.evaluate(SELECT)
            tab.get_by_test_id("info-button").click()
            help_page = tab.locator(".node-help-content")
            help_page.get_by_text("recall", exact=False).first.wait_for(timeout=30_000)
            assert "Emphasis, weights" in help_page.inner_text()
    finally:
        live_server.client.post("/settings", {"Comfy.Locale": "en"})
