"""Recipes on label maps that are small enough to be written down: every expected pixel is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.editing import recipe
from comfyui_fgdm.editing.applying import edit_labels, run
from comfyui_fgdm.editing.keys import RecipeError
from comfyui_fgdm.editing.scene import Scene
from comfyui_fgdm.editing.segmentation import TABLE
from comfyui_fgdm.maps.palette_file import Label, Palette

NAMES = {".": "void", "s": "sky", "g": "grass", "d": "dog", "p": "person", "r": "road"}
LETTERS = "".join(NAMES)
PALETTE = Palette(
    "six", tuple(Label(k, name, (k * 40, 0, 0)) for k, name in enumerate(NAMES.values())), 0, (), (3, 4)
)  # dog and person are things


def drawn(text: str) -> np.ndarray:
    return np.array([[LETTERS.index(one) for one in row] for row in text.split()])


def shown(labels: np.ndarray) -> list[str]:
    return ["".join(LETTERS[one] for one in row) for row in labels]


def edit(labels, *operations: dict, **more):
    return edit_labels(labels, recipe.check(operations, TABLE, PALETTE), PALETTE, **more)


def after(text: str, *operations: dict, **more) -> list[str]:
    return shown(edit(drawn(text), *operations, **more).values)


MAP = """
ssssssss
sddssssp
sdgsssss
sddsssss
gggggggg
"""
DOG = {"op": "lift", "id": "d", "class": "dog", "at": [1, 2]}


def move(dx: float, dy: float, target: str = "d") -> dict:
    return {"op": "transform", "target": target, "move": [dx, dy]}


def test_nothing_to_do_changes_nothing_and_what_came_in_stays():
    labels = np.random.default_rng(0).integers(0, 6, (9, 7))
    before = labels.copy()
    assert np.array_equal(edit(labels).values, labels)
    edit(labels, {"op": "recolour", "from": "sky", "to": "road"}, {"op": "background", "class": "grass"})
    assert np.array_equal(labels, before)


def test_a_region_keeps_its_hole_and_the_place_it_left_takes_its_surroundings():
    assert after(MAP, {**DOG, "fill": "road"}, move(3, 0)) == [
        "ssssssss",
        "srrsddsp",
        "srgsdsss",
        "srrsddss",
        "gggggggg",
    ]
    assert after("gddddr", {"op": "lift", "id": "d", "class": "dog"}, {"op": "delete", "target": "d"}) == ["gggrrr"]
    crowd = "gppddppppppppppppprr"  # neither others nor void grow into the hole, however far the ground is
    assert after(crowd, {"op": "lift", "id": "d", "class": "dog"}, {"op": "delete", "target": "d"}) == [
        crowd.replace("d", "g")
    ]
    assert after("pddp", {"op": "lift", "id": "d", "class": "dog"}, {"op": "delete", "target": "d"}) == ["pppp"]
    assert after("dd", {"op": "lift", "id": "d", "class": "dog"}, {"op": "delete", "target": "d"}) == [".."]


def test_moving_out_of_the_map_and_back_loses_nothing():
    assert after(MAP, DOG, move(-7, 2), move(7, -2)) == shown(drawn(MAP))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"flip": "horizontal"}, ["dd", "gd", "dd"]),
        ({"flip": "vertical"}, ["dd", "dg", "dd"]),
        ({"rotate": 180}, ["dd", "gd", "dd"]),
        ({"flip": "horizontal", "rotate": -180}, ["dd", "dg", "dd"]),
    ],
)
def test_flips_and_half_turns_are_exact(change, wanted):
    rows = after(MAP, {**DOG, "fill": "grass"}, {"op": "transform", "target": "d", **change})
    assert [row[1:3] for row in rows[1:4]] == wanted


def test_a_quarter_turn_goes_clockwise_and_four_of_them_are_none():
    text = "sssss sddds sdsss sssss"
    lift = {"op": "lift", "id": "d", "class": "dog", "at": [1, 1], "fill": "sky"}
    quarter = {"op": "transform", "target": "d", "rotate": 90}
    # 3 x 2 pixels about (2.5, 2): 2 x 3 from 1.5 to 3.5 and .5 to 3.5, so both edges of pixels are halved and rounded alike
    turned = drawn("".join(" " + row for row in after(text, lift, quarter)).strip())
    ys, xs = np.nonzero(turned == LETTERS.index("d"))
    assert shown(turned[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]) == ["dd", "sd", "sd"]
    assert after(text, lift, *[quarter] * 4) == shown(drawn(text))


def test_doubling_makes_four_pixels_of_each_and_halving_brings_them_back():
    text = "ssssss ssssss ssdsss ssddss ssssss ssssss"
    lift = {"op": "lift", "id": "d", "class": "dog"}
    double = {"op": "transform", "target": "d", "scale": 2}
    assert after(text, lift, double) == ["ssssss", "sddsss", "sddsss", "sdddds", "sdddds", "ssssss"]
    assert after(text, lift, double, {"op": "transform", "target": "d", "scale": 0.5}) == shown(drawn(text))
    wide = {"op": "transform", "target": "d", "scale": [2, 1]}
    assert after(text, lift, wide) == ["ssssss", "ssssss", "sddsss", "sdddds", "ssssss", "ssssss"]


def test_small_again_after_being_tiny_loses_nothing():
    tiny, back = ({"op": "transform", "target": "d", "scale": scale} for scale in (0.01, 100))
    assert after(MAP, DOG, tiny, back) == shown(drawn(MAP))


def test_order_decides_who_covers_whom():
    text = "sddpps sddpps"
    lifts = [{"op": "lift", "id": name, "class": name, "fill": "sky"} for name in ("dog", "person")]
    together = [*lifts, move(1, 0, "dog")]
    assert after(text, *together)[0] == "ssdpps"
    assert after(text, *together, {"op": "order", "target": "dog", "to": "front"})[0] == "ssddps"
    assert after(text, *together, {"op": "order", "target": "person", "behind": "dog"})[0] == "ssddps"
    assert after(text, *together, {"op": "order", "target": "dog", "before": "person"})[0] == "ssddps"
    over = {"op": "rectangle", "class": "road", "box": [0, 0, 6, 1]}
    assert after(text, *together, over)[0] == "rrrrrr"
    assert after(text, *together, over, {"op": "order", "target": "dog", "to": "front"})[0] == "rrddrr"
    assert after(text, *together, over, {"op": "order", "target": "dog", "to": "forward"})[0] == "rrrrrr"
    backward = {"op": "order", "target": "person", "to": "backward"}
    assert after(text, *together, backward, {"op": "order", "target": "person", "to": "forward"})[0] == "ssdpps"


def test_duplicate_delete_and_reclass():
    text = "sdssp sdssp"
    lift = {"op": "lift", "id": "d", "class": "dog"}
    copy = {"op": "duplicate", "target": "d", "id": "e", "move": [2, 0]}
    assert after(text, lift, copy)[0] == "sdsdp"
    assert after(text, lift, copy, {"op": "delete", "target": "d"})[0] == "sssdp"
    assert after(text, lift, {"op": "reclass", "target": "d", "class": "person"})[0] == "spssp"


def test_what_lies_in_an_outline_moves_as_it_is():
    text = "sssss sdpss sssss"
    lift = {"op": "lift", "id": "a", "within": [[1, 0], [2, 0], [2, 1], [1, 1]], "fill": "grass"}
    assert after(text, lift, move(2, 1, "a")) == ["sggss", "sggss", "sssdp"]
    only = {"op": "lift", "id": "a", "class": "dog", "within": [[0, 0], [4, 0], [4, 2], [0, 2]]}
    assert after(text, only, move(2, 1, "a")) == ["sssss", "sspss", "sssds"]


def test_the_nearest_region_stands_in_for_one_that_is_not_at_the_point():
    text = "dssssd ssssss"
    lift = {"op": "lift", "id": "d", "class": "dog", "at": [4, 1]}
    assert after(text, lift, {"op": "delete", "target": "d"})[0] == "dsssss"


def test_paste_comes_from_the_second_map_in_its_own_pixels():
    second = drawn("gggg gppg gpgg gggg")
    paste = {"op": "paste", "id": "p", "class": "person", "at": [1, 1]}
    assert after("ssss ssss ssss ssss", paste, second=second) == ["ssss", "spps", "spss", "ssss"]
    rows = after("ssssss ssssss ssssss ssssss ssssss ssssss", {**paste, "to": [3, 3]}, second=second)
    assert rows == ["ssssss", "ssssss", "ssppps", "sspsss", "sspsss", "ssssss"]
    half = np.kron(second, np.ones((2, 2), dtype=int))
    assert after("ssss ssss ssss ssss", {**paste, "at": [2, 2]}, second=half) == ["ssss", "spps", "spss", "ssss"]


def test_backgrounds_change_what_is_no_thing():
    assert after("sdg sgp", {"op": "background", "class": "road"}) == ["rdr", "rrp"]
    assert after("sds sss", {"op": "background", "source": "second"}, second=drawn("gpg rrr")) == ["gdg", "rrr"]


def test_drawn_shapes_cover_the_pixels_whose_centres_they_hold():
    blank = "ssssss ssssss ssssss ssssss ssssss"
    box = {"class": "road", "box": [1, 1, 5, 4]}
    assert after(blank, {"op": "rectangle", **box}) == ["ssssss", "srrrrs", "srrrrs", "srrrrs", "ssssss"]
    assert after(blank, {"op": "rectangle", "size": 1, **box}) == ["ssssss", "srrrrs", "srssrs", "srrrrs", "ssssss"]
    assert after(blank, {"op": "ellipse", "class": "road", "box": [0, 0, 5, 5]}) == [
        "srrrss", "rrrrrs", "rrrrrs", "rrrrrs", "srrrss",
    ]  # fmt: skip
    corners = [[1, 1], [4, 1], [4, 3], [1, 3]]
    assert after(blank, {"op": "polygon", "class": "road", "points": corners}) == [
        "ssssss", "srrrrs", "srrrrs", "srrrrs", "ssssss",
    ]  # fmt: skip
    assert after(blank, {"op": "line", "class": "road", "points": [[0, 0], [4, 4]]}) == [
        "rsssss", "srssss", "ssrsss", "sssrss", "ssssrs",
    ]  # fmt: skip
    dot = {"op": "stroke", "class": "road", "size": 3, "points": [[2, 2]]}
    assert after(blank, dot) == ["ssssss", "srrrss"[:1] + "rrrss", "srrrss", "srrrss", "ssssss"]
    erased = {"op": "stroke", "class": None, "size": 1, "points": [[0, 2], [5, 2]]}
    assert after(blank, dot, erased) == ["ssssss", "srrrss", "ssssss", "srrrss", "ssssss"]


def test_fill_sees_the_map_as_it_is_by_then():
    text = "sssss sssss sssss"
    wall = {"op": "line", "class": "road", "points": [[2, 0], [2, 2]]}
    assert after(text, wall, {"op": "fill", "class": "grass", "at": [0, 0]}) == ["ggrss"] * 3
    assert after(text, {"op": "fill", "class": "grass", "at": [0, 0]}, wall) == ["ggrgg"] * 3


def test_a_painted_picture_leaves_what_it_does_not_hold():
    picture = np.array([[-1, 5], [2, -1]], dtype=np.int16)
    paint = {"op": "paint", "png": "a.png"}
    assert after("ss ss", paint, load=lambda name: picture) == ["sr", "gs"]
    assert after("ssss ssss ssss ssss", paint, load=lambda name: picture) == ["ssrr", "ssrr", "ggss", "ggss"]


def test_undo_is_a_shorter_recipe_and_the_picture_is_kept_up_piece_by_piece():
    """However the scene remembers what it looks like, after k operations it looks as the first k alone make it."""
    steps = [
        DOG, move(2, 1), {"op": "fill", "class": "road", "at": [0, 0]}, {"op": "lift", "id": "p", "class": "person"},
        {"op": "stroke", "class": "grass", "size": 2, "points": [[6, 0], [7, 3]]}, {"op": "order", "target": "d", "to": "front"},
        {"op": "fill", "class": "sky", "at": [0, 4]}, move(-4, 1, "p"), {"op": "recolour", "from": "dog", "to": "person"},
        {"op": "fill", "class": "road", "at": [7, 4]}, {"op": "delete", "target": "d"},
    ]  # fmt: skip
    labels = drawn(MAP)
    whole = edit(labels, *steps)
    assert whole.applied == len(steps)
    look = {"op": "fill", "class": "void", "at": [0, 0]}
    for k in range(len(steps) + 1):
        every_time = [piece for one in steps[:k] for piece in (one, {**look, "at": [-5, -5]})]
        assert np.array_equal(edit(labels, *steps[:k]).values, edit(labels, *every_time).values)


def test_what_is_gone_is_left_out_with_all_that_needs_it():
    lift = {"op": "lift", "id": "r", "class": "road"}
    edited = edit(
        drawn(MAP),
        lift,
        move(1, 0, "r"),
        {"op": "duplicate", "target": "r", "id": "q"},
        DOG,
        move(1, 0, "q"),
        move(3, 0),
    )
    assert [(one.index, why) for one, why in edited.skipped] == [
        (1, "the map has none of this class"),
        (2, "'r' is gone: operation 1 (lift) could not be done"),
        (3, "'r' is gone: operation 1 (lift) could not be done"),
        (5, "'q' is gone: operation 3 (duplicate) could not be done"),
    ]
    assert edited.applied == 2
    assert edited.moved == ({"id": "d", "class": "dog", "from": [1, 1, 3, 4], "to": [4, 1, 6, 4]},)


def test_a_recipe_fits_a_map_of_another_size():
    labels = drawn(MAP)
    large = np.kron(labels, np.ones((3, 2), dtype=int))
    steps = (
        {**DOG, "fill": "sky"}, {"op": "transform", "target": "d", "move": [3, 1], "flip": "horizontal"},
        {"op": "rectangle", "class": "road", "box": [5, 0, 8, 2]}, {"op": "fill", "class": "person", "at": [0, 0]},
    )  # fmt: skip
    edited = edit(large, *steps, scale=(2.0, 3.0)).values
    assert np.array_equal(edited, np.kron(edit(labels, *steps).values, np.ones((3, 2), dtype=int)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(
        st.fixed_dictionaries(
            {
                "move": st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(list),
                "rotate": st.integers(-360, 360),
                "flip": st.sampled_from(["horizontal", "vertical"]),
            }
        ),
        max_size=4,
    ),
)
def test_a_transform_and_its_opposite_in_turn_change_nothing(seed, changes):
    labels = np.random.default_rng(seed).integers(1, 4, (8, 11))
    there = [{"op": "transform", "target": "a", **change} for change in changes]
    back = []
    for change in reversed(changes):
        back.append({"op": "transform", "target": "a", "move": [-one for one in change["move"]]})
        back.append({"op": "transform", "target": "a", "rotate": -change["rotate"]})
        back.append({"op": "transform", "target": "a", "flip": change["flip"]})
    lift = {"op": "lift", "id": "a", "class": "grass"}
    edited = edit(labels, lift, *there, *back)
    assert np.array_equal(edited.values, labels) or edited.skipped


def text_of(*operations, **more) -> str:
    return json.dumps({"version": 1, "operations": list(operations), **more})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no JSON"),
        ("[]", "expected a JSON object"),
        ('{"version": 1, "operations": [], "oprations": []}', "did you mean 'operations'"),
        ('{"version": 2, "operations": []}', "'version' is 2"),
        ('{"version": 1, "version": 1, "operations": []}', "twice"),
        ('{"version": 1}', "'operations' has to be a list"),
        ("[" * 100_000, "no JSON"),
        (text_of(map={"sha256": "x", "width": 0, "height": 1}), "whole numbers of pixels"),
        (text_of(*[{"op": "fill"}] * 10_001), "at most 10000"),
        (text_of({"op": "lfit"}), "operation 1: unknown operation 'lfit'; did you mean 'lift'?"),
        (text_of(7), "operation 1 has to be an object"),
        (text_of({"op": "lift", "id": "a"}), "say what"),
        (text_of({"op": "lift", "id": "a", "clas": "dog"}), "unknown key 'clas'; did you mean 'class'?"),
        (text_of({"op": "lift", "class": "dog"}), "'id' is missing"),
        (text_of({"op": "lift", "id": "a", "class": "dgo"}), "did you mean dog"),
        (text_of({"op": "lift", "id": "a", "at": [1]}), "expected [x, y]"),
        (text_of({"op": "lift", "id": "a", "at": [1, True]}), "expected a number"),
        ('{"version": 1, "operations": [{"op": "lift", "id": "a", "at": [1, NaN]}]}', "NaN"),
        ('{"version": 1, "operations": [{"op": "lift", "id": "a", "at": [1, 1e999]}]}', "expected a number"),
        (text_of(DOG, {"op": "transform", "target": "d", "scale": 0}), "'scale': expected a number from 0.01 to 100"),
        (text_of(DOG, {"op": "transform", "target": "d"}), "give 'flip', 'scale'"),
        (text_of(DOG, DOG), "'d' is taken"),
        (text_of({"op": "delete", "target": "d"}, DOG), "nothing before it makes 'd'"),
        (text_of(DOG, {"op": "order", "target": "d", "to": "front", "before": "d"}), "give one of"),
        (text_of({"op": "stroke", "class": "dog", "size": 0, "points": [[1, 1]]}), "'size': expected a number from 1"),
        (text_of({"op": "stroke", "class": "dog", "size": 1, "points": []}), "expected points"),
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_refused_by_name(text, told):
    with pytest.raises(RecipeError) as error:
        recipe.check(recipe.read(text).operations, TABLE, PALETTE)
    assert told in str(error.value) and str(error.value).startswith("recipe: ")


def test_what_the_recipe_needs_and_is_not_there_stops_it():
    for operation, told in (
        ({"op": "paste", "id": "a", "class": "dog"}, "second"),
        ({"op": "paint", "png": "x"}, "pictures"),
    ):
        with pytest.raises(RecipeError, match=rf"recipe: operation 1 \({operation['op']}\).*{told}"):
            edit(drawn(MAP), operation)


def test_a_recipe_remembers_its_map():
    labels = drawn(MAP)
    mark = recipe.mark(labels, PALETTE)
    assert (mark.width, mark.height, mark.palette) == (8, 5, "six")
    envelope = recipe.read(recipe.write([DOG], mark))
    assert envelope.fits(mark) and envelope.scale(mark) == (1.0, 1.0)
    other = labels.copy()
    other[0, 0] = 0
    assert not envelope.fits(recipe.mark(other, PALETTE))
    assert recipe.read("  ").fits(mark) and recipe.read(text_of(DOG)).fits(mark)
    twice = recipe.mark(np.kron(labels, np.ones((2, 3), dtype=int)), PALETTE)
    assert envelope.scale(twice) == (3.0, 2.0) and not envelope.fits(twice)


def test_ten_thousand_operations():
    labels = np.random.default_rng(1).integers(1, 3, (8, 8)).repeat(4, 0).repeat(4, 1)
    steps = [{"op": "lift", "id": "d", "at": [0, 0]}]
    for k in range(500):
        x, y = (k * 37) % 32, (k * 91) % 32
        steps += [
            {"op": "stroke", "class": "dog", "size": 3, "points": [[x, y], [y, x]]}, {"op": "fill", "class": "road", "at": [y, x]},
            *[move(1 - k % 2 * 2, 0)] * 18,
        ]  # fmt: skip
    assert edit(labels, *steps[:10_000]).applied == 10_000


def test_the_work_of_a_hostile_recipe_is_bounded():
    steps = [piece for k in range(100) for piece in (
        {"op": "rectangle", "id": f"{k}", "class": "dog", "box": [0, 0, 64, 64]},
        {"op": "transform", "target": "0", "move": [1, 0]}, {"op": "fill", "class": "sky", "at": [9, 9]},
    )]  # fmt: skip
    scene = Scene(np.zeros((64, 64), dtype=np.int16), most_work=1e6)
    with pytest.raises(RecipeError, match=r"recipe: operation \d+ \(fill\): up to here it takes more work"):
        run(scene, recipe.check(steps, TABLE, PALETTE), TABLE, (1.0, 1.0), None)
