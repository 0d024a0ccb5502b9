"""The tidy world: things on the grid of the latents, few sprites, and people whose joints are known."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from comfyui_fgdm.iconworld.family.recipes import TIDY
from comfyui_fgdm.iconworld.world import classes, figures, people, truth
from comfyui_fgdm.iconworld.world.captions import make_caption
from comfyui_fgdm.iconworld.world.draw import draw_scene
from comfyui_fgdm.iconworld.world.icons import Icon
from comfyui_fgdm.iconworld.world.layouts import sample_layout
from comfyui_fgdm.iconworld.world.scenes import held_out
from comfyui_fgdm.iconworld.world.tidy import HEIGHTS

WORLD = replace(TIDY.world, icons=("first", "second"))
NAMES = ("first", "second", "third")


def solid(index: int, style: str, name: str) -> Icon:
    """An icon whose box is all there is of it."""
    rgba = np.full((96, 48 + 7 * (index % 9), 4), 255, np.uint8)
    rgba[..., :3] = (index * 37) % 256, 40, 200
    return Icon(name, style, rgba, dict.fromkeys(classes.TINTS, rgba) if classes.THING_BY_INDEX[index].tint else {})


BANK = {
    i: [solid(i, style, name) for style in (*WORLD.styles, "twemoji") for name in NAMES] for i in classes.CPU_THINGS
}
LAYOUTS = [sample_layout(seed, WORLD, BANK) for seed in range(80)]


def test_things_stand_on_the_grid_in_their_sizes():
    touching, people_seen = 0, 0
    for layout in LAYOUTS:
        assert layout.horizon * 128 % 8 == 0
        for instance in layout.instances:
            alone = draw_scene(replace(layout, instances=(instance,), elements=()), BANK)
            box = truth.boxes(alone)[0]
            height, name = instance.height * 128, classes.THING_BY_INDEX[instance.index].name
            assert height in {8 * cells for cells in HEIGHTS[name]} and height in (32, 48, 64, 80)
            assert box.y1 % 8 == 0 and 0 <= box.y0 and box.x1 <= 128
            if instance.number >= 0:
                assert box.x0 % 8 == 0 and box.y1 - box.y0 == height, name
                icon = BANK[instance.index][instance.number]
                assert icon.style in WORLD.styles and icon.name in ("first", "second")
            else:
                people_seen += 1
        touching += any(v < 0.7 for v in draw_scene(layout, BANK).visible)
    assert people_seen > 3
    assert touching <= 8  # of 80 scenes, hardly one is crowded


def test_what_is_far_is_small_and_numbers_of_things_are_few():
    counts = np.bincount([len(layout.instances) for layout in LAYOUTS], minlength=6)
    assert counts[0] == counts[5] == 0 and counts[1] > counts[4] > 0
    for layout in LAYOUTS:
        grounded = [i for i in layout.instances if classes.THING_BY_INDEX[i.index].place is classes.Place.GROUND]
        for a in grounded:
            assert a.base > layout.horizon
            for b in grounded:
                assert not (a.index == b.index and a.base < b.base and a.height > b.height)


def test_people_are_frequent_enough_to_learn_their_poses():
    share = sum(any(i.index == 0 for i in sample_layout(seed, WORLD, BANK).instances) for seed in range(300)) / 300
    assert 0.25 < share < 0.45, "a quarter of the scenes, and one class in twenty of the rest"


def test_combinations_are_held_out():
    held = replace(WORLD, split="held-out")
    for seed in range(60):
        kinds = {i.index for i in LAYOUTS[seed].instances}
        assert not held_out(kinds)
        other = {i.index for i in sample_layout(seed, held, BANK).instances}
        assert len(other) < 2 or held_out(other)


def test_the_held_out_style_has_no_drawn_people():
    layouts = [sample_layout(seed, WORLD.held_out_style(), BANK) for seed in range(40)]
    assert {BANK[i.index][i.number].style for layout in layouts for i in layout.instances} == {"twemoji"}


def test_one_sprite_has_one_patch_wherever_it_stands():
    """The inside of a person, in cells: the same bytes at two places on two grounds."""
    layout = next(one for one in LAYOUTS if one.instances[-1].number < 0)
    person = replace(layout.instances[-1], height=0.5)
    width = round(64 * people.draw(person.seed)[0].shape[1] / people.draw(person.seed)[0].shape[0])
    crops = []
    for left, base, ground in ((16, 96, classes.GRASS), (40, 120, classes.SEA)):
        moved = replace(person, x=(left + width / 2) / 128, base=base / 128)
        scene = draw_scene(replace(layout, instances=(moved,), elements=(), ground=ground), BANK)
        cut = slice(base - 64, base), slice(left, left + width)
        inside = ndimage.binary_erosion(scene.entities[cut] == 1, iterations=2)
        crops.append((scene.image[cut], inside))
    np.testing.assert_array_equal(crops[0][1], crops[1][1])
    assert crops[0][1].sum() > 200
    same = (crops[0][0] == crops[1][0]).all(2)[crops[0][1]]
    assert same.mean() > 0.9  # but where a slit between two limbs lets the ground through


def test_every_person_has_its_joints_where_it_is_drawn():
    shapes = set()
    for look in range(people.LOOKS):
        rgba, joints = people.draw(look)
        height, width = rgba.shape[:2]
        near = ndimage.binary_dilation(rgba[..., 3] > 127, iterations=1)
        column, row = np.clip(np.round(joints * (width, height) - 0.5).astype(int), 0, (width - 1, height - 1)).T
        assert near[row, column].all(), look
        assert joints.shape == (18, 2) and joints.min() >= 0 and joints.max() <= 1
        x, y = joints.T
        assert x[2] < x[5] and x[14] < x[15] and y[0] < y[1] < y[8]  # the right side of who faces the viewer is left
        shapes.add((rgba.tobytes(), height, width))
    assert len(shapes) == people.LOOKS
    assert len(figures.pose(np.random.default_rng(0))) == 18


def test_men_and_women_are_drawn_as_such():
    words = {"man": 0, "woman": 1}
    found = set()
    crowd = replace(WORLD, things=(0, 1, 2, 4, 5))
    for layout in (sample_layout(seed, crowd, BANK) for seed in range(150)):
        said = {piece.text for piece in make_caption(layout, 1).words}
        for instance in layout.instances:
            if instance.index == 0 and instance.word:
                singular = classes.THING_BY_INDEX[0].words[instance.word][0]
                assert instance.seed % 2 == words[singular]
                assert said & set(classes.THING_BY_INDEX[0].words[instance.word])
                found.add(singular)
    assert found == set(words)
