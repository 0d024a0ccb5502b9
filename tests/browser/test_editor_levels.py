"""The map editor on depth maps and sketches, in a page of its own: what it shows is what Python makes of its recipe."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tools.editor_hand import Hand


def slide(hand: Hand, name: str, value: int) -> None:
    """Set a slider as a user does who lets go of it."""
    hand.tab.locator(f'[data-level="{name}"]').evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); one.dispatchEvent(new Event('change')) }",
        value,
    )


def test_depth_maps_nearer_farther_gradient_and_brush(tab: Any) -> None:
    y, x = np.mgrid[:128, :128]
    depth = np.where((x - 40) ** 2 + (y - 60) ** 2 < 400, 180 + (x - 40) // 5, y).astype(np.uint8)
    hand = Hand(tab, depth, variable="depth")
    assert "reclass" not in tab.locator("aside").inner_html()
    hand.click(40, 60)
    assert hand.operations == []
    slide(hand, "shift", 40)
    assert [one["op"] for one in hand.operations] == ["lift", "shift"]
    assert hand.shown[60, 40] == 220
    hand.button("farther")
    hand.press(".", ".")
    assert hand.last == {"op": "shift", "by": 48}
    hand.drag((40, 60), (90, 50))
    hand.drag((110.5, 70.5), (120.5, 80.5))  # its lower right corner
    hand.agrees()
    hand.press("Escape")
    hand.press(",")
    assert hand.last == {"op": "shift", "by": -8}, "nothing is selected: the whole map"
    hand.press("l")
    hand.drag((5, 100), (60, 100), (60, 125), (5, 125), (5, 100), steps=8)
    slide(hand, "level", 20)
    slide(hand, "end", 240)
    hand.press("g")
    hand.drag((5, 100), (60, 125))
    assert hand.last["values"] == [20, 240]
    assert len(hand.last["within"]) >= 4
    hand.agrees()
    hand.press("b")
    hand.drag((5, 5), (120, 12), steps=10)
    assert hand.last["value"] == 20
    hand.press("e")
    hand.drag((40, 2), (44, 20))
    assert hand.last["value"] is None
    assert (hand.shown[6:12, 42] == depth[6:12, 42]).all()
    hand.agrees()
    hand.press("i")
    hand.click(5, 90)
    assert tab.evaluate("editor.model.class") == hand.shown[90, 5]
    hand.is_seen()
    while hand.operations:
        hand.press("Control+z")
    assert np.array_equal(hand.shown, depth)
    hand.press(*["Control+Shift+z"] * 20)
    hand.agrees()
    tab.evaluate("editor.close()")
    assert tab.problems == []


def test_a_sketch_pen_eraser_and_a_typed_word(tab: Any) -> None:
    sketch = np.zeros((128, 128), dtype=np.uint8)
    sketch[20:90, 30] = 255
    hand = Hand(tab, sketch, variable="sketch")
    hand.click(31, 60)  # a pixel beside the line
    hand.press("ArrowRight", "ArrowRight")
    assert hand.shown[60, 32] == 255
    assert hand.shown[60, 30] == 0
    hand.press("Escape", "b")
    hand.drag((5, 110), (60, 120), (125, 112), steps=20)
    hand.press("e")
    hand.drag((50, 110), (70, 125))
    assert hand.last["op"] == "erase"
    hand.press("u")
    hand.drag((30, 20), (30, 40))
    assert hand.last["value"] is None
    assert hand.shown[30, 30] == 255
    hand.agrees()
    hand.press("t")
    tab.keyboard.type("OPEN")
    tab.locator('[data-text="size"]').fill("21")
    tab.wait_for_function("editor.model.writtenAhead()")
    hand.click(50, 50)
    tab.wait_for_function("editor.session.operations.at(-1).op === 'text'")
    assert hand.last == {"op": "text", "text": "OPEN", "at": [50, 50], "size": 21}
    hand.agrees()
    hand.drag((80, 58), (70, 88))  # between its letters, too
    hand.press("Control+d", "Delete")
    assert [one["op"] for one in hand.operations[-3:]] == ["transform", "duplicate", "delete"]
    hand.drag((70, 88), (70, 70))
    tab.locator('[data-text="text"]').fill("CLOSED")
    tab.wait_for_function("editor.session.operations.some(({ text }) => text === 'CLOSED')")
    hand.agrees()
    assert tab.locator(".fgdm-layers").get_by_text("CLOSED").count() == 1
    tab.locator('[data-text="file"]').set_input_files({"name": "b.ttf", "mimeType": "font/ttf", "buffer": b"x"})
    tab.wait_for_function("document.querySelector('[data-text=\"font\"]').value === 'b.ttf'")
    tab.wait_for_function("editor.session.operations.some(({ font }) => font === 'b.ttf')")
    tab.locator(".fgdm-over").focus()
    hand.press("Control+z")
    assert not any("font" in one for one in hand.operations)
    hand.agrees()
    hand.is_seen()
    text = hand.recipe
    hand.button("done")
    tab.wait_for_function("!document.querySelector('.fgdm-editor')")
    assert json.loads(text)["variable"] == "sketch"
    assert tab.problems == []
