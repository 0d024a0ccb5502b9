"""Decode Map and Best of N on maps drawn here, whose content is known exactly."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

DOG, BICYCLE, SKY, GRASS = 17, 1, 156, 123


@pytest.fixture(scope="module")
def coco(comfy_host):
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    names = {label.name: label.index for label in palettes.COCO.labels}
    assert (names["dog"], names["bicycle"]) == (DOG, BICYCLE)
    return SimpleNamespace(palettes=palettes, sky=names["sky-other"], grass=names["grass"], void=palettes.COCO.void)


@pytest.fixture(scope="module")
def labels(coco):
    """Three maps of 40 x 32: grass below sky; with a dog of 10 x 10; with a dog and a bicycle of 8 x 8."""
    maps = torch.full((3, 40, 32), coco.sky)
    maps[:, 20:] = coco.grass
    maps[1:, 22:32, 4:14] = DOG
    maps[2, 24:32, 20:28] = BICYCLE
    return maps


@pytest.fixture(scope="module")
def maps(coco, labels):
    # the colours of two classes differ by 32 levels in some channel: up to 15 levels off, the nearest is still right
    noise = (torch.rand(*labels.shape, 3, generator=torch.Generator().manual_seed(0)) * 30 - 15) / 255
    return (coco.palettes.encode(labels) + noise).clamp(0, 1)


@pytest.fixture(scope="module")
def dog_and_bicycle(comfy_host):
    return comfy_host.call("FGDM_Objects", text="dog, bicycle", mode="list")[0]


def test_decoded_maps_are_clean_and_complete(comfy_host, coco, labels, maps):
    given = maps.clone()
    clean, mask, legend, text, _ = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="dog")
    assert torch.equal(clean, coco.palettes.encode(labels))
    assert torch.equal(mask, (labels == DOG).float())
    assert legend.ndim == 4 and legend.shape[0] == 1 and legend.shape[-1] == 3
    report = json.loads(text)
    third = report["maps"][2]
    assert (third["width"], third["height"], third["unreadable"]) == (32, 40, 0)
    assert {c["name"]: (c["box"], c["area"]) for c in third["classes"] if c["label"] in (DOG, BICYCLE)} == {
        "dog": ([4, 22, 14, 32], 100 / 1280),
        "bicycle": ([20, 24, 28, 32], 64 / 1280),
    }
    assert sum(c["area"] for c in third["classes"]) == pytest.approx(1)
    assert torch.equal(maps, given), "the input is left as it was"


def test_mask_without_a_class_is_all_things(comfy_host, labels, maps):
    mask = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="")[1]
    assert torch.equal(mask, ((labels == DOG) | (labels == BICYCLE)).float())


def test_regions_are_listed_with_their_boxes(comfy_host, maps, labels):
    report = json.loads(comfy_host.call("FGDM_DecodeMap", maps=maps)[3])
    classes = {c["name"]: c["regions"] for c in report["maps"][2]["classes"]}
    assert classes["dog"] == [{"area": 100 / 1280, "box": [4, 22, 14, 32]}]
    assert classes["bicycle"] == [{"area": 64 / 1280, "box": [20, 24, 28, 32]}]
    assert [region["box"] for region in classes["sky-other"]] == [[0, 0, 32, 20]]
    assert sum(region["area"] for regions in classes.values() for region in regions) == pytest.approx(1)


def test_segs_are_the_regions_of_the_mask_one_for_each_map(comfy_host, maps, labels):
    prompt_output = comfy_host.node("FGDM_DecodeMap").GET_SCHEMA().outputs[4]
    assert (prompt_output.io_type, prompt_output.is_output_list) == ("SEGS", True)
    _, mask, _, _, segs = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="")
    assert [[seg.label for seg in one[1]] for one in segs] == [[], ["dog"], ["dog", "bicycle"]]
    assert all(one[0] == (40, 32) for one in segs)
    for index, (_, found) in enumerate(segs):
        canvas = torch.zeros(40, 32)
        for seg in found:
            x0, y0, x1, y1 = seg.crop_region
            canvas[y0:y1, x0:x1] += torch.from_numpy(seg.cropped_mask)
        assert torch.equal(canvas, mask[index])
    segs = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="grass")[4]
    assert [[seg.label for seg in one[1]] for one in segs] == [["grass"]] * 3


def test_painted_in_the_colours_of_ade20k(comfy_host, coco, labels, maps):
    ade = coco.palettes.get("ade20k150")
    as_read = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="dog")
    painted = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="dog", colours="ADE20K")
    names = {DOG: "animal", BICYCLE: "bicycle", coco.sky: "sky", coco.grass: "grass"}
    expected = torch.empty_like(labels)
    for label, name in names.items():
        expected[labels == label] = ade.index(name)
    assert torch.equal(painted[0], coco.palettes.encode(expected, ade))
    assert torch.equal(painted[1], as_read[1]) and not torch.equal(painted[2], as_read[2])
    report = json.loads(painted[3])
    assert (report["palette"], report["colours"], report["without_colour"]) == ("coco183", "ade20k150", [])
    assert report["maps"] == json.loads(as_read[3])["maps"]
    assert torch.equal(comfy_host.call("FGDM_DecodeMap", maps=maps, colours="COCO")[0], as_read[0])


def test_classes_without_a_colour_are_painted_white_and_named(comfy_host, coco):
    train = coco.palettes.encode(torch.full((1, 8, 8), coco.palettes.COCO.index("train")))
    clean, _, _, text, _ = comfy_host.call("FGDM_DecodeMap", maps=train, colours="ADE20K")
    assert torch.equal(clean, torch.ones(1, 8, 8, 3))
    assert json.loads(text)["without_colour"] == ["train"]


def test_official_rule(comfy_host, coco, tiny, make_factor):
    """Four levels too much red: the nearest class is still dog, the last one within 28 levels is 64 higher."""
    picture = coco.palettes.encode(torch.full((1, 8, 8), DOG)) + torch.tensor([4.0, 0.0, 0.0]) / 255

    def names(**inputs):
        report = json.loads(comfy_host.call("FGDM_DecodeMap", maps=picture, **inputs)[3])
        return report["rule"], [c["name"] for c in report["maps"][0]["classes"]]

    other = coco.palettes.COCO.labels[DOG + 64].name
    assert names() == names(rule="nearest") == ("nearest", ["dog"])
    assert names(rule="official") == ("official", [other])
    assert names(rule="official", factor=tiny.load(make_factor("two.safetensors", classes=(DOG, 123))))[1] == [other]


def test_maps_of_another_palette(comfy_host, coco, labels, tiny, make_factor):
    """Read and repainted with the palette of their factor."""
    ade = coco.palettes.get("ade20k150")
    factor = tiny.load(make_factor("ade.safetensors", palette="ade20k150"))
    picture = coco.palettes.encode(torch.full((1, 40, 32), ade.index("sky")), ade)
    picture[:, 10:30, 5:25] = torch.tensor(ade.labels[ade.index("sofa")].rgb) / 255
    clean, mask, _, text, segs = comfy_host.call("FGDM_DecodeMap", maps=picture, factor=factor, colours="COCO")
    couch = coco.palettes.COCO.labels[coco.palettes.COCO.index("couch")]
    assert torch.equal(clean[0, 20, 10], torch.tensor(couch.rgb) / 255)
    assert mask.sum() == 400 and [seg.label for seg in segs[0][1]] == ["sofa"]
    assert json.loads(text)["palette"] == "ade20k150"
    face = tiny.load(make_factor("face.safetensors", palette="celebamask19"))
    picture = coco.palettes.encode(torch.ones(1, 8, 8, dtype=torch.int64), coco.palettes.get("celebamask19"))
    with pytest.raises(ValueError, match="colours: there is no table .*'celebamask19'.* Choose 'as read'"):
        comfy_host.call("FGDM_DecodeMap", maps=picture, factor=face, colours="COCO")


def test_maps_of_a_palette_that_nobody_named_are_refused_by_its_name(comfy_host, coco, dog_and_bicycle, factor):
    """An ADE20K map, read as COCO, would hold a railroad, a horse and a microwave."""
    ade = coco.palettes.get("ade20k150")
    drawn = torch.full((1, 40, 32), ade.index("sky"))
    drawn[:, 20:], drawn[:, 25:35, 5:15] = ade.index("grass"), ade.index("car")
    picture = coco.palettes.encode(drawn, ade)
    for given in (None, factor):
        with pytest.raises(
            ValueError, match="maps: the colours .* of the palette 'ade20k150', but .* read as 'coco183'"
        ):
            comfy_host.call("FGDM_DecodeMap", maps=picture, factor=given)
        with pytest.raises(ValueError, match="maps: the colours .* of the palette 'ade20k150'"):
            comfy_host.call(
                "FGDM_BestOfN", maps=picture, objects=dog_and_bicycle, factor=given, keep=1, min_area=0.001, erode=1
            )
        told = comfy_host.call("FGDM_DecodeMap", maps=picture, factor=given, class_name="car", palette="ade20k150")
        assert torch.equal(told[0], picture) and torch.equal(told[1], (drawn == ade.index("car")).float())
        assert {c["name"] for c in json.loads(told[3])["maps"][0]["classes"]} == {"sky", "grass", "car"}
    with pytest.raises(ValueError, match="of the palette 'ade20k150', but .* read as 'cityscapes19'"):
        comfy_host.call("FGDM_DecodeMap", maps=picture, palette="cityscapes19")
    with pytest.raises(ValueError, match="palette: unknown palette 'mine'"):
        comfy_host.call("FGDM_DecodeMap", maps=picture, palette="mine")


def test_prompts_saved_before_the_options_still_run(comfy_host):
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 0}},
        "2": {"class_type": "FGDM_DecodeMap", "inputs": {"maps": ["1", 0], "class_name": ""}},
    }
    run = comfy_host.run(prompt, wanted=["2"])
    assert run.output("2", 1).sum() == 2 * 16 * 16  # black is person
    assert [len(segs[1]) for segs in run.outputs["2"][4]] == [1, 1]


def test_best_of_n_finds_the_fullest_map(comfy_host, maps, dog_and_bicycle):
    best, chart, recall, index, text, _ = comfy_host.call(
        "FGDM_BestOfN", maps=maps, objects=dog_and_bicycle, keep=2, seed=2**64 - 1, min_area=0.001, erode=1
    )
    assert index == 2 and recall == 1.0
    assert torch.equal(best, maps[[2, 1]])
    assert chart.dtype == torch.float32 and chart.shape[0] == 1
    report = json.loads(text)
    assert [one["recall"] for one in report["maps"]] == [0, 0.5, 1]
    assert [one["seed"] for one in report["maps"]] == [2**64 - 1, 0, 1]


def test_min_area_and_erode_reach_the_rule(comfy_host, maps, dog_and_bicycle):
    def recall(**rule):
        return comfy_host.call("FGDM_BestOfN", maps=maps, objects=dog_and_bicycle, keep=1, **rule)[2]

    assert recall(min_area=0.06, erode=0) == 0.5  # the bicycle is 5.0 % of the map, the dog 7.8 %
    assert recall(min_area=0.001, erode=4) == 0.5  # four passes leave 2 x 2 of the dog, nothing of the bicycle


def test_chart_is_shown_in_the_node(comfy_host, maps, dog_and_bicycle):
    node = comfy_host.node("FGDM_BestOfN")
    out = node.EXECUTE_NORMALIZED(maps=maps, objects=dog_and_bicycle, keep=1, min_area=0.001, erode=1)
    (shown,) = out.ui.as_dict()["images"]
    assert (Path(comfy_host.folder_paths.get_temp_directory()) / shown["filename"]).is_file()


def test_objects_the_factor_cannot_draw_are_left_out_and_reported(comfy_host, tiny, make_factor, maps, dog_and_bicycle):
    factor = tiny.load(make_factor("dogs.safetensors", classes=(DOG, 156, 123)))
    objects, names, report = comfy_host.call("FGDM_Objects", text="a dog on a bicycle", mode="prompt", factor=factor)
    assert names == "dog"
    assert "bicycle" in report and "not trained" in report
    found = json.loads(
        comfy_host.call(
            "FGDM_BestOfN", maps=maps, objects=dog_and_bicycle, factor=factor, keep=1, min_area=0.001, erode=1
        )[4]
    )
    assert [one["name"] for one in found["objects"]] == ["dog"]
    assert found["excluded"][0]["phrase"] == "bicycle"
    assert found["best_recall"] == 1.0
