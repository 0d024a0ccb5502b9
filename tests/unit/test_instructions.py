"""Sentences on a map with known things: what they become, and where things are afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from comfyui_fgdm.editing import recipe
from comfyui_fgdm.editing.applying import edit_labels
from comfyui_fgdm.editing.instructions import InstructionError, understand
from comfyui_fgdm.editing.segmentation import TABLE
from comfyui_fgdm.maps.palettes import COCO

SIZE = 100
BOXES = {  # (left, top, right, bottom)
    "tree": (70, 30, 80, 60), "kite": (40, 5, 46, 11), "person": (10, 50, 20, 80), "dog": (25, 70, 35, 76), "horse": (55, 60, 67, 72),
    "boat": (84, 56, 96, 62), "umbrella": (30, 20, 36, 24),
}  # fmt: skip


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Sky over grass, the things above, and a second, smaller person at the right: (90, 80, 96, 98)."""
    found = np.full((SIZE, SIZE), COCO.index("sky-other"))
    found[50:] = COCO.index("grass")
    for name, (left, top, right, bottom) in BOXES.items():
        found[top:bottom, left:right] = COCO.index(name)
    found[80:98, 90:96] = COCO.index("person")
    return found


def done(labels, text):
    """(the edited map, what moved by id)"""
    understood = understand(text, labels, COCO)
    assert not understood.skipped, understood.skipped
    edited = edit_labels(labels, recipe.check(understood.operations, TABLE, COCO), COCO)
    assert not edited.skipped
    return edited.values, {one["id"]: one["to"] for one in edited.moved}


def box_of(labels, name):
    ys, xs = np.nonzero(labels == COCO.index(name))
    return (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) if len(xs) else None


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("Make the dog twice as large.", "dog", (20, 64, 40, 76)),
        ("make the dog three times taller", "dog", (25, 58, 35, 76)),
        ("make the horse half as wide", "horse", (58, 60, 64, 72)),
        ("double the dog", "dog", (20, 64, 40, 76)),
        ("shrink the horse by 50%", "horse", (58, 66, 64, 72)),
        ("enlarge the dog by 100 percent", "dog", (20, 64, 40, 76)),
        ("Please remove the umbrella!", "umbrella", None),
        ("get rid of the umbrella", "umbrella", None),
        ("put the kite left of the tree", "kite", (64, 42, 70, 48)),
        ("place the kite to the right of the tree", "kite", (80, 42, 86, 48)),
        ("put the dog under the umbrella", "dog", (25, 24, 35, 30)),
        ("put the dog next to the horse", "dog", (45, 70, 55, 76)),
        ("move the boat up", "boat", (84, 41, 96, 47)),
        ("move the boat up by 20 pixels", "boat", (84, 36, 96, 42)),
        ("move the boat 5 px to the left", "boat", (79, 56, 91, 62)),
        ("move the boat down a lot", "boat", (84, 86, 96, 92)),
        ("raise the boat by 10%", "boat", (84, 46, 96, 52)),
        ("move the dog into the bottom right corner", "dog", (90, 94, 100, 100)),
        ("put the dog in the middle", "dog", (45, 47, 55, 53)),
        ("move the puppy to the left edge", "dog", (0, 70, 10, 76)),
        ("rotate the dog by 90 degrees", "dog", (27, 68, 33, 78)),
        ("move the dog up. Then move it left by 5 pixels", "dog", (20, 55, 30, 61)),
        ("move the dog up by 5 px and make it twice as large", "dog", (20, 59, 40, 71)),
    ],
)
def test_things_end_where_the_words_say(labels, text, name, wanted):
    assert box_of(done(labels, text)[0], name) == wanted


def test_two_of_a_kind(labels):
    edited, moved = done(labels, "swap the two people")
    assert moved == {"person 1": [88, 70, 98, 100], "person 2": [12, 56, 18, 74]}
    assert done(labels, "swap the dog and the horse")[1] == {"dog 1": [56, 63, 66, 69], "horse 1": [24, 67, 36, 79]}
    assert box_of(done(labels, "remove the right person")[0], "person") == BOXES["person"]
    assert box_of(done(labels, "remove the smallest person")[0], "person") == BOXES["person"]
    assert box_of(done(labels, "delete the man")[0], "person") == (90, 80, 96, 98)
    assert box_of(done(labels, "remove all people")[0], "person") is None
    assert box_of(done(labels, "remove the people, the dog and the kite")[0], "kite") is None


def test_classes_change(labels):
    edited = done(labels, "change the horse into a zebra")[0]
    assert box_of(edited, "zebra") == BOXES["horse"] and box_of(edited, "horse") is None
    assert np.array_equal(done(labels, "make the horse a zebra")[0], edited)
    assert np.array_equal(done(labels, "Replace the horse with a zebra")[0], edited)
    things = np.isin(labels, COCO.things)
    beach = done(labels, "replace the background with a beach")[0]
    assert np.array_equal(beach, np.where(things, labels, COCO.index("sand")))


def test_flips_copies_and_order(labels):
    lopsided = labels.copy()
    lopsided[70:73, 25:30] = COCO.index("grass")
    edited = done(lopsided, "flip the dog")[0]
    assert np.array_equal((edited == COCO.index("dog"))[70:76, 25:35], (lopsided == COCO.index("dog"))[70:76, 34:24:-1])
    assert done(labels, "copy the dog to the right")[1] == {
        "dog 1": [25, 70, 35, 76],
        "dog 1, copy 1": [35, 70, 45, 76],
    }
    assert done(labels, "add another dog")[1]["dog 1, copy 1"] == [35, 70, 45, 76]
    tree, dog = COCO.index("tree"), COCO.index("dog")
    front = done(labels, "put the dog in the middle; move it right by 25 px; bring it in front of the tree")[0]
    assert (front[50, 70:80] == dog).all()
    behind = done(labels, "put the dog in the middle; move it right by 25 px; send it behind the tree")[0]
    assert (behind[50, 70:80] == tree).all()
    assert box_of(done(labels, "put the dog in front of the tree")[0], "dog") == (70, 54, 80, 60)


def test_what_is_not_there_is_left_out_and_said(labels):
    understood = understand("remove the elephant. move the dog up", labels, COCO)
    ((sentence, why),) = understood.skipped
    assert sentence == "remove the elephant" and "there is no elephant on the map; there is sky-other, grass" in why
    assert [one["op"] for one in understood.operations] == ["lift", "transform"]
    assert "only 2 of" in understand("remove the three people", labels, COCO).skipped[0][1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dance with the dog", "'dance with the dog' was not understood. What can be said: remove X"),
        ("remove the flurb", "'the flurb' is no class of 'coco183'"),
        ("move the dog", "'move the dog' was not understood"),
        ("move it up", "'it' is no class"),
        ("move the dog up. sing.", "'sing' was not understood"),
        ("remove x. " * 1001, "at most 1000"),
        ("put " + "the dog left of " * 1000 + "it", "... was not understood. What can be said"),
        ("a" * 100_001, "at most 100000 are read"),
    ],
)
def test_what_is_not_understood_is_said(labels, text, told):
    with pytest.raises(InstructionError) as error:
        understand(text, labels, COCO)
    assert told in str(error.value)


def test_nothing_said_does_nothing(labels):
    assert understand(" \n. ", labels, COCO).operations == ()
