"""Laying out: nodes of a column stacked with their titles free, frames around them, and shipped files within the window."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest

from tools import layout
from tools.workflow import templates

FILES = templates()


def node(number: int, x: int, y: int, width: int, kind: str = "KSampler") -> dict[str, Any]:
    return {"id": number, "type": kind, "title": "t", "pos": [x, y], "size": [width, 50]}


def test_nodes_are_stacked_in_their_columns_and_framed() -> None:
    drawn = {
        "nodes": [node(1, 7, 300, 200), node(2, 7, 20, 250), node(3, 900, 0, 100)],
        "groups": [{"title": "both", "bounding": [0, 0, 10, 400]}, {"title": "last", "bounding": [890, 0, 50, 50]}],
    }
    before = copy.deepcopy(drawn)
    done = layout.arrange(drawn, {1: 60.4, 2: 100, 3: 500})
    assert drawn == before
    first, second, third = done["nodes"][1], done["nodes"][0], done["nodes"][2]
    assert (first["pos"], first["size"]) == ([layout.LEFT, layout.TOP], [250, 100])
    below = layout.TOP + 100 + layout.TITLE + layout.BETWEEN
    assert (second["pos"], second["size"]) == ([layout.LEFT, below], [250, 60])
    assert third["pos"] == [layout.LEFT + 250 + layout.COLUMNS_APART, layout.TOP]
    end = layout.TOP + 500 + layout.FRAME
    for group, inside in zip(done["groups"], ([first, second], [third])):
        left, top, width, height = group["bounding"]
        assert top + height == end, "frames end together"
        for one in inside:
            assert left < one["pos"][0] and one["pos"][0] + one["size"][0] < left + width
            assert top < one["pos"][1] - layout.TITLE


def test_what_is_measured_is_the_least_of_what_needs_no_height() -> None:
    drawn = {"nodes": [node(1, 0, 0, 9), node(2, 0, 90, 9, "SaveImage"), node(3, 0, 180, 9, "MarkdownNote")]}
    assert [one["size"][1] for one in layout.least(drawn)["nodes"]] == [1, 50, 60]


@pytest.mark.parametrize("name", sorted(FILES))
def test_shipped_workflows_are_laid_out(name: str) -> None:
    workflow = json.loads(FILES[name].read_text("utf-8"))
    assert layout.zoom(workflow) >= layout.LEAST_ZOOM
    frames = [group["bounding"] for group in workflow["groups"]]
    for (x, _, width, _), (other, _, _, _) in itertools.pairwise(sorted(frames)):
        assert x + width <= other, "frames overlap"
    for column in layout.columns_of(workflow["nodes"]):
        for upper, lower in itertools.pairwise(column):
            assert upper["pos"][1] + upper["size"][1] + layout.TITLE <= lower["pos"][1], (upper["id"], lower["id"])
