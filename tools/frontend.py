"""ComfyUI's front end in a headless Chromium, with either of its two renderers: for tests and for laying out workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tools import chromium
from tools.server import PACK_FOLDER, Server

RENDERERS = {"classic": False, "nodes2": True}
WINDOW = {"width": 1600, "height": 1000}
LEAST_CONTRAST = 4.5  # of text, WCAG 2 level AA
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

# Of every note: how much of its text is out of sight, and the least contrast of a piece of its text.
NOTES = """() => {
  const colour = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d')
    canvas.fillStyle = text
    canvas.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data
    return [[r, g, b], a / 255]
  }
  const over = (below, [above, alpha]) => below.map((value, i) => value * (1 - alpha) + above[i] * alpha)
  const light = (rgb) => rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05)
  return app.graph.nodes.filter((node) => node.type === 'MarkdownNote').map((node) => {
    const root = document.querySelector(`[data-node-id="${node.id}"]`) ?? node.widgets[0].element
    const text = root.querySelector('.comfy-markdown-content, .tiptap')
    const pieces = [...text.querySelectorAll('*')].filter((el) => [...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    const seen = pieces.map((piece) => {
      const layers = []
      for (let el = piece; el; el = el === root ? null : el.parentElement) layers.unshift(colour(getComputedStyle(el).backgroundColor))
      const ground = layers.reduce(over, colour(node.bgcolor)[0])
      return contrast(over(ground, colour(getComputedStyle(piece).color)), ground)
    })
    return { title: node.title, hidden: text.scrollHeight - text.clientHeight, pieces: seen.length, contrast: Math.min(...seen) }
  })
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


def unreadable(tab: Any) -> list[str]:
    """What of the open workflow cannot be read where it opened: everything, if it is drawn so small that the classic renderer
    leaves texts out; notes whose text does not fit, or hardly stands out. A text each."""
    found = []
    # Sizes of text as the front end has them by default, whatever its settings.
    if tab.evaluate("() => app.canvas.low_quality || app.canvas.ds.scale <= 8 / LiteGraph.NODE_TEXT_SIZE"):
        found.append("all: the classic renderer draws no text at this zoom")
    for note in tab.evaluate(NOTES):
        if note["hidden"] > 1:
            found.append(f"{note['title']}: its last {note['hidden']} pixels have to be scrolled to")
        if not note["pieces"] or note["contrast"] < LEAST_CONTRAST:
            found.append(f"{note['title']}: contrast {note['contrast']}, {note['pieces']} pieces of text")
    return found


def run(tab: Any) -> str:
    """Run the open workflow; "success", or what went wrong."""
    return tab.evaluate(RUN)
