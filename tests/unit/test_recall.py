"""Object recall against a slow, separate implementation, and its rules one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import recall, words
from comfyui_fgdm.objects.recall import PresenceRule, Scores
from comfyui_fgdm.objects.words import ObjectItem, ObjectQuery, ObjectsError

DOG, BICYCLE, TREE, GRASS, VOID = 17, 1, 168, 123, 182


def query(*items: int | tuple[int, ...]) -> ObjectQuery:
    groups = [(item,) if isinstance(item, int) else item for item in items]
    return ObjectQuery(tuple(ObjectItem(str(g[0]), g[0], f"class {g[0]}", tuple(g[1:])) for g in groups))


def erode(mask: np.ndarray, passes: int) -> np.ndarray:
    """Pixel by pixel: stays if no pixel of its 3x3 neighbourhood inside the map is outside the mask."""
    for _ in range(passes):
        out = np.zeros_like(mask)
        for y in range(mask.shape[0]):
            for x in range(mask.shape[1]):
                out[y, x] = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].all()
        mask = out
    return mask


def canvas(*boxes: tuple[int, int, int, int, int], size: int = 64, ground: int = GRASS) -> torch.Tensor:
    labels = torch.full((1, size, size), ground)
    for label, top, left, height, width in boxes:
        labels[0, top : top + height, left : left + width] = label
    return labels


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    passes=st.integers(0, 2),
    min_area=st.floats(0, 0.6),
)
def test_score_equals_slow_implementation(data, height, width, passes, min_area) -> None:
    values = data.draw(st.lists(st.sampled_from([0, 1, 2, VOID]), min_size=height * width, max_size=height * width))
    labels = torch.tensor(values).reshape(1, height, width)
    groups = [(0,), (1, 2), (5,)]
    scores = recall.score(labels, query(*groups), PresenceRule(min_area, passes))
    array, area = labels[0].numpy(), height * width
    for k, group in enumerate(groups):
        count = erode(np.isin(array, group), passes).sum()
        assert scores.area[0, k].item() == pytest.approx(count / area)
        assert bool(scores.present[0, k]) == (count > 0 and np.float32(count / area) >= np.float32(min_area))
    assert scores.recall[0].item() == pytest.approx(scores.present[0].float().mean().item())


def test_recall_is_the_share_of_required_objects_that_are_there() -> None:
    labels = torch.cat([canvas(), canvas((DOG, 2, 2, 20, 20)), canvas((DOG, 2, 2, 20, 20), (TREE, 30, 30, 9, 9))])
    scores = recall.score(labels, query(DOG, TREE))
    assert scores.recall.tolist() == [0.0, 0.5, 1.0]
    assert scores.present.tolist() == [[False, False], [True, False], [True, True]]
    assert scores.area[1, 0].item() == pytest.approx(18 * 18 / 64**2)


def test_thin_colours_of_blended_edges_are_no_objects() -> None:
    labels = canvas((DOG, 10, 10, 30, 2), (DOG, 50, 0, 2, 64), (TREE, 0, 40, 5, 5))
    assert recall.score(labels, query(DOG), PresenceRule(erode=1)).recall.item() == 0.0
    assert recall.score(labels, query(DOG), PresenceRule(erode=0)).recall.item() == 1.0


def test_objects_at_the_border_keep_their_border() -> None:
    labels = canvas((DOG, 0, 0, 3, 3))
    assert recall.score(labels, query(DOG), PresenceRule(0.0, 1)).area.item() == pytest.approx(4 / 64**2)


def test_min_area_is_inclusive_and_zero_still_needs_a_pixel() -> None:
    labels = canvas((DOG, 0, 0, 8, 8))
    exact = 64 / 64**2
    assert recall.score(labels, query(DOG), PresenceRule(exact, 0)).recall.item() == 1.0
    assert recall.score(labels, query(DOG), PresenceRule(exact + 1e-6, 0)).recall.item() == 0.0
    assert recall.score(labels, query(BICYCLE), PresenceRule(0.0, 0)).recall.item() == 0.0


def test_alternatives_of_an_object_count_together() -> None:
    labels = canvas((170, 10, 10, 4, 8), (172, 14, 10, 4, 8))  # two kinds of wall, one above the other
    scores = recall.score(labels, query((172, 170)), PresenceRule(0.0, 1))
    assert scores.area.item() == pytest.approx(6 * 6 / 64**2)
    assert scores.spurious_labels == ((GRASS,),)


def test_spurious_classes_are_those_present_but_not_required() -> None:
    labels = canvas((DOG, 2, 2, 20, 20), (TREE, 30, 30, 9, 9), (BICYCLE, 50, 50, 2, 9), (VOID, 0, 40, 9, 9))
    scores = recall.score(labels, query(DOG))
    assert scores.spurious_labels == ((GRASS, TREE),)
    assert scores.spurious.tolist() == [2]


def test_a_permuted_batch_gives_permuted_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (6, 8, 8), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    first, second = (recall.score(maps, query(0, (1, 2))) for maps in (labels, labels[order]))
    assert torch.equal(first.recall[order], second.recall) and torch.equal(first.area[order], second.area)
    assert [first.spurious_labels[i] for i in order.tolist()] == list(second.spurious_labels)


def made_scores(rows: list[tuple[list[float], int]]) -> Scores:
    area = torch.tensor([areas for areas, _ in rows])
    present = area > 0
    spurious = torch.tensor([count for _, count in rows])
    return Scores(present.float().mean(1), present, area, spurious, tuple(() for _ in rows))


def test_best_prefers_recall_then_few_spurious_then_large_small_objects_then_the_first() -> None:
    scores = made_scores(
        [
            ([0.5, 0.0], 0),  # 0: half of the objects
            ([0.8, 0.8], 3),  # 1: all and large, three spurious
            ([0.1, 0.2], 1),  # 2: all, smallest 0.1
            ([0.2, 0.2], 1),  # 3: all, smallest 0.2
            ([0.2, 0.9], 1),  # 4: as 3, later
            ([0.0, 0.6], 0),  # 5: half, but larger than 0
            ([0.0, 0.0], 0),  # 6: nothing
        ]
    )
    assert recall.best(scores, 7).tolist() == [3, 4, 2, 1, 5, 0, 6]
    assert recall.best(scores).tolist() == [3]


def test_best_of_n_never_gets_worse_with_more_maps() -> None:
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 9, (12, 4, 4), generator=generator).repeat_interleave(6, 1).repeat_interleave(6, 2)
    values = []
    for count in range(1, 13):
        scores = recall.score(labels[:count], query(0, 1, 2, 3, 4))
        values.append(scores.recall[recall.best(scores)].item())
    assert values == sorted(values) and values[-1] > values[0]


def test_best_refuses_to_keep_what_is_not_there() -> None:
    scores = recall.score(torch.zeros(3, 4, 4, dtype=torch.long), query(0))
    for k in (0, -1, 4):
        with pytest.raises(ValueError, match=r"1\.\.3"):
            recall.best(scores, k)


def test_json_is_plain_and_says_what_was_found() -> None:
    labels = torch.cat([canvas(), canvas((DOG, 2, 2, 20, 20), (0, 40, 40, 9, 9))])
    asked = words.from_prompt("a dog and a bicycle, no cats, unicorn")
    scores = recall.score(labels, asked)
    data = json.loads(json.dumps(recall.to_json(scores, asked, seeds=[2**64 - 1, 2**64])))
    assert data["best"] == [1, 0] and data["best_recall"] == 0.5 and data["mean_recall"] == 0.25
    assert list(data["recall_by_object"].values()) == [0.5, 0.0]
    assert [m["seed"] for m in data["maps"]] == [2**64 - 1, 0]
    assert data["maps"][1]["present"] == ["dog"] and data["maps"][1]["missing"] == ["bicycle"]
    assert data["maps"][1]["spurious"] == ["person", "grass"] and data["maps"][1]["rank"] == 1
    assert data["objects"][0] == {"phrase": "dog", "label": DOG, "name": "dog"}
    assert data["unmatched"] == ["unicorn"] and data["excluded"][0]["phrase"] == "cats"
    assert recall.to_json(scores, asked)["maps"][0]["seed"] is None
    with pytest.raises(ValueError, match="3 seeds for 2 maps"):
        recall.to_json(scores, asked, [1, 2, 3])


def test_no_objects_or_no_maps_are_refused() -> None:
    with pytest.raises(ObjectsError):
        recall.score(canvas(), ObjectQuery(()))
    for bad in (torch.zeros(1, 4, 4), torch.zeros(4, 4, dtype=torch.long), torch.zeros(0, 4, 4, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"\[B, H, W\]"):
            recall.score(bad, query(0))


def test_rules_out_of_range_are_refused() -> None:
    for bad in ({"min_area": -0.1}, {"min_area": 1.5}, {"min_area": float("nan")}, {"erode": -1}, {"erode": 1.5}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            PresenceRule(**bad)


def test_maps_of_another_palette_are_scored_with_its_classes_and_its_void() -> None:
    """Label 150 is void in ADE20K and a class in COCO."""
    ade = palettes.get("ade20k150")
    asked = words.parse("a couch and a unicorn", palette=ade)
    labels = torch.full((1, 20, 20), ade.void)
    labels[0, :10, :10], labels[0, 12:, 12:] = ade.index("sofa"), ade.index("wall")
    scores = recall.score(labels, asked)
    assert scores.recall.tolist() == [1.0] and scores.spurious_labels == ((ade.index("wall"),),)
    data = recall.to_json(scores, asked)
    assert data["palette"] == "ade20k150" and data["summary"] == "1 object: sofa; not counted: unicorn"
    assert data["maps"][0]["spurious"] == ["wall"]
