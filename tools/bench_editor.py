"""Measure the map editor in Chromium: opening, and what a pointer event costs until the canvas shows what it changes.

    .venv/bin/python -m tools.bench_editor [SIDE ...]

Prints a table for maps of 1024 and 2048 pixels (or of the sides given): opening, an object that is moved and resized, a brush
stroke, a rectangle, undo; on depth maps the slider for nearer or farther. Times are milliseconds of processor time of the page's thread, drawing without a graphics card
included, so that other programs on the machine do not count; of moves it is the mean of 60. Of opening, the second figure is by the clock, from
the map's file in the page until it is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from comfyui_fgdm.maps.palettes import COCO
from tools import editor_page, frontend

SIDES = (1024, 2048)
STEPS = 60

# Frames wait until the canvas has drawn, so that this is counted, too. `point` dispatches a pointer event at a pixel of the map.
HELPERS = """() => {
  const ask = window.requestAnimationFrame.bind(window)
  window.requestAnimationFrame = (draw) => ask((time) => {
    draw(time)
    if (window.editor) editor.view.base.getContext('2d').getImageData(0, 0, 1, 1)
  })
  window.settled = () => new Promise((resolve) => ask(() => ask(() => setTimeout(resolve))))
  window.point = async (type, x, y) => {
    const { over, ratio } = editor.view
    over.setPointerCapture = () => {} // there is no real pointer
    const box = over.getBoundingClientRect()
    const [left, top] = editor.view.toScreen(x, y)
    over.dispatchEvent(new PointerEvent(type, {
      clientX: box.x + left / ratio, clientY: box.y + top / ratio, pointerId: 1, button: type === 'pointermove' ? -1 : 0,
      buttons: 1, bubbles: true, cancelable: true
    }))
    await settled()
  }
}"""

MOVES = """async ([from, to, steps]) => {
  for (let i = 1; i <= steps; i++) {
    await point('pointermove', from[0] + ((to[0] - from[0]) * i) / steps, from[1] + ((to[1] - from[1]) * i) / steps)
  }
}"""

# The slider for nearer or farther, moved to and fro.
SLIDE = """async (steps) => {
  const slider = document.querySelector('[data-level="shift"]')
  for (let i = 0; i < steps; i++) {
    slider.value = (i * 7) % 100 - 50
    slider.dispatchEvent(new Event('input'))
    await settled()
  }
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


class Bench:
    """An editor in a tab, and the clock of its thread."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.protocol = tab.context.new_cdp_session(tab)
        self.protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.evaluate(HELPERS)

    def cost(self, action: Callable[[], Any]) -> float:
        """Milliseconds of processor time that the page spends on an action."""
        before = self._spent()
        action()
        return self._spent() - before

    def _spent(self) -> float:
        metrics = self.protocol.send("Performance.getMetrics")["metrics"]
        return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def gesture(self, start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float, float]:
        """Costs of down, of one move, and of up, on a way between pixels of the map."""
        point = "([type, x, y]) => point(type, x, y)"
        down = self.cost(lambda: self.tab.evaluate(point, ["pointerdown", *start]))
        moves = self.cost(lambda: self.tab.evaluate(MOVES, [start, end, STEPS]))
        up = self.cost(lambda: self.tab.evaluate(point, ["pointerup", *end]))
        return down, moves / STEPS, up


def measure(bench: Bench, side: int) -> None:
    def row(name: str, *costs: float) -> None:
        cells = [f"{cost:.0f}" for cost in costs] + [""] * (3 - len(costs))
        print(f"| {side} | {name} | {' | '.join(cells)} |", flush=True)

    def gesture(name: str, *way: tuple[float, float]) -> None:
        start, end = ((x * side, y * side) for x, y in way)
        row(name, *bench.gesture(start, end))

    labels, clock = scene(side), {}
    row("open", bench.cost(lambda: clock.update(editor_page.open_editor(bench.tab, labels, COCO))), clock["shown"])
    gesture("move an object", (0.3, 0.6), (0.6, 0.4))
    gesture("resize it", (0.725, 0.525), (0.8, 0.6))
    gesture("move it, resized", (0.6, 0.42), (0.5, 0.5))
    bench.tab.keyboard.press("b")
    gesture("brush", (0.1, 0.1), (0.9, 0.8))
    bench.tab.keyboard.press("r")
    gesture("rectangle", (0.1, 0.1), (0.6, 0.5))
    row("undo", bench.cost(lambda: bench.tab.evaluate("async () => { editor.undo(); await settled() }")))
    bench.tab.evaluate("editor.close()")
    depth = (np.add.outer(np.arange(side), np.arange(side)) * 255 // (2 * side)).astype(np.uint8)
    depth[side // 4 : side // 2, side // 4 : side // 2] = 255
    opened = bench.cost(lambda: clock.update(editor_page.open_editor(bench.tab, depth, None, variable="depth")))
    row("open, depth map", opened, clock["shown"])
    click = "([x, y]) => point('pointerdown', x, y).then(() => point('pointerup', x, y))"
    for name in ("nearer, all of it", "nearer, a region"):
        slide = bench.cost(lambda: bench.tab.evaluate(SLIDE, STEPS)) / STEPS
        row(name, 0, slide, 0)
        row("take a region", bench.cost(lambda: bench.tab.evaluate(click, [0.3 * side, 0.3 * side])))
    bench.tab.evaluate("editor.close()")


def main(sides: list[int]) -> int:
    with editor_page.serve() as url, frontend.browser() as browser:
        tab = browser.new_context(viewport=frontend.WINDOW).new_page()
        tab.goto(f"{url}/editor/")
        bench = Bench(tab)
        editor_page.open_editor(tab, scene(64), COCO)  # the modules are loaded once
        tab.evaluate("editor.close()")
        print("| side | gesture | down | a move | up |\n|---|---|---|---|---|")
        for side in sides:
            measure(bench, side)
    return 0


if __name__ == "__main__":
    raise SystemExit(main([int(word) for word in sys.argv[1:]] or list(SIDES)))
