"""Measure the map editor in Chromium: opening, and from a pointer event until what it changes is on the canvas.

    .venv/bin/python -m tools.bench_editor [SIDE ...]

Prints a table for maps of 1024 and 2048 pixels (or of the sides given): one editor each, a brush stroke, an object that is
moved, resized and turned, undo. Times are those of the page's own work, in milliseconds: what the screen adds is not in it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from comfyui_fgdm.maps.palettes import COCO
from tools import editor_page, frontend

SIDES = (1024, 2048)
STEPS = 60

# Counts the time in the page's own work: handlers, frames, and the drawing that they ask the canvas for.
CLOCK = """() => {
  const ask = window.requestAnimationFrame.bind(window)
  window.work = 0
  window.clocked = (action) => {
    const began = performance.now()
    const result = action()
    window.work += performance.now() - began
    return result
  }
  window.requestAnimationFrame = (draw) => ask((time) => clocked(() => {
    draw(time)
    window.editor?.view.base.getContext('2d').getImageData(0, 0, 1, 1) // waits for what was drawn
  }))
  window.settled = () => new Promise((resolve) => ask(() => ask(() => setTimeout(resolve))))
}"""

# Dispatches pointer events along a line of map pixels, a frame each; milliseconds of work for each.
GESTURE = """async ([from, to, steps]) => {
  const { over, ratio } = editor.view
  over.setPointerCapture = () => {} // there is no real pointer
  const box = over.getBoundingClientRect()
  const send = async (type, x, y) => {
    const [left, top] = editor.view.toScreen(x, y)
    const event = new PointerEvent(type, {
      clientX: box.x + left / ratio, clientY: box.y + top / ratio, pointerId: 1, button: type === 'pointermove' ? -1 : 0,
      buttons: 1, bubbles: true, cancelable: true
    })
    window.work = 0
    clocked(() => over.dispatchEvent(event))
    await settled()
    return window.work
  }
  const down = await send('pointerdown', ...from)
  const moves = []
  for (let i = 1; i <= steps; i++) {
    const part = i / steps
    moves.push(await send('pointermove', from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part))
  }
  const up = await send('pointerup', ...to)
  moves.sort((a, b) => a - b)
  return { down, move: moves[Math.floor(moves.length / 2)], worst: moves[Math.floor(moves.length * 0.95)], up }
}"""

UNDO = """async () => {
  window.work = 0
  clocked(() => editor.undo())
  await settled()
  return window.work
}"""


def scene(side: int) -> np.ndarray:
    """A map of a few large regions, an object of a quarter of the side, and some hundred small pieces."""
    y, x = np.mgrid[:side, :side] / side
    labels = np.where(y < 0.5, COCO.index("sky-other"), COCO.index("grass"))
    labels[(x - 0.3) ** 2 + (y - 0.6) ** 2 < 0.125**2] = COCO.index("dog")
    rng = np.random.default_rng(0)
    for cx, cy in rng.random((300, 2)):
        labels[(abs(x - cx) < 0.004) & (abs(y - cy) < 0.004)] = COCO.index("bird")
    return labels


def measure(tab: Any, side: int) -> list[tuple[str, dict[str, float]]]:
    rows = []
    opened = editor_page.open_editor(tab, scene(side), COCO)
    rows.append(("open: map read", {"down": opened["read"]}))
    rows.append(("open: all, until it is drawn", {"down": opened["shown"]}))

    def gesture(name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        there = [[value * side for value in point] for point in (start, end)]
        rows.append((name, tab.evaluate(GESTURE, [*there, STEPS])))

    gesture("move an object", (0.3, 0.6), (0.6, 0.4))
    gesture("resize it", (0.725, 0.525), (0.8, 0.6))
    gesture("move it, resized", (0.6, 0.42), (0.5, 0.5))
    tab.keyboard.press("b")
    tab.evaluate("editor.model.set({ size: Math.round(editor.session.map.width / 32) })")
    gesture("brush", (0.1, 0.1), (0.9, 0.8))
    tab.keyboard.press("r")
    gesture("rectangle", (0.1, 0.1), (0.6, 0.5))
    rows.append(("undo", {"down": tab.evaluate(UNDO)}))
    tab.evaluate("editor.close()")
    return rows


def main(sides: list[int]) -> int:
    with editor_page.serve() as url, frontend.browser() as browser:
        tab = browser.new_context(viewport=frontend.WINDOW).new_page()
        tab.goto(f"{url}/editor/")
        tab.evaluate(CLOCK)
        editor_page.open_editor(tab, scene(64), COCO)  # the modules are loaded once
        tab.evaluate("editor.close()")
        print("| side | gesture | down | move, median | move, 95 % | up |\n|---|---|---|---|---|---|")
        for side in sides:
            for name, times in measure(tab, side):
                cells = [f"{times[key]:.0f}" if key in times else "" for key in ("down", "move", "worst", "up")]
                print(f"| {side} | {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main([int(word) for word in sys.argv[1:]] or list(SIDES)))
