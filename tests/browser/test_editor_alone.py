"""The map editor by mouse, pen and keyboard, in a page of its own: what it shows is what Python makes of its recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from comfyui_fgdm.maps.palettes import COCO
from tools import editor_page
from tools.editor_hand import Hand

DOG, TREE, ROAD, BIRD = (COCO.index(name) for name in ("dog", "tree", "road", "bird"))
SKY, GRASS = COCO.index("sky-other"), COCO.index("grass")


def scene(side: int = 128) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    labels = np.where(y < side // 2, SKY, GRASS)
    labels[20:100, 90:100] = TREE
    labels[(x - 40) ** 2 / 400 + (y - 90) ** 2 / 100 < 1] = DOG
    return labels


SECOND = np.where(np.add.outer(np.arange(64) // 16, np.arange(64) // 16) % 2 == 0, SKY, BIRD)


@pytest.fixture
def hand(tab: Any) -> Iterator[Hand]:
    hand = Hand(tab, scene(), second=SECOND, objects=[["dog", [DOG]], ["car", [COCO.index("car")]]])
    yield hand
    if tab.evaluate("editor.dialog.open"):
        hand.is_seen()
        tab.evaluate("editor.close()")
    assert tab.problems == []


def test_objects_by_mouse_and_keyboard(hand: Hand) -> None:
    hand.agrees()
    hand.click(40, 90)
    assert hand.operations == [], "looking at an object changes nothing"
    hand.press("ArrowRight", "ArrowRight", "Shift+ArrowUp")
    assert [one["op"] for one in hand.operations] == ["lift", "transform"], "moves in a row are one operation"
    assert hand.last == {"op": "transform", "move": [2, -10]}
    moved = scene()
    dog = moved == DOG
    assert (hand.shown[np.roll(dog, (-10, 2), (0, 1))] == DOG).all()
    assert not (hand.shown[dog & ~np.roll(dog, (-10, 2), (0, 1))] == DOG).any()
    hand.agrees()
    hand.drag((42, 80), (60, 70))
    assert hand.last == {"op": "transform", "move": [20, -20]}
    hand.drag((79.5, 79.5), (99.5, 84.5))  # the lower right corner: proportions are kept
    assert hand.last["scale"] > 1.2
    hand.agrees()
    hand.press("h", "Shift+H", "Control+d")
    hand.agrees()
    hand.press("Escape")
    hand.click(95, 40)
    hand.press("PageDown", "Shift+PageUp")
    hand.choose("road")
    hand.press("c")
    assert hand.last == {"op": "reclass", "class": "road"}
    hand.agrees()
    top = hand.tab.evaluate(
        "() => { const box = editor.view.over.getBoundingClientRect(); const [x, y] = editor.view.toScreen(95, 20)\n"
        "return [box.x + x, box.y + y - 26] }"
    )
    hand.tab.mouse.move(*top)  # the handle that turns
    hand.tab.mouse.down()
    hand.tab.mouse.move(*hand.at(127, 60), steps=5)
    hand.tab.mouse.up()
    assert abs(hand.last["rotate"] - 90) <= 2
    hand.agrees()
    hand.press("Delete")
    assert hand.last == {"op": "delete"}
    hand.agrees()
    while hand.operations:
        hand.press("Control+z")
    hand.agrees()
    hand.press(*["Control+Shift+z"] * 30)
    assert hand.last == {"op": "delete"}
    hand.agrees()


def test_drawing_by_mouse_and_pen(hand: Hand) -> None:
    hand.choose("road")
    hand.press("b")
    hand.drag((5, 110), (60, 120), (125, 112), steps=20)
    assert hand.last["op"] == "stroke"
    assert len(hand.last["points"]) < 12
    hand.agrees()
    # A stroke that leaves the canvas goes on, and what it drew before stays.
    hand.drag((100, 60), (170, 60), (170, 20), (110, 20), steps=6)
    assert hand.shown[60, 120] == ROAD
    assert hand.shown[20, 120] == ROAD
    hand.agrees()
    hand.press("e")
    hand.drag((90, 110), (120, 116))
    assert hand.last["class"] is None
    hand.agrees()
    hand.press("[", "[", "n")
    hand.drag((10, 10), (50, 40))
    hand.press("r")
    hand.drag((60, 10), (80, 25))
    assert hand.last["box"] == [60, 10, 81, 26]
    hand.press("o")
    hand.drag((10, 50), (30, 60))
    hand.press("p")
    for corner in ((50, 45), (70, 45), (60, 60)):
        hand.click(*corner)
    hand.press("Enter")
    assert hand.last["op"] == "polygon"
    hand.agrees()
    hand.choose("tree")
    hand.press("f")
    hand.click(2, 2)
    assert hand.last == {"op": "fill", "class": "tree", "at": [2, 2]}
    hand.press("i")
    hand.click(40, 90)
    assert hand.tab.evaluate("editor.model.class") == DOG
    hand.agrees()
    # A pen: pointer events of its own, a stroke that is cancelled leaves nothing.
    before, count = hand.shown, len(hand.operations)
    hand.press("b")
    hand.tab.evaluate(
        "([from, to]) => { const over = editor.view.over; over.setPointerCapture = () => {}\n"
        "const send = (type, [x, y]) => over.dispatchEvent(new PointerEvent(type, { pointerType: 'pen', pointerId: 7, clientX: x,\n"
        "  clientY: y, button: type === 'pointermove' ? -1 : 0, buttons: 1, bubbles: true, cancelable: true }))\n"
        "send('pointerdown', from); send('pointermove', to); send('pointercancel', to)\n"
        "window.left = editor.session.operations.length; window.bytes = Array.from(editor.session.preview)\n"
        "send('pointerdown', from); send('pointermove', to); send('pointerup', to); delete over.setPointerCapture }",
        [hand.at(10, 70), hand.at(30, 75)],
    )
    assert hand.tab.evaluate("window.left") == count
    assert np.array_equal(np.array(hand.tab.evaluate("window.bytes")), before.ravel())
    assert len(hand.operations) == count + 1
    hand.agrees()


def test_lasso_order_second_map_and_the_rest(hand: Hand) -> None:
    ticks = hand.tab.locator(".fgdm-objects li")
    assert [ticks.nth(k).get_attribute("class") for k in range(2)] == ["fgdm-there", "fgdm-missing"]
    hand.press("l")
    hand.drag((18, 78), (62, 78), (62, 102), (18, 102), (18, 78), steps=8)
    hand.press("Delete")
    assert [one["op"] for one in hand.operations] == ["lift", "delete"]
    assert not (hand.shown == DOG).any()
    hand.tab.wait_for_function("document.querySelectorAll('.fgdm-missing').length === 2")
    hand.press("Control+z", "l")
    hand.choose("dog")
    hand.tab.keyboard.down("Shift")
    hand.drag((40, 75), (80, 75), (80, 105), (40, 105), (40, 75), steps=8)
    hand.tab.keyboard.up("Shift")
    hand.press("Delete")
    assert hand.operations[0]["class"] == "dog"
    gone = scene() != hand.shown
    assert (scene()[gone] == DOG).all()
    assert gone.sum() > 200
    hand.agrees()
    hand.press("Control+z")
    # The dog goes where the tree is, and behind it.
    hand.press("v")
    hand.drag((40, 90), (92, 85))
    assert hand.shown[85, 95] == DOG
    hand.button("put_behind")
    hand.click(95, 40)
    assert hand.shown[85, 95] == TREE
    hand.agrees()
    canvas = hand.tab.locator(".fgdm-second")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 24 / 64, "y": box["height"] * 8 / 64})
    assert hand.last["op"] == "paste"
    assert hand.last["class"] == "bird"
    hand.agrees()
    hand.press("Escape")
    hand.choose("road")
    hand.tab.get_by_text("Make the background road").click()
    hand.agrees()
    hand.tab.get_by_text("Background of the second map").click()
    hand.agrees()
    hand.click(95, 40)
    hand.button("recolour")
    hand.agrees()
    # Zoomed in and moved, the pointer still means the same pixels.
    hand.tab.mouse.move(*hand.at(40, 90))
    hand.tab.mouse.wheel(0, -600)
    hand.press("r")
    hand.drag((36, 88), (44, 92))
    assert hand.last["box"] == [36, 88, 45, 93]
    hand.agrees()


def test_texts_keep_their_keys_and_nothing_stays_after_closing(hand: Hand) -> None:
    hand.press("r")
    hand.drag((60, 10), (80, 25))
    search = hand.tab.locator("aside input[type=search]")
    search.click()
    hand.tab.keyboard.type("brv")
    hand.press("Control+z")
    assert search.input_value() != "brv", "Ctrl+Z takes back what was typed"
    assert len(hand.operations) == 1
    assert hand.tab.evaluate("editor.model.tool") == "rectangle"
    hand.tab.evaluate("document.body.addEventListener('keydown', (event) => { window.heard = event.key })")
    hand.tab.locator(".fgdm-over").focus()
    hand.press("Control+z")
    assert hand.operations == []
    assert hand.tab.evaluate("window.heard") is None
    hand.press("Control+y", "Escape", "Escape", "Escape")
    text = hand.recipe
    assert hand.tab.evaluate("editor.dialog.open"), "no key loses edits"
    hand.button("done")
    hand.tab.wait_for_function("!document.querySelector('.fgdm-editor')")
    assert hand.tab.evaluate("results") == [text]
    hand.press("r", "Control+z")
    assert hand.tab.evaluate("window.heard") == "z"
    assert hand.recipe == text


def test_a_recipe_of_another_map_is_asked_about(tab: Any) -> None:
    made = json.dumps(
        {
            "version": 1,
            "variable": "segmentation",
            "map": {"sha256": "1" * 64, "width": 64, "height": 64, "palette": "coco183"},
            "operations": [
                {"op": "lift", "id": "a", "class": "dog", "at": [20, 45]},
                {"op": "transform", "target": "a", "move": [20, 0]},
                {"op": "delete", "target": "a"},
                {"op": "reclass", "target": "a", "class": "cat"},
            ],
        }
    )
    chinese = json.loads((editor_page.ROOT / "locales" / "zh" / "main.json").read_text("utf-8"))["fgdmEditor"]
    hand = Hand(tab, scene(), recipe=made, words=chinese)
    banner, done = hand.tab.locator(".fgdm-banner"), hand.tab.locator('[data-action="done"]')
    assert chinese["changed"] in banner.inner_text()
    assert done.is_disabled()
    assert hand.tab.locator(".fgdm-note").filter(has_text="reclass").count() == 1
    hand.button("start_again")
    assert hand.recipe == ""
    hand.press("Control+z")
    assert len(hand.operations) == 4, "starting again can be undone"
    hand.tab.evaluate("editor.close()")
    hand = Hand(tab, scene(), recipe=made)
    hand.button("apply_to_new")
    assert not banner.is_visible()
    assert json.loads(hand.recipe)["map"] == {"sha256": "0" * 64, "width": 128, "height": 128, "palette": "coco183"}
    assert hand.operations[1]["move"] == [40, 0]
    hand.agrees()
    hand.tab.evaluate("editor.close()")
    hand = Hand(tab, scene(), recipe="{broken")
    assert done.is_disabled()
    hand.button("start_again")
    assert not done.is_disabled()
    hand.tab.evaluate("editor.close()")
    assert tab.problems == []
