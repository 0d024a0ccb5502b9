"""Edit Map on maps drawn here: the nodes give what the engine gives, and the editor is told what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

DOG, BICYCLE, PERSON = 17, 1, 0


@pytest.fixture(scope="module")
def palettes(comfy_host):
    return comfy_host.engine("comfyui_fgdm.maps.palettes")


@pytest.fixture(scope="module")
def labels(palettes):
    """A map of 48 x 32 (width x height): grass below sky, a dog of 8 x 10 with a person inside."""
    one = torch.full((1, 32, 48), palettes.COCO.index("sky-other"))
    one[:, 20:] = palettes.COCO.index("grass")
    one[:, 16:26, 4:12] = DOG
    one[:, 20:22, 7:9] = PERSON
    return one


@pytest.fixture(scope="module")
def maps(palettes, labels):
    noise = (torch.rand(*labels.shape, 3, generator=torch.Generator().manual_seed(0)) * 30 - 15) / 255
    return (palettes.encode(labels) + noise).clamp(0, 1)


@pytest.fixture(scope="module")
def mark(comfy_host, palettes, labels):
    return comfy_host.engine("comfyui_fgdm.editing.recipe").mark(labels[0].numpy(), palettes.COCO)


MOVED = [
    {"op": "lift", "id": "d", "class": "dog", "at": [5, 17], "fill": "sky-other"},
    {"op": "transform", "target": "d", "move": [30, -10]},
]


def recipe(*operations, made_on=None) -> str:
    more = {} if made_on is None else {"map": vars(made_on)}
    return json.dumps({"version": 1, "variable": "segmentation", **more, "operations": operations})


def edit(comfy_host, maps, text, when_changed="ask", **more):
    return comfy_host.call("FGDM_EditMap", map=maps, recipe=text, when_changed=when_changed, **more)


def moved(labels, sky):
    wanted = labels.clone()
    dog = labels[0, 16:26, 4:12] == DOG
    wanted[0, 16:26, 4:12][dog] = sky
    wanted[0, 6:16, 34:42][dog] = DOG
    return wanted


def test_an_edited_map_is_exact(comfy_host, palettes, labels, maps, mark):
    given = maps.clone()
    wanted = moved(labels, palettes.COCO.index("sky-other"))
    objects = comfy_host.call("FGDM_Objects", text="dog, bicycle", mode="list")[0]
    edited, changed, text = edit(comfy_host, maps, recipe(*MOVED, made_on=mark), objects=objects)
    assert torch.equal(edited, palettes.encode(wanted)) and torch.equal(maps, given)
    assert torch.equal(changed, (wanted != labels).float())
    report = json.loads(text)
    assert report["fits"] and report["maps"][0]["applied"] == 2
    assert report["maps"][0]["moved"] == [{"id": "d", "class": "dog", "from": [4, 16, 12, 26], "to": [34, 6, 42, 16]}]
    assert report["recall"] == [{when: {"recall": 0.5, "missing": ["bicycle"]} for when in ("before", "after")}]
    untouched, changed, _ = edit(comfy_host, maps, "")
    assert torch.equal(untouched, palettes.encode(labels)) and not changed.any()


def test_a_recipe_of_another_map_waits_is_applied_or_ignored(comfy_host, palettes, labels, maps, mark):
    other = palettes.encode(labels.roll(2, dims=2))
    text = recipe(*MOVED, made_on=mark)
    with pytest.raises(ValueError, match="recipe: the map is not the one that these 2 edits were made on"):
        edit(comfy_host, other, text)
    assert torch.equal(edit(comfy_host, other, text, "ignore")[0], other)
    applied = edit(comfy_host, other, text, "apply")
    assert json.loads(applied[2])["fits"] is False
    assert json.loads(applied[2])["maps"][0]["moved"][0]["to"] == [36, 6, 44, 16]


def test_the_editor_is_told_what_it_needs(comfy_host, palettes, labels, maps, mark):
    editing = comfy_host.engine("comfyui_fgdm.host.editing")
    told = []
    given = editing.EditInputs(recipe(*MOVED, made_on=mark), second=palettes.encode(labels[:, ::2]), picture=maps)
    entry = editing.edit_maps(maps, given, told.append).entry
    assert not told and (entry["sha256"], entry["width"], entry["height"]) == (mark.sha256, 48, 32)
    assert entry["classes"][DOG] == [17, "dog", "#{:02x}{:02x}{:02x}".format(*palettes.COCO.labels[17].rgb), True]
    assert len(entry["classes"]) == 183 and entry["objects"] is None and entry["unknown"] == 0

    def levels(place: dict) -> Image.Image:
        temp = Path(comfy_host.folder_paths.get_temp_directory())
        return Image.open(temp / place["subfolder"] / place["filename"])

    assert levels(entry["map"]).mode == "L" and np.array_equal(np.asarray(levels(entry["map"])), labels[0])
    assert np.array_equal(np.asarray(levels(entry["second"])), labels[0, ::2])
    assert np.array_equal(np.asarray(levels(entry["edited"])), moved(labels, palettes.COCO.index("sky-other"))[0])
    assert levels(entry["picture"]).size == (48, 32)
    with pytest.raises(ValueError, match="unknown operation"):
        editing.edit_maps(maps, editing.EditInputs(recipe({"op": "x"})), told.append)
    assert told[0]["sha256"] == mark.sha256 and told[0]["edited"] is None


def test_pictures_of_classes_come_from_the_input_folder_alone(comfy_host, palettes, labels, maps, mark, tmp_path):
    place = Path(comfy_host.folder_paths.get_input_directory()) / "fgdm"
    place.mkdir(parents=True, exist_ok=True)
    strokes = np.full((32, 48), 255, dtype=np.uint8)
    strokes[3, 5:20] = BICYCLE
    Image.fromarray(strokes).save(place / "strokes.png")
    Image.fromarray(strokes[:5]).save(place / "small.png")
    Image.fromarray(np.full((32, 48), 200, dtype=np.uint8)).save(place / "unknown.png")
    Image.fromarray(np.zeros((32, 48, 3), dtype=np.uint8)).save(place / "colours.png")
    (place / "text.png").write_text("no picture")
    Image.fromarray(strokes).save(tmp_path / "outside.png")
    wanted = labels.clone()
    wanted[0, 3, 5:20] = BICYCLE
    painted = edit(comfy_host, maps, recipe({"op": "paint", "png": "fgdm/strokes.png"}, made_on=mark))[0]
    assert torch.equal(painted, palettes.encode(wanted))
    for name, told in (
        ("fgdm/none.png", "there is no"), ("fgdm/small.png", "48 x 5 pixels"), ("fgdm/unknown.png", "class 200"),
        ("fgdm/colours.png", "mode is RGB"), ("fgdm/text.png", "cannot be read"), ("../../outside.png", "no PNG in"),
        (str(tmp_path / "outside.png"), "no PNG in"), ("fgdm/../../a.png", "no PNG in"), ("fgdm", "no PNG in"), ("a\0.png", "no PNG in"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"recipe: operation 1 \(paint\): 'png': ") as error:
            edit(comfy_host, maps, recipe({"op": "paint", "png": name}))
        assert told in str(error.value), name
