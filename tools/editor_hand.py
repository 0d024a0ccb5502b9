"""A user at the map editor, in a page of its own: what they do by mouse and keyboard, and what is seen then."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from comfyui_fgdm.editing import recipe
from comfyui_fgdm.editing.applying import TABLES, edit_labels, edit_levels, edit_people
from comfyui_fgdm.maps import pose_reading
from comfyui_fgdm.maps.palettes import COCO
from comfyui_fgdm.maps.pose_reading import PeopleRead
from tools import editor_page


class Hand:
    """A user at an editor that is open."""

    def __init__(self, tab: Any, labels: np.ndarray, variable: str = "segmentation", **more: Any) -> None:
        self.tab, self.labels, self.second, self.variable = tab, labels, more.get("second"), variable
        self.people: PeopleRead | None = more.get("people")
        palette = COCO if variable == "segmentation" else None
        editor_page.open_editor(tab, labels, palette, variable=variable, **more)

    def at(self, x: float, y: float) -> list[float]:
        """Where the middle of a pixel of the map is on the page."""
        return self.tab.evaluate(
            "([x, y]) => { const { over, ratio } = editor.view; const box = over.getBoundingClientRect()\n"
            "const [left, top] = editor.view.toScreen(x + 0.5, y + 0.5); return [box.x + left / ratio, box.y + top / ratio] }",
            [x, y],
        )

    def drag(self, *points: tuple[float, float], steps: int = 4) -> None:
        mouse = self.tab.mouse
        mouse.move(*self.at(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(*point), steps=steps)
        mouse.up()

    def click(self, x: float, y: float) -> None:
        self.tab.mouse.click(*self.at(x, y))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def button(self, action: str) -> None:
        self.tab.locator(f'[data-action="{action}"]').click()

    def choose(self, name: str) -> None:
        self.tab.locator("aside input[type=search]").fill(name)
        self.press("Enter")
        self.tab.locator(".fgdm-over").focus()

    @property
    def recipe(self) -> str:
        return self.tab.evaluate("editor.recipe")

    @property
    def operations(self) -> list[dict[str, Any]]:
        return json.loads(self.recipe)["operations"] if self.recipe else []

    @property
    def last(self) -> dict[str, Any]:
        return {key: value for key, value in self.operations[-1].items() if key not in ("id", "target")}

    @property
    def shown(self) -> np.ndarray:
        """The preview's class indices."""
        return self._bytes("editor.session.preview", np.int16).reshape(self.labels.shape)

    def _bytes(self, array: str, kind: Any) -> np.ndarray:
        """A typed array of the page."""
        text = self.tab.evaluate(
            "() => { const bytes = new Uint8Array((ARRAY).slice().buffer); let text = ''\n"
            "for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))\n"
            "return btoa(text) }".replace("ARRAY", array)
        )
        return np.frombuffer(base64.b64decode(text), dtype=kind)

    @property
    def drawn(self) -> np.ndarray:
        """What stands in the canvas of the map, uint8 [H, W, 4]."""
        self.tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        height, width = self.labels.shape
        pixels = f"editor.view.map.getContext('2d').getImageData(0, 0, {width}, {height}).data"
        return self._bytes(pixels, np.uint8).reshape(height, width, 4)

    def of_python(self) -> np.ndarray:
        operations = recipe.check(recipe.read(self.recipe).operations, TABLES[self.variable], COCO)
        if self.people is not None:
            bodies = edit_people(self.people.bodies, operations).values
            return pose_reading.indices(self.people.draw(self.labels.shape[0], self.labels.shape[1], bodies))
        if self.variable != "segmentation":
            return edit_levels(self.labels, operations, self.variable).values
        return edit_labels(self.labels, operations, COCO, second=self.second).values

    def agrees(self) -> None:
        """The preview and Python say the same of every pixel."""
        assert np.array_equal(self.shown, self.of_python())

    def is_seen(self) -> None:
        """The canvas has the exact colour of every class, or the grey of every level."""
        want = self.of_python()
        if self.people is not None:
            assert np.array_equal(self.drawn[..., :3], np.array(pose_reading.INDICES)[want])
            return
        greys = [(level, level, level, 255) for level in range(256)]
        classes = [(*label.rgb, 255) for label in COCO.labels]
        colours = np.array(classes if self.variable == "segmentation" else greys, dtype=np.uint8)
        assert np.array_equal(self.drawn, colours[want])
