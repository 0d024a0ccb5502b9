"""Connected regions against maps drawn here, and SEGS as the Impact Pack reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from comfyui_fgdm.maps.palettes import COCO
from comfyui_fgdm.maps.regions import find_regions, to_segs
from comfyui_fgdm.objects.recall import PresenceRule

DOG, CAT, GRASS = 17, 16, 123
ALL = PresenceRule(min_area=0.0, erode=0)


@pytest.fixture
def labels() -> torch.Tensor:
    """60 x 80: grass, two dogs of 10 x 20 and 8 x 8, a cat of 12 x 12, a speck, and a seam two pixels wide."""
    one = torch.full((60, 80), GRASS)
    one[5:15, 10:30] = DOG
    one[40:48, 60:68] = DOG
    one[30:42, 20:32] = CAT
    one[55, 5] = DOG
    one[50:52, 0:40] = CAT
    return one


def test_regions_are_the_islands_that_were_drawn(labels: torch.Tensor) -> None:
    found = find_regions(labels, [DOG, CAT])
    assert [(region.label, region.box, region.area) for region in found] == [
        (DOG, (10, 5, 30, 15), 200),
        (CAT, (20, 30, 32, 42), 144),
        (DOG, (60, 40, 68, 48), 64),
    ]
    assert all(region.mask.dtype == bool and region.mask.all() for region in found)


def test_all_classes_and_the_rule(labels: torch.Tensor) -> None:
    assert [region.label for region in find_regions(labels)] == [GRASS, DOG, CAT, DOG]
    everything = find_regions(labels, rule=ALL)
    assert len(everything) == 6 and sum(region.area for region in everything) == 60 * 80
    assert everything[-1].box == (5, 55, 6, 56)
    large = find_regions(labels, [DOG], PresenceRule(min_area=0.03, erode=0))
    assert [region.area for region in large] == [200]
    assert find_regions(labels, [DOG], PresenceRule(min_area=0.0, erode=5)) == []
    assert find_regions(labels, []) == []


def test_masks_put_together_are_the_map(labels: torch.Tensor) -> None:
    canvas = np.full((60, 80), -1)
    for region in find_regions(labels, rule=ALL):
        left, top, right, bottom = region.box
        part = canvas[top:bottom, left:right]
        assert (part[region.mask] == -1).all(), "regions do not overlap"
        part[region.mask] = region.label
    assert np.array_equal(canvas, labels.numpy())


def test_corners_connect_and_a_ring_is_one_region() -> None:
    one = torch.full((20, 20), GRASS)
    one[2:6, 2:6] = one[6:10, 6:10] = DOG
    one[12:19, 12:19] = CAT
    one[14:17, 14:17] = GRASS
    found = {region.label: region for region in find_regions(one, [DOG, CAT], ALL)}
    assert found[DOG].box == (2, 2, 10, 10) and found[DOG].area == 32
    assert found[CAT].area == 49 - 9 and not found[CAT].mask[3, 3]


def test_only_single_maps() -> None:
    with pytest.raises(ValueError, match=r"one label map \[H, W\]"):
        find_regions(torch.zeros(1, 4, 4, dtype=torch.int64))


def test_segs_have_the_structure_of_the_impact_pack(labels: torch.Tensor) -> None:
    segs = to_segs(find_regions(labels, [DOG, CAT]), (60, 80), COCO)
    assert isinstance(segs, tuple) and segs[0] == (60, 80) and isinstance(segs[1], list)
    first = segs[1][0]
    assert first._fields == (
        *("cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label", "control_net_wrapper"),
    )
    assert (first.cropped_image, first.confidence, first.control_net_wrapper) == (None, 1.0, None)
    assert [seg.label for seg in segs[1]] == ["dog", "cat", "dog"]
    assert first.bbox == (10, 5, 30, 15)
    assert first.crop_region == [0, 0, 60, 30]  # 60 x 30 around the box, moved down and right into the map
    for seg in segs[1]:
        assert type(seg.crop_region) is list and all(type(v) is int for v in (*seg.crop_region, *seg.bbox))
        assert isinstance(seg.cropped_mask, np.ndarray) and seg.cropped_mask.dtype == np.float32


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0, 100.0])
def test_crops_hold_their_boxes_and_pasted_back_give_the_mask(labels: torch.Tensor, factor: float) -> None:
    regions = find_regions(labels, rule=ALL)
    for region, seg in zip(regions, to_segs(regions, (60, 80), COCO, factor)[1], strict=True):
        x0, y0, x1, y1 = seg.crop_region
        left, top, right, bottom = seg.bbox
        assert 0 <= x0 <= left < right <= x1 <= 80 and 0 <= y0 <= top < bottom <= y1 <= 60
        assert seg.cropped_mask.shape == (y1 - y0, x1 - x0)
        assert x1 - x0 == min(80, int((right - left) * factor)) and y1 - y0 == min(60, int((bottom - top) * factor))
        canvas = np.zeros((60, 80), dtype=np.float32)
        canvas[y0:y1, x0:x1] = seg.cropped_mask
        expected = np.zeros((60, 80), dtype=np.float32)
        expected[top:bottom, left:right] = region.mask
        assert np.array_equal(canvas, expected)


def test_segs_of_nothing_and_a_factor_below_one() -> None:
    assert to_segs([], (4, 6), COCO) == ((4, 6), [])
    with pytest.raises(ValueError, match="factor"):
        to_segs([], (4, 6), COCO, 0.5)
