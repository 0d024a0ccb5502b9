"""The map editor in a page of its own, without ComfyUI: for measuring, and for tests that are about the editor alone."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import io
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from comfyui_fgdm.editing import shown, sketch
from comfyui_fgdm.editing.regions import Gone
from comfyui_fgdm.maps.palette_file import Palette
from comfyui_fgdm.maps.pose_reading import PeopleRead
from tools.server import ROOT

OPEN = """async ({ variable, map, second, classes, nothing, objects, mark, recipe, words, people, bold, bright }) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  const { readIndices } = await import('/editor/engine/png.mjs')
  const { Editor } = await import('/editor/ui/editor.mjs')
  const { Letters } = await import('/editor/ui/letters.mjs')
  const began = performance.now()
  const labels = await readIndices(bytes(map))
  const read = performance.now()
  const letters = new Letters(async ({ text, size }) => {
    const answer = await fetch('/letters?' + new URLSearchParams({ text, size, width: mark.width, height: mark.height }))
    return answer.status === 204 ? null : readIndices(new Uint8Array(await answer.arrayBuffer()))
  })
  const source = {
    variable, map: labels, second: second && (await readIndices(bytes(second))), picture: null, classes, nothing, objects, mark,
    letters, people, bold, bright, fonts: async () => ['a.ttf'], addFont: async (file) => file.name
  }
  window.results = []
  window.editor = new Editor({ source, recipe, words: words ?? {}, commit: async (text) => void window.results.push(text) })
  editor.show()
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
  return { read: read - began, shown: performance.now() - began }
}"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def do_GET(self) -> None:
        if not self.path.startswith("/letters?"):
            return super().do_GET()
        query = dict(urllib.parse.parse_qsl(self.path.split("?", 1)[1]))
        size = int(query["width"]), int(query["height"])
        try:
            body = index_png(sketch.letters(query["text"], float(query["size"]), size))
        except Gone:
            body = b""
        self.send_response(200 if body else 204)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """The address of a server of the folder web/ on 127.0.0.1."""
    handler = functools.partial(_Handler, directory=str(ROOT / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def index_png(labels: np.ndarray) -> bytes:
    """Class indices, integer [H, W], as an 8-bit grey PNG (16-bit, if there are more than 255)."""
    kind = np.uint8 if labels.max() < 256 else np.uint16
    out = io.BytesIO()
    Image.fromarray(labels.astype(kind)).save(out, "PNG")
    return out.getvalue()


def open_editor(
    tab: Any,
    labels: np.ndarray,
    palette: Palette | None,
    second: np.ndarray | None = None,
    recipe: str = "",
    objects: list[Any] | None = None,
    words: dict[str, str] | None = None,
    variable: str = "segmentation",
    people: PeopleRead | None = None,
) -> dict[str, float]:
    """Open the editor in a tab that shows a page of ``serve``; `editor` and `results` are then there. labels: levels and no palette for
    variables without classes. people: those of a pose map, of which the labels are ``pose_reading.INDICES``. Gives
    milliseconds until the map was read and until it was drawn."""

    def encoded(values: np.ndarray | None) -> str | None:
        return None if values is None else base64.b64encode(index_png(values)).decode()

    classes: shown.Classes = [] if palette is None else shown.of_palette(palette)
    if people is not None:
        classes = shown.of_poses()
    height, width = labels.shape
    return tab.evaluate(
        OPEN,
        {
            "variable": variable,
            "map": encoded(labels),
            "second": encoded(second),
            "classes": classes,
            "people": None if people is None else [list(body) for body in people.bodies],
            "bold": 1.0 if people is None else people.bold,
            "bright": people is not None and people.bright,
            "nothing": palette and palette.void,
            "objects": objects,
            "mark": {"sha256": "0" * 64, "width": width, "height": height, "palette": palette and palette.name},
            "recipe": recipe,
            "words": words,
        },
    )
