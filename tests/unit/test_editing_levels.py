"""Recipes on depth maps and sketches that are small enough to be written down."""

from __future__ import annotations

import numpy as np
import pytest

from comfyui_fgdm.editing import recipe
from comfyui_fgdm.editing.applying import TABLES, edit_levels
from comfyui_fgdm.editing.keys import RecipeError


def edit(variable, levels, *operations, **more):
    edited = edit_levels(levels, recipe.check(operations, TABLES[variable]), variable, **more)
    assert not edited.skipped, edited.skipped
    return edited.values


@pytest.fixture
def ramp() -> np.ndarray:
    """Far at the left, with a nearer 2 x 2 block of uneven levels."""
    levels = np.tile(np.arange(0, 80, 10, dtype=np.uint8), (5, 1))
    levels[1:3, 2:4] = [[200, 205], [208, 203]]
    return levels


def test_an_object_comes_nearer_and_keeps_its_shape(ramp):
    lift = {"op": "lift", "id": "a", "at": [2, 1]}
    nearer = edit("depth", ramp, lift, {"op": "shift", "target": "a", "by": 50})
    wanted = ramp.copy()
    wanted[1:3, 2:4] = [[250, 255], [255, 253]]
    assert np.array_equal(nearer, wanted)
    moved = edit("depth", ramp, {**lift, "fill": 7}, {"op": "transform", "target": "a", "move": [3, 1]})
    wanted = ramp.copy()
    wanted[1:3, 2:4] = 7
    wanted[2:4, 5:7] = [[200, 205], [208, 203]]
    assert np.array_equal(moved, wanted) and moved.dtype == np.uint8


def test_the_whole_map_and_gradients(ramp):
    assert np.array_equal(edit("depth", ramp, {"op": "shift", "by": -40}), np.maximum(ramp.astype(int) - 40, 0))
    across = edit("depth", ramp, {"op": "gradient", "from": [1, 0], "to": [5, 0], "values": [100, 200]})
    assert across[3].tolist() == [100, 100, 125, 150, 175, 200, 200, 200]
    box = [[0, 0], [1, 0], [1, 4], [0, 4]]
    part = edit("depth", ramp, {"op": "gradient", "from": [0, 0], "to": [0, 4], "values": [0, 200], "within": box})
    assert part[:, 1].tolist() == [0, 50, 100, 150, 200] and np.array_equal(part[:, 2:], ramp[:, 2:])
    back = edit(
        "depth", ramp, {"op": "shift", "by": 9}, {"op": "stroke", "value": None, "size": 1, "points": [[0, 0], [7, 0]]}
    )
    assert np.array_equal(back[0], ramp[0]) and np.array_equal(back[1:], np.minimum(ramp[1:].astype(int) + 9, 255))


def test_lines_of_a_sketch_are_taken_without_what_is_between_them():
    sketch = np.zeros((12, 20), dtype=np.uint8)
    sketch[3, 2:9], sketch[4, 2:9], sketch[8, 5:7] = 255, 70, 200
    sketch[2, 2:9] = 40  # too faint to go with the line at once
    moved = [{"op": "transform", "target": "a", "move": [10, 0]}]
    wanted = sketch.copy()
    wanted[3:5, 2:9], wanted[3, 12:19], wanted[4, 12:19] = 0, 255, 70
    assert np.array_equal(edit("sketch", sketch, {"op": "lift", "id": "a", "at": [4, 3]}, *moved), wanted)
    outline = {"op": "lift", "id": "a", "within": [[0, 0], [10, 0], [10, 10], [0, 10]]}
    under = {"op": "rectangle", "box": [11, 0, 13, 12], "value": 9}
    whole = edit("sketch", sketch, under, outline, *moved)
    wanted = np.zeros_like(sketch)
    wanted[:, 11:13] = 9  # shows between the lines
    wanted[:, 10:] = np.maximum(wanted[:, 10:], sketch[:, :10])
    assert np.array_equal(whole, wanted)
    for gone, why in (([0, 0], "no line at the point"), ([50, 0], "outside")):
        report = edit_levels(sketch, recipe.check([{"op": "lift", "id": "a", "at": gone}], TABLES["sketch"]), "sketch")
        assert why in report.skipped[0][1]


def test_halves_are_rounded_up_as_the_editor_does():
    drawn = edit("depth", np.zeros((2, 9), dtype=np.uint8), {"op": "line", "points": [[0, 0], [8, 0]], "value": 12.5})
    assert drawn[0, 0] == 13


def test_a_sketch_is_drawn_erased_and_written_on():
    blank = np.zeros((40, 90), dtype=np.uint8)
    line = {"op": "line", "points": [[0, 5], [89, 5]]}
    drawn = edit("sketch", blank, line, {"op": "erase", "size": 1, "points": [[10, 5], [19, 5]]})
    assert drawn[5].tolist() == [255] * 10 + [0] * 10 + [255] * 70 and not drawn[6:].any()
    word = {"op": "text", "text": "HI", "at": [10, 8], "size": 20}
    written = edit("sketch", blank, word)
    ys, xs = np.nonzero(written)
    assert (int(xs.min()), int(ys.min())) == (10, 8) and 12 <= ys.max() - ys.min() + 1 <= 20
    bars = np.flatnonzero(
        (written == 255).sum(0) >= ys.max() - ys.min() - 1
    )  # upright lines: two of the H, one of the I
    assert 1 + int((np.diff(bars) > 1).sum()) == 3
    half = edit("sketch", blank, {**word, "value": 100})
    assert half.max() == 100 and np.array_equal(half > 0, written > 0)
    turned = edit("sketch", blank, {**word, "rotate": 180})
    assert np.array_equal(
        np.flip(turned[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]),
        written[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1],
    )


@pytest.mark.parametrize(
    ("variable", "operation", "told"),
    [
        ("depth", {"op": "line", "points": [[1, 1]]}, "'value' is missing"),
        ("depth", {"op": "text", "text": "a", "at": [1, 1], "size": 9}, "unknown operation 'text'"),
        ("depth", {"op": "lift", "id": "a"}, "give one of 'at', 'within'"),
        ("depth", {"op": "shift", "by": 300}, "'by': expected a number from -255 to 255"),
        ("sketch", {"op": "line", "points": [[1, 1]], "class": "dog"}, "unknown key 'class'"),
        ("sketch", {"op": "text", "text": "a" * 501, "at": [1, 1], "size": 9}, "expected a text of 1 to 500"),
        ("sketch", {"op": "text", "text": "a", "at": [1, 1], "size": 9, "font": "x.ttf"}, "font files cannot be read"),
    ],
)
def test_what_is_wrong_is_said(variable, operation, told):
    with pytest.raises(RecipeError) as error:
        edit(variable, np.zeros((9, 9), dtype=np.uint8), operation)
    assert told in str(error.value)


def test_text_beyond_all_measure_is_left_out():
    huge = recipe.check([{"op": "text", "text": "a" * 500, "at": [0, 0], "size": 10_000}], TABLES["sketch"])
    edited = edit_levels(np.zeros((9, 9), dtype=np.uint8), huge, "sketch")
    assert edited.skipped[0][1] == "the text is far larger than the map" and not edited.values.any()
