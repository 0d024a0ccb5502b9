"""Scores from anywhere: every form gives the numbers that are in it, and lengths are checked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from comfyui_fgdm.objects.query import ObjectsError
from comfyui_fgdm.objects.selection import order_of, scores_of

NUMBERS = [0.5, 2.0, -1.0]
BOX = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0, "score": 0.9}


@pytest.mark.parametrize(
    "value",
    [
        NUMBERS, tuple(NUMBERS), torch.tensor(NUMBERS), torch.tensor(NUMBERS)[:, None], np.array(NUMBERS), json.dumps(NUMBERS),
        "0.5, 2; -1", " 0.5\n2e0\n-1.0 ", [torch.tensor(0.5), np.float64(2), -1], json.dumps({"maps": [{"recall": n} for n in NUMBERS]}),
    ],
)  # fmt: skip
def test_numbers(value) -> None:
    assert scores_of(value, 3) == NUMBERS


def test_one_number_for_one_picture() -> None:
    assert scores_of(0.25, 1) == scores_of("0.25", 1) == scores_of(torch.tensor(0.25), 1) == [0.25]


def test_detections_are_the_share_of_what_is_wanted() -> None:
    found = [[BOX | {"label": "dog"}, BOX | {"label": "Dog"}], [], [BOX | {"label": "car"}, BOX | {"label": "dog"}]]
    assert scores_of(found, 3, "dog, car") == [0.5, 0.0, 1.0]
    assert scores_of(found[2], 1, " Dog ,car, dog") == [1.0], "the boxes of a single picture"
    assert scores_of([[]], 1, "dog") == [0.0]
    with pytest.raises(ObjectsError, match="wanted: the scores are detections"):
        scores_of(found, 3)


def test_order() -> None:
    assert order_of([1.0, 3.0, 3.0, 2.0]) == [1, 2, 3, 0]
    assert order_of([1.0, 3.0, 1.0, 2.0], lowest=True) == [0, 2, 3, 1]


@pytest.mark.parametrize(
    ("value", "count", "wrong"),
    [
        ([0.5, 1.0], 3, "2 scores for 3 pictures"),
        ("0.5", 2, "1 scores for 2 pictures"),
        ("", 1, "0 scores for 1 pictures"),
        ([0.5, float("nan")], 2, "number 1 is 'nan'"),
        ([0.5, None], 2, "number 1 is 'None'"),
        ([0.5, True], 2, "number 1 is 'True'"),
        ("good, bad", 2, "neither JSON nor numbers"),
        (None, 1, "neither a list of numbers"),
        ([0.5, []], 2, "number 1"),
    ],
)
def test_what_is_no_score_is_refused(value, count, wrong) -> None:
    with pytest.raises(ValueError, match=wrong):
        scores_of(value, count, "dog")
