"""The icon world: layouts, drawing, captions and ground truth agree with each other."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from comfyui_fgdm.iconworld.family import text
from comfyui_fgdm.iconworld.world import classes, truth
from comfyui_fgdm.iconworld.world.canvas import STUFF_ENTITY, stuff_entity
from comfyui_fgdm.iconworld.world.captions import make_caption, vocabulary
from comfyui_fgdm.iconworld.world.draw import draw_scene
from comfyui_fgdm.iconworld.world.layouts import sample_layout
from comfyui_fgdm.iconworld.world.scenes import World, held_out
from comfyui_fgdm.maps import normal, palettes
from tools.toy_icons import toy_bank

BANK = toy_bank()
WORLD = World()
SEEDS = range(60)


def scene_of(seed, world=WORLD, size=128):
    return draw_scene(sample_layout(seed, world, BANK), BANK, size)


def test_a_seed_gives_the_same_scene_and_another_seed_another():
    first, again, other = scene_of(3), scene_of(3), scene_of(4)
    assert first.layout == again.layout
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.image != other.image).any()


def test_class_indices_are_the_palette_s():
    names = {label.index: label.name for label in palettes.COCO.labels}
    for known in (*classes.THINGS, *classes.STUFF):
        assert names[known.index] == known.name


def test_cpu_classes_are_far_apart_in_colour():
    rgb = {label.index: np.array(label.rgb, int) for label in palettes.COCO.labels}
    for a, b in itertools.combinations(WORLD.classes, 2):
        assert np.abs(rgb[a] - rgb[b]).max() >= 64, (a, b)


def test_labels_follow_from_entities():
    for seed in SEEDS:
        scene = scene_of(seed)
        of_entity = {number: i.index for number, i in enumerate(scene.layout.instances, 1)}
        of_entity |= {stuff_entity(stuff.index): stuff.index for stuff in classes.STUFF}
        for entity in np.unique(scene.entities):
            assert set(np.unique(scene.labels[scene.entities == entity])) == {of_entity[int(entity)]}
        assert set(np.unique(scene.labels)) <= set(WORLD.classes)


def test_visible_share_is_what_later_things_leave_over():
    hidden = 0
    for seed in SEEDS:
        scene = scene_of(seed)
        alone = [draw_scene(replace(scene.layout, instances=(i,)), BANK) for i in scene.layout.instances]
        for k, share in enumerate(scene.visible):
            own = alone[k].entities == 1
            covered = (
                np.any([alone[j].entities == 1 for j in range(k + 1, len(alone))], axis=0)
                if k + 1 < len(alone)
                else False
            )
            assert share == pytest.approx((own & ~covered).sum() / own.sum(), abs=1e-9)
            hidden += share < 0.95
    assert hidden > 5, "occlusion occurs"


def test_sizes_show_the_same_layout():
    small, large = scene_of(5, size=128), scene_of(5, size=256)
    assert small.layout == large.layout
    assert (small.labels == large.labels[::2, ::2]).mean() > 0.95


def test_the_splits_share_no_combination():
    train = {frozenset(i.index for i in sample_layout(s, World(split="train"), BANK).instances) for s in range(300)}
    held = {
        frozenset(i.index for i in sample_layout(s, World(split="held-out", instances=(2, 5)), BANK).instances)
        for s in range(300)
    }
    assert all(len(combination) > 1 for combination in held)
    assert not train & held
    combinations = list(itertools.combinations(WORLD.things, 3))
    assert 0.08 < np.mean([held_out(c) for c in combinations]) < 0.18


def test_captions_name_what_is_there():
    for seed in SEEDS:
        scene = scene_of(seed)
        caption = make_caption(scene.layout, seed)
        drawn = (
            {i.index for i in scene.layout.instances}
            | {e.index for e in scene.layout.elements}
            | {scene.layout.ground, scene.layout.top}
        )
        assert {i.index for i in scene.layout.instances} <= set(caption.named) <= drawn
        names: dict[str, set[int]] = {}
        for known in (*classes.THINGS, *classes.STUFF):
            own = known.phrases if isinstance(known, classes.Stuff) else [name for pair in known.words for name in pair]
            for word in " ".join([*own, *(name + "s" for name in own)]).split():
                names.setdefault(word, set()).add(known.index)
        for word in caption.words:
            labels = {
                int(np.unique(scene.labels[scene.entities == e])[0]) for e in word.refers if (scene.entities == e).any()
            }
            if word.refers and word.text not in classes.TINTS:
                assert labels <= names[word.text], (word, labels)
            if word.text in names:
                assert word.refers, f"{word.text} refers to nothing"


def test_stated_relations_hold():
    for seed in range(200):
        layout = sample_layout(seed, WORLD, BANK)
        for relation in make_caption(layout, seed).relations:
            a, b = layout.instances[relation.subject - 1], layout.instances[relation.object - 1]
            middle_a, middle_b = a.base - a.height / 2, b.base - b.height / 2
            holds = {
                "left of": a.x < b.x,
                "right of": a.x > b.x,
                "above": middle_a < middle_b,
                "below": middle_a > middle_b,
                "in front of": a.base > b.base,
                "behind": a.base < b.base,
                "next to": abs(a.x - b.x) < 0.45,
            }
            assert holds[relation.predicate]


def test_the_tokenizer_knows_every_word_of_the_grammar():
    assert set(vocabulary()) <= set(text.table())
    assert len(set(text.table().values())) == len(text.table())
    assert min(text.table().values()) == text.UNKNOWN + 1 and max(text.table().values()) < 256


def test_encoding_pads_cuts_and_marks():
    assert text.encode([]) == [text.START] + [text.END] * (text.LENGTH - 1)
    ids = text.encode(text.words_of("A dog, and a QUETZAL!"))
    assert ids[:7] == [text.START, *(text.table()[w] for w in ("a", "dog", ",", "and", "a")), text.UNKNOWN]
    long = text.encode(["dog"] * 500)
    assert len(long) == text.LENGTH and long[-1] == text.END and long[-2] == text.table()["dog"]


def test_boxes_are_the_extent_of_the_visible_pixels():
    scene = scene_of(7)
    for box in truth.boxes(scene):
        pixels = [(y, x) for y in range(128) for x in range(128) if scene.entities[y, x] == box.entity]
        assert (box.x0, box.y0) == (min(x for _, x in pixels), min(y for y, _ in pixels))
        assert (box.x1, box.y1) == (max(x for _, x in pixels) + 1, max(y for y, _ in pixels) + 1)
        assert box.area == len(pixels)


def test_depth_orders_what_stands_on_the_ground():
    for seed in range(12):
        scene = scene_of(seed)
        depth = truth.depth(scene)
        assert depth.min() >= 0 and depth.max() <= 1
        ground = scene.entities == stuff_entity(scene.layout.ground)
        rows = [depth[y][ground[y]].mean() for y in range(128) if ground[y].any()]
        assert all(upper >= lower for upper, lower in itertools.pairwise(rows))
        on_ground = [
            (i.base, depth[scene.entities == n].mean())
            for n, i in enumerate(scene.layout.instances, 1)
            if i.base > scene.layout.horizon and (scene.entities == n).any()
        ]
        assert on_ground == sorted(on_ground, key=lambda pair: -pair[1])


def test_normals_are_unit_vectors_and_the_ground_faces_up():
    scene = scene_of(9)
    normals = truth.normals(scene)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-5)
    assert (normals[scene.entities == stuff_entity(scene.layout.ground)][:, 1] > 0.9).all()
    assert (normals[scene.entities == stuff_entity(classes.SKY)] == (0, 0, 1)).all()


def test_normal_maps_are_red_on_the_left_of_what_bulges_and_green_on_its_top():
    """The convention of the stock ControlNet, from the truth to the picture."""
    seen = 0
    for seed in range(12):
        scene = scene_of(seed)
        red, green, _ = normal.draw(torch.from_numpy(truth.normals(scene))[None])[0].numpy().transpose(2, 0, 1)
        for box in truth.boxes(scene):
            inside = scene.entities == box.entity
            if min(box.x1 - box.x0, box.y1 - box.y0) < 12 or min(box.x0, box.y0, 128 - box.x1, 128 - box.y1) < 1:
                continue  # too small, or cut off by the picture
            y, x = np.nonzero(inside)
            left, top = x < np.percentile(x, 20), y < np.percentile(y, 20)
            right, low = x > np.percentile(x, 80), y > np.percentile(y, 80)
            assert red[y, x][left].mean() > 0.5 > red[y, x][right].mean(), (seed, box)
            assert green[y, x][top].mean() > 0.5 > green[y, x][low].mean(), (seed, box)
            seen += 1
    assert seen > 12


def test_edges_are_one_on_borders_and_fade():
    scene = scene_of(9)
    edges = truth.edges(scene)
    y = round(scene.layout.horizon * 128)
    column = int(
        np.flatnonzero(
            (scene.entities[y] == stuff_entity(scene.layout.ground))
            & (scene.entities[y - 1] == stuff_entity(classes.SKY))
        )[0]
    )
    assert edges[y, column] == 1
    assert edges[0, 0] < 1e-3 and 0 < edges.mean() < 0.5


def test_joints_of_figures_lie_on_their_person():
    seen = 0
    for seed in range(300):
        scene = scene_of(seed, World(things=(0,), instances=(1, 1), figures=1.0, split="any"))
        for entity, points in truth.joints(scene).items():
            assert points.shape == (18, 3) and scene.layout.instances[entity - 1].index == 0
            if scene.visible[entity - 1] > 0.99:
                assert points[:, 2].mean() > 0.9
                seen += 1
                assert points[2, 0] < points[5, 0], "who faces us has the right shoulder on the left, mirrored or not"
        if seen > 10:
            break
    assert seen > 10


def test_scene_graph_says_what_the_caption_says():
    for seed in range(80):
        scene = scene_of(seed)
        caption = make_caption(scene.layout, seed)
        graph = truth.scene_graph(scene, caption)
        assert len(graph["relations"]) == len(caption.relations)
        assert {o["index"] for o in graph["objects"]} == set(caption.named)
        for at, relation in zip(graph["relations"], caption.relations, strict=True):
            assert (
                graph["objects"][at[0]]["entity"] == relation.subject
                and graph["objects"][at[2]]["entity"] == relation.object
            )


def test_layers_are_drawn_from_back_to_front():
    scene = scene_of(11)
    order = truth.layer_order(scene)
    assert order == sorted(order) and all(entity < STUFF_ENTITY for entity in order)
    bases = [scene.layout.instances[entity - 1].base for entity in order]
    assert bases == sorted(bases)


def test_holes_belong_to_the_thing_on_maps_and_show_what_is_behind_in_pictures():
    ring = np.zeros((80, 80, 4), np.uint8)
    y, x = np.mgrid[:80, :80] - 39.5
    distance = np.hypot(x, y)
    ring[(distance < 39) & (distance > 34)] = (255, 0, 255, 255)
    bicycle = classes.THINGS[1]
    bank = {**BANK, bicycle.index: [replace(icon, rgba=ring, tints={}) for icon in BANK[bicycle.index]]}
    layout = sample_layout(3, WORLD, bank)
    instance = replace(layout.instances[0], index=bicycle.index, number=0, tint=None, x=0.5, base=0.9, height=0.6)
    scene = draw_scene(replace(layout, instances=(instance,), elements=()), bank, 128)
    empty = draw_scene(replace(layout, instances=(), elements=()), bank, 128)
    middle = round(0.6 * 128)
    assert (scene.labels[middle - 20 : middle + 20, 44:84] == bicycle.index).all()
    np.testing.assert_array_equal(
        scene.image[middle - 10 : middle + 10, 54:74], empty.image[middle - 10 : middle + 10, 54:74]
    )
