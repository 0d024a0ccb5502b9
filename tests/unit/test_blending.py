"""What an edited map means to have changed in a picture, and pasting it: every expected pixel is written down or recomputed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.editing.blending import edited_region, paste, soften

LETTERS = ".gdcp"  # nothing, grass; dog, cat and person are things
THINGS = (2, 3, 4)


def drawn(text: str) -> np.ndarray:
    return np.array([[LETTERS.index(one) for one in row] for row in text.split()])


def region(before: str, after: str) -> list[str]:
    found = edited_region(drawn(before), drawn(after), THINGS)
    return ["".join("#" if one else "-" for one in row) for row in found]


@pytest.mark.parametrize(
    ("what", "before", "after", "expected"),
    [
        ("moved over its own place: all of both places", "gddddgg gggggdg", "gggdddd gggggdg", "-###### -----#-"),
        ("another of its class stays as it is", "ddggdd gggggg", "ggddgg gggggg", "###### ------"),
        ("smaller: all of it, and what it leaves", "gddddg", "ggddgg", "-####-"),
        ("larger", "ggddgg", "gddddg", "-####-"),
        ("covered by a thing: there alone", "gccccg gggggd", "gccddg gggggg", "---##- -----#"),
        ("comes to light: there alone, for nothing else is another", "cccdd", "cccgg", "---##"),
        ("behind what is no thing: all of it", "gddddg", "gddggg", "-####-"),
        ("removed", "gddg gccg", "gggg gccg", "-##- ----"),
        ("another class", "gddg", "gccg", "-##-"),
        ("background alone", "gg.. gdd.", "gggg gddg", "--## ---#"),
        ("corners connect", "dgg gdg ggg", "dgg ggg ggg", "#-- -#- ---"),
        ("nothing", "gdc", "gdc", "---"),
    ],
)
def test_objects_that_moved_are_drawn_anew_whole(what: str, before: str, after: str, expected: str) -> None:
    assert region(before, after) == expected.split(), what


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=30, max_size=30), st.lists(st.integers(0, 4), min_size=30, max_size=30))
def test_a_region_holds_every_change_and_besides_only_things(one, other) -> None:
    before, after = (np.array(labels).reshape(5, 6) for labels in (one, other))
    found = edited_region(before, after, THINGS)
    assert found[before != after].all() and not edited_region(before, before, THINGS).any()
    extra = found & (before == after)
    assert np.isin(before[extra], THINGS).all(), "besides, only things are drawn anew"


def test_edges_are_circles_and_fall_evenly() -> None:
    mask = torch.zeros(2, 21, 21)
    mask[0, 10, 10] = 0.6
    ys, xs = np.mgrid[-10:11, -10:11]
    distance = torch.from_numpy(np.sqrt(ys**2.0 + xs**2)).float()
    assert torch.equal(soften(mask, 3, 0)[0], (distance <= 3).float())
    soft = soften(mask, 2, 4)
    torch.testing.assert_close(soft[0], ((6 - distance) / 4).clamp(0, 1))
    assert (soft[0] > 0).sum() == (distance < 6).sum() and (soft[0] == 1).sum() == (distance <= 2).sum()
    assert not soft[1].any(), "a map without a change stays so in a batch"
    assert torch.equal(soften(soft, 0, 0), soft), "a mask as it is"
    assert not soften(mask * 0.5, 3, 3).any()
    with pytest.raises(ValueError, match="pixels from 0 on, not -1 and 2"):
        soften(mask, -1, 2)


def test_outside_nothing_changes_inside_nothing_stays() -> None:
    generator = torch.Generator().manual_seed(0)
    original, edited = (torch.rand(3, 12, 10, 3, generator=generator) for _ in range(2))
    edited[0, 0, 0] = float("nan")  # of no concern outside of the mask
    mask = soften(torch.zeros(1, 12, 10).index_fill_(2, torch.tensor([4, 5]), 1.0), 0, 3)
    out = paste(original, edited, mask)
    inside, outside = (mask == 1).expand(3, -1, -1), (mask == 0).expand(3, -1, -1)
    assert torch.equal(out[inside], edited[inside]) and torch.equal(out[outside], original[outside])
    between = ~(inside | outside)
    share = mask.expand(3, -1, -1)[between][:, None]
    torch.testing.assert_close(out[between], (1 - share) * original[between] + share * edited[between])
    assert between.any() and torch.equal(paste(original[1:2], edited[1:2], mask)[0], out[1])
    assert torch.equal(
        paste(original[:1], edited, mask)[1:][outside[1:]], original[:1].expand(2, -1, -1, -1)[outside[1:]]
    )
    again = paste(original, out, mask)
    assert torch.equal(again[outside], original[outside]) and torch.equal(again[inside], edited[inside])
