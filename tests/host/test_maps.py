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
    palettes = comfy_host.engine("comfyui_fgdm.palettes")
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
    clean, mask, legend, text = comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="dog")
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


def test_best_of_n_finds_the_fullest_map(comfy_host, maps, dog_and_bicycle):
    best, chart, recall, index, text = comfy_host.call(
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
