"""The map editor on pose maps, in a page of its own: what it shows is what Python makes of its recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from comfyui_fgdm.editing.pose import STANDING
from comfyui_fgdm.maps import pose_bodies, pose_reading
from comfyui_fgdm.maps.pose import JOINTS
from tools.editor_hand import Hand

SIDE = 256


def standing(x: float, y: float, height: float) -> pose_bodies.Body:
    return tuple((x + dx * height / 1000, y + dy * height / 1000) for dx, dy in STANDING)


@pytest.fixture
def hand(tab: Any) -> Iterator[Hand]:
    bodies = (standing(70.5, 130.5, 200), standing(180.5, 140.5, 160))
    people = pose_reading.PeopleRead(bodies, 1.0, 0.0)
    hand = Hand(
        tab,
        pose_reading.indices(pose_reading.PeopleRead(tuple(bodies)).draw(SIDE, SIDE)),
        variable="pose",
        people=people,
    )
    yield hand
    if tab.evaluate("editor.dialog.open"):
        hand.is_seen()
        tab.evaluate("editor.close()")
    assert tab.problems == []


def joint(hand: Hand, person: int, name: str) -> tuple[float, float]:
    """The pixel of a joint, as it is shown."""
    x, y = hand.tab.evaluate("([k, j]) => editor.session.state.layers[k].joints[j]", [person, JOINTS.index(name)])
    return x - 0.5, y - 0.5


def test_people_are_moved_bent_turned_and_flipped(tab: Any, hand: Hand) -> None:
    hand.agrees()
    wrist = joint(hand, 0, "left wrist")
    hand.drag(wrist, (wrist[0] + 20, wrist[1] - 60))
    assert [one["op"] for one in hand.operations] == ["lift", "joint"]
    assert hand.last == {
        "op": "joint",
        "joint": "left wrist",
        "to": pytest.approx([wrist[0] + 20, wrist[1] - 60], abs=1),
    }
    assert joint(hand, 0, "left wrist") == pytest.approx((wrist[0] + 20, wrist[1] - 60), abs=1)
    hand.agrees()
    elbow, wrist = joint(hand, 0, "right elbow"), joint(hand, 0, "right wrist")
    tab.keyboard.down("Shift")
    hand.drag(elbow, (elbow[0] - 5, elbow[1] - 30))
    tab.keyboard.up("Shift")
    assert hand.last["follow"] is True
    assert joint(hand, 0, "right wrist") == pytest.approx((wrist[0] - 5, wrist[1] - 30), abs=1)
    hand.press("ArrowLeft", "ArrowLeft", "Shift+ArrowDown")
    assert joint(hand, 0, "right elbow") == pytest.approx((elbow[0] - 7, elbow[1] - 20), abs=1)
    hand.press("Delete")
    assert hand.last == {"op": "hide", "joint": "right elbow"}
    hand.agrees()
    tab.locator('[data-missing="right elbow"]').click()
    assert hand.last["op"] == "joint"
    assert tab.locator("[data-missing]").count() == 0
    hand.agrees()
    hand.press("Escape")
    knee, ankle = joint(hand, 1, "left knee"), joint(hand, 1, "left ankle")
    middle = (knee[0] + ankle[0]) / 2, (knee[1] + ankle[1]) / 2
    hand.drag(middle, (middle[0] + 12, middle[1] - 8))
    assert hand.last == {"op": "transform", "move": [12, -8]}
    assert joint(hand, 1, "left knee") == pytest.approx((knee[0] + 12, knee[1] - 8))
    wrist = joint(hand, 1, "left wrist")
    hand.drag(wrist, (wrist[0] + 25, wrist[1] - 40))
    wrist, middle = joint(hand, 1, "left wrist"), tab.evaluate("editor.model.selection.layer.centre[0]") - 0.5
    hand.press("h")
    assert joint(hand, 1, "right wrist") == pytest.approx((2 * middle - wrist[0], wrist[1])), (
        "left and right are exchanged"
    )
    hand.agrees()
    box = tab.evaluate("editor.model.selection.layer.box")
    hand.drag((192, box[1] - 11), (230, 100), steps=8)  # the handle that turns stands about here
    hand.press("Control+d")
    hand.agrees()


def test_people_are_added_and_deleted_and_all_is_undone(tab: Any, hand: Hand) -> None:
    hand.press("a")
    hand.drag((120, 40), (130, 200))
    assert hand.last == {"op": "add", "at": [125, 120], "size": 160}
    assert tab.evaluate("editor.model.tool") == "people"
    hand.press("a")
    hand.click(30, 60)
    assert hand.last == {"op": "add", "at": [30, 60], "size": round(0.6 * SIDE)}
    assert tab.locator("[data-person]").count() == 4
    hand.agrees()
    tab.locator('[data-person="0"]').click()
    hand.button("delete")
    assert tab.locator("[data-person]").count() == 3
    hand.press("PageUp")  # means nothing here
    hand.agrees()
    assert "put_behind" not in tab.locator("aside").inner_html()
    text = hand.recipe
    assert json.loads(text)["variable"] == "pose"
    while hand.operations:
        hand.press("Control+z")
    assert np.array_equal(hand.shown, hand.labels)
    hand.press(*["Control+Shift+z"] * 6)
    assert hand.recipe == text
    hand.button("done")
    tab.wait_for_function("!document.querySelector('.fgdm-editor')")
    assert tab.evaluate("results") == [text]
