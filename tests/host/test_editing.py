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
    editing = comfy_host.engine("comfyui_fgdm.host.map_editor")
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


def call(comfy_host, node, **inputs):
    region = {"class_name": "", "which": "largest"} if "Region" in node else {}
    return comfy_host.call(f"FGDM_{node}", **{**region, **inputs})


PLAIN = {"move_x": 0, "move_y": 0, "scale": 1.0, "rotate": 0.0, "flip": "no"}


def test_nodes_do_to_one_region_what_recipes_do(comfy_host, palettes, labels, maps):
    sky, grass = palettes.COCO.index("sky-other"), palettes.COCO.index("grass")
    dog = labels == DOG

    gone = call(comfy_host, "DeleteRegion", map=maps, class_name="dogs", fill="grass")[0]
    assert torch.equal(gone, palettes.encode(torch.where(dog, grass, labels)))
    point = call(comfy_host, "DeleteRegion", map=maps, x=8, y=21, fill="dog")
    assert torch.equal(point[0], palettes.encode(torch.where(labels == PERSON, DOG, labels)))
    half = torch.zeros(1, 32, 48)
    half[:, :18] = 1
    masked = call(comfy_host, "DeleteRegion", map=maps, class_name="dog", mask=half, fill="sky-other")[0]
    wanted = labels.clone()
    wanted[:, 16:18, 4:12] = sky
    assert torch.equal(masked, palettes.encode(wanted))

    inputs = {"map": maps, "class_name": "dog", **PLAIN}
    copied = call(comfy_host, "TransformRegion", **{**inputs, "move_x": 20}, copy=True, new_class="bicycle")[0]
    wanted = torch.where(dog.roll(20, 2), BICYCLE, labels)
    assert torch.equal(copied, palettes.encode(wanted))
    behind = call(comfy_host, "TransformRegion", **{**inputs, "move_x": 1}, behind="person", copy=True)[0]
    wanted = torch.where(dog.roll(1, 2) & (labels != PERSON), DOG, labels)
    assert torch.equal(behind, palettes.encode(wanted))
    nothing, changed, text = call(comfy_host, "TransformRegion", **{**inputs, "class_name": "cat", "move_x": 9})
    assert torch.equal(nothing, palettes.encode(labels)) and not changed.any()
    assert json.loads(text)["maps"][0]["skipped"][0]["why"] == "the map has none of this class"

    blank = palettes.encode(torch.full((2, 32, 48), sky))
    pasted = call(
        comfy_host, "PasteRegion", map=blank, second=maps, class_name="dog", to_x=-1, to_y=-1, scale=1.0, flip="no"
    )[0]
    assert torch.equal(pasted, palettes.encode(torch.where(dog, DOG, sky)).repeat(2, 1, 1, 1))

    changed = call(comfy_host, "ChangeClass", map=maps, from_class="dog", to_class="bicycle")[0]
    assert torch.equal(changed, palettes.encode(torch.where(dog, BICYCLE, labels)))
    sandy = call(comfy_host, "ChangeClass", map=maps, from_class="", to_class="sand")[0]
    things = dog | (labels == PERSON)
    assert torch.equal(sandy, palettes.encode(torch.where(things, labels, palettes.COCO.index("sand"))))

    drawn = call(
        comfy_host, "DrawOnMap", map=maps, shapes='[{"op": "rectangle", "class": "dog", "box": [40, 0, 48, 4]}]'
    )[0]
    wanted = labels.clone()
    wanted[:, :4, 40:] = DOG
    assert torch.equal(drawn, palettes.encode(wanted))


@pytest.mark.parametrize(
    ("node", "inputs", "told"),
    [
        ("DeleteRegion", {"fill": ""}, "class_name: say what to take"),
        (
            "DeleteRegion",
            {"class_name": "flurb", "fill": ""},
            "class_name: palette 'coco183' has no class called 'flurb'",
        ),
        ("DeleteRegion", {"class_name": "dog", "fill": "flurb"}, "fill: palette 'coco183' has no class"),
        ("ChangeClass", {"from_class": "dog", "to_class": ""}, "to_class: say what it becomes"),
        ("DrawOnMap", {"shapes": "["}, "shapes: this is no JSON"),
        ("DrawOnMap", {"shapes": '{"op": "line"}'}, "shapes: expected a list"),
        (
            "DrawOnMap",
            {"shapes": '[{"op": "lift", "id": "a", "class": "dog"}]'},
            "shapes: operation 1: unknown operation 'lift'",
        ),
        ("EditByWords", {"instructions": "sing"}, "instructions: 'sing' was not understood"),
    ],
)
def test_nodes_say_what_is_wrong(comfy_host, maps, node, inputs, told):
    with pytest.raises(ValueError) as error:
        call(comfy_host, node, map=maps, **inputs)
    assert told in str(error.value)


def test_words_become_a_recipe_that_edit_map_takes(comfy_host, palettes, labels, maps):
    both = torch.cat([maps, palettes.encode(labels.roll(4, 2))])
    said = "make the dog twice as large and move it to the right edge. remove the umbrella"
    edited, _, text, report = call(comfy_host, "EditByWords", map=both, instructions=said)
    assert torch.equal(edit(comfy_host, maps, text)[0], edited[:1])
    report = json.loads(report)["maps"]
    assert [one["moved"][0]["to"] for one in report] == [[32, 6, 48, 26], [32, 6, 48, 26]]
    assert "there is no umbrella" in report[1]["skipped"][0]["why"]


def test_compared_maps(comfy_host, palettes, labels, maps):
    later = moved(labels, palettes.COCO.index("sky-other"))
    picture, changed, share, text = call(comfy_host, "CompareMaps", before=maps, after=palettes.encode(later))
    assert torch.equal(changed, (later != labels).float()) and share == pytest.approx(float(changed.mean()))
    assert picture.shape == (1, 32, 96, 3)
    (dog,) = json.loads(text)["maps"][0]["things"]
    assert dog == {
        "class": "dog", "what": "moved", "from": [4, 16, 12, 26], "to": [34, 6, 42, 16], "moved": [30, -10], "size": 1,
    }  # fmt: skip


def test_chosen_maps(comfy_host, palettes, labels, maps):
    without = torch.where(labels == DOG, palettes.COCO.index("grass"), labels)
    three = torch.cat([palettes.encode(without), maps, palettes.encode(without)])
    objects = comfy_host.call("FGDM_Objects", text="dog, bicycle", mode="list")[0]
    best, index, recall = comfy_host.call("FGDM_ChooseMap", maps=three, choice=0, objects=objects)
    assert torch.equal(best, maps) and (index, recall) == (1, 0.5)
    third, index, recall = comfy_host.call("FGDM_ChooseMap", maps=three, choice=3, objects=objects)
    assert torch.equal(third, three[2:]) and (index, recall) == (2, 0.0)
    assert comfy_host.call("FGDM_ChooseMap", maps=three, choice=0)[1:] == (0, 0.0)
    with pytest.raises(ValueError, match="choice: there is no map 4: 3 came in"):
        comfy_host.call("FGDM_ChooseMap", maps=three, choice=4)
    entry = comfy_host.engine("comfyui_fgdm.host.choosing").choose(three, 0, objects).entry
    assert (entry["recall"], entry["order"][0], entry["chosen"]) == ([0, 0.5, 0], 1, 1)
    assert entry["missing"] == [["dog", "bicycle"], ["bicycle"], ["dog", "bicycle"]]
    assert len(entry["thumbs"]) == 3 and entry["thumbs"][0] == entry["thumbs"][2] != entry["thumbs"][1]


@pytest.fixture(scope="module")
def pictures():
    """Two pictures each of 96 x 64, before and after an edit."""
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(2, 64, 96, 3, generator=generator) for _ in range(2)]


def pasted(comfy_host, original, edited, grow=0, feather=0, **more):
    return comfy_host.call("FGDM_PasteEdited", original=original, edited=edited, grow=grow, feather=feather, **more)


def test_what_an_edited_map_means_is_pasted_and_the_rest_is_the_original(comfy_host, palettes, labels, maps, pictures):
    """Maps are half as large as the pictures; one original and one map stand for all."""
    (original, edited), later = pictures, moved(labels, palettes.COCO.index("sky-other"))
    both = {"before": maps, "after": palettes.encode(later)}
    wanted = (later != labels).repeat_interleave(2, 1).repeat_interleave(2, 2).expand(2, -1, -1)
    image, mask = pasted(comfy_host, original[:1], edited, **both)
    assert torch.equal(mask, wanted.float()) and 0 < wanted.float().mean() < 0.3
    assert torch.equal(image[wanted], edited[wanted])
    assert torch.equal(image[~wanted], original[:1].expand(2, -1, -1, -1)[~wanted])
    corner = torch.zeros(1, 64, 96)
    corner[:, :5, :7] = 1
    blending = comfy_host.engine("comfyui_fgdm.editing.blending")
    image, mask = pasted(comfy_host, original, edited, 2, 3, mask=corner, **both)
    assert torch.equal(mask, blending.soften(torch.maximum(wanted.float(), corner), 2, 3))
    assert torch.equal(image, blending.paste(original, edited, mask))
    again, same = pasted(comfy_host, original, image, mask=mask)
    assert torch.equal(same, mask) and torch.equal(again[mask == 0], original[mask == 0])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "mask: say what to paste"),
        ({"before": True}, "after: only one map is connected"),
        ({"after": True}, "before: only one map is connected"),
        ({"before": True, "after": (1, 16, 48, 3)}, "after: it has to be as many maps as 'before'.* 1 of 48 x 32 and 1 of 48 x 16"),
        ({"before": True, "after": True}, "after: nothing is masked"),
        ({"mask": torch.zeros(1, 64, 96)}, "mask: nothing is masked"),
        ({"mask": torch.full((1, 64, 96), 0.4), "feather": 2}, "mask: no pixel of it is 1/2 or more"),
        ({"mask": torch.ones(3, 64, 96)}, "mask: it holds 3, but there are 2 pictures"),
        ({"mask": torch.ones(1, 40, 96)}, "mask: it is 96 x 40 pixels, and the pictures are 96 x 64"),
        ({"mask": torch.ones(1, 128, 192)}, "mask: it is 192 x 128 pixels"),
        ({"mask": torch.ones(1, 64, 96), "edited": (2, 64, 88, 3)}, "edited: it is 88 x 64, but 'original' 96 x 64"),
        ({"mask": torch.ones(1, 64, 96), "edited": (3, 64, 96, 3)}, "original: it holds 2 pictures, but 'edited' 3"),
        ({"mask": torch.ones(1, 64, 96), "original": (2, 64, 96, 4)}, "original: expected a batch of RGB pictures"),
        ({"mask": torch.ones(1, 64, 96), "grow": -1}, "grow: -1 is out of range"),
    ],
)  # fmt: skip
def test_what_cannot_be_pasted_is_refused_by_name(comfy_host, maps, pictures, changed, words):
    given = dict(zip(("original", "edited"), pictures, strict=True))
    for name, value in changed.items():
        given[name] = maps[:, : value[1]] if name == "after" and value is not True else maps if value is True else value
        given[name] = torch.rand(value) if name in ("original", "edited") else given[name]
    with pytest.raises(ValueError, match=words):
        pasted(comfy_host, **given)


def test_a_language_model_reads_instructions_only_where_the_user_says_so(
    comfy_host, palettes, labels, maps, monkeypatch
):
    from tools.chat_endpoint import ChatEndpoint

    for name in ("FGDM_LLM_URL", "FGDM_LLM_KEY", "FGDM_LLM_MODEL"):
        monkeypatch.delenv(name, raising=False)
    node, text = comfy_host.node("FGDM_EditByWords"), "let the dog rest over there"
    ask = {"map": maps, "language_model": "where they are not understood"}
    refused = "instructions: 'let the dog rest over there' was not understood. What can be said"
    with pytest.raises(ValueError, match=f"{refused}.*no endpoint is set up; set FGDM_LLM_URL"):
        call(comfy_host, "EditByWords", instructions=text, **ask)
    with ChatEndpoint() as chat:
        chat.answers = [json.dumps({"operations": MOVED})]
        before = node.fingerprint_inputs(language_model="always"), node.fingerprint_inputs()
        monkeypatch.setenv("FGDM_LLM_URL", chat.url)
        monkeypatch.setenv("FGDM_LLM_MODEL", "small")
        assert node.fingerprint_inputs(language_model="always") != before[0] and node.fingerprint_inputs() == before[1]
        with pytest.raises(ValueError, match=refused + "[^L]*$"):
            call(comfy_host, "EditByWords", map=maps, instructions=text)
        assert not chat.requests, "never, unless asked for"
        edited, _, written, report = call(
            comfy_host, "EditByWords", instructions=f"flip the person. {text}", **ask, model="big"
        )
        later = moved(labels, palettes.COCO.index("sky-other"))
        assert torch.equal(edited, palettes.encode(later)) and chat.requests[0][2]["model"] == "big"
        assert json.loads(report)["maps"][0]["by_model"] == {"sentences": [text], "failed": ""}
        assert torch.equal(edit(comfy_host, maps, written)[0], edited), "the recipe holds what it said"
        chat.answers = [json.dumps({"operations": [{"op": "explode"}]})]
        with pytest.raises(
            ValueError, match=f"{refused}.*its answer is no recipe: operation 1: unknown operation 'explode'"
        ):
            call(comfy_host, "EditByWords", instructions=text, **ask)
        edited, _, _, report = call(
            comfy_host, "EditByWords", map=maps, instructions="remove the dog", language_model="always"
        )
        assert "unknown operation 'explode'" in json.loads(report)["maps"][0]["by_model"]["failed"]
        assert not (edited == palettes.encode(labels)[0, 17, 5]).all(-1).any(), "the grammar has read it"
