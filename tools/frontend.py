"""ComfyUI's front end in a headless Chromium, with either of its two renderers: for tests and for laying out workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tools import chromium
from tools.server import PACK_FOLDER, Server

RENDERERS = {"classic": False, "nodes2": True}
WINDOW = {"width": 1600, "height": 1000}
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

READY = [
    "() => window.app && window.app.graph && window.app.canvas",
    "() => window.app.extensionManager && !window.app.extensionManager.spinner",
    "() => window.LiteGraph.registered_node_types['FGDM_SampleMaps']",
    "() => window.app.vueAppReady === true",
]

# A workflow opened as the template browser opens it: the view is fitted to the nodes. Then two frames, so that all is drawn.
SHOW = """async ([workflow, name]) => {
  await app.loadGraphData(workflow, true, true, name, { openSource: 'template' })
  for (let i = 0; i < 3; i++) await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 100)))
}"""

# Queues the open workflow once and says how it ended.
RUN = """async () => {
  const ended = new Promise((resolve) => {
    app.api.addEventListener('execution_success', () => resolve('success'))
    app.api.addEventListener('execution_error', (event) => resolve('error: ' + event.detail.exception_message))
    app.api.addEventListener('execution_interrupted', () => resolve('interrupted'))
  })
  const queued = await app.queuePrompt(0, 1)
  return queued ? await ended : 'refused: ' + JSON.stringify(app.lastNodeErrors)
}"""

# Pairs of nodes whose rectangles, titles included, share more than a pixel: as drawn on the canvas, or in the page.
OVERLAPS = """() => {
  const scale = app.canvas.ds.scale
  const boxes = app.graph.nodes.map((node) => {
    const title = `${node.title} (${node.id})`
    const box = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
    if (!box) {
      const [width, height] = node.size, least = node.computeSize()
      return [title, node.pos[0], node.pos[1] - 30, Math.max(width, least[0]), Math.max(height, least[1]) + 30]
    }
    return [title, box.x / scale, box.y / scale, box.width / scale, box.height / scale]
  })
  const apart = (a, b) => a[1] + a[3] <= b[1] + 1 || b[1] + b[3] <= a[1] + 1 || a[2] + a[4] <= b[2] + 1 || b[2] + b[4] <= a[2] + 1
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => !apart(a, b)).map((b) => `${a[0]} and ${b[0]}`))
}"""


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
        yield started
        started.close()


@contextmanager
def page(started: Any, server: Server, renderer: str) -> Iterator[Any]:
    """The front end of a server, ready, with an empty graph, drawn by a renderer of RENDERERS."""
    server.client.post("/settings", {"Comfy.VueNodes.Enabled": RENDERERS[renderer]})
    context = started.new_context(viewport=WINDOW)
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    tab.goto(server.url)
    for condition in READY:
        tab.wait_for_function(condition)
    try:
        yield tab
    finally:
        context.close()


def show(tab: Any, workflow: Mapping[str, Any], name: str) -> None:
    """Open a workflow given as its file's content."""
    tab.evaluate(SHOW, [workflow, name])


def template(tab: Any, name: str) -> None:
    """Open a shipped workflow from where the template browser takes it."""
    show(tab, tab.evaluate(
        "async ([folder, name]) => (await app.api.fetchApi(`/workflow_templates/${folder}/${encodeURIComponent(name)}.json`)).json()",
        [PACK_FOLDER, name],
    ), name)  # fmt: skip


def overlaps(tab: Any) -> list[str]:
    """Which nodes of the open workflow cover each other, a text a pair."""
    return tab.evaluate(OVERLAPS)


def run(tab: Any) -> str:
    """Run the open workflow; "success", or what went wrong."""
    return tab.evaluate(RUN)
