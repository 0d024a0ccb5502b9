"""The judge on pictures: boxes and segmentations with known answers, beside what a selector said, and all that may be wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import recall, verdict, words
from comfyui_fgdm.objects.choices import Pairs
from comfyui_fgdm.objects.judge import COCO_THINGS, JudgeError, by_boxes, by_labels, read_boxes
from comfyui_fgdm.objects.judge_chart import judge_table
from comfyui_fgdm.objects.sentence import Reading
from comfyui_fgdm.objects.verdict import read_selector
from comfyui_fgdm.objects.words import ObjectsError

COCO, ADE = palettes.COCO, palettes.get("ade20k150")
SIZE = (100, 50)


def box(label: str, score: float = 0.9, **at: float) -> dict[str, Any]:
    return {"x": 0.0, "y": 0.0, "width": 10.0, "height": 10.0, **at, "label": label, "score": score}


def asked(text: str, **reading: bool) -> words.ObjectQuery:
    return words.parse(text, reading=Reading(**reading))


def test_boxes_hold_objects_by_number_and_score() -> None:
    query = asked("two dogs, a cat, grass, no cars", counts=True, absences=True)
    frames = [
        [box("dog"), box("dog", 0.6, x=95.0), box("cat")],
        [box("dog"), box("dog", 0.4), box("Cat"), box("car")],
        [box("person")],
    ]
    found = by_boxes(read_boxes(frames, [SIZE] * 3), query, "boxes of D")
    assert found.query.names == ("dog", "cat", "no car") and [name for name, _ in found.unknown] == ["grass"]
    assert found.scores.present.tolist() == [[True, True, True], [False, True, False], [False, False, True]]
    assert found.scores.regions is not None and found.scores.regions.tolist() == [[2, 1, 0], [1, 1, 1], [0, 0, 0]]
    assert torch.allclose(found.scores.area[0], torch.tensor([150.0, 100.0, 0.0]) / 5000), (
        "cut off at the picture's edge"
    )
    assert found.scores.spurious_labels == ((), (COCO.index("car"),), (COCO.index("person"),))
    low = by_boxes(read_boxes(frames, [SIZE] * 3), query, "boxes of D", threshold=0.3)
    assert low.scores.present[1].tolist() == [True, True, False]


def test_a_detector_of_other_classes() -> None:
    """A class means what people call it so: a puppy is a dog, in COCO and under another name in ADE20K."""
    frames = read_boxes([[box("puppy"), box("sofa")]], [SIZE])
    found = by_boxes(frames, asked("a dog and a couch"), "D", ["puppy", "sofa", "thingamajig"])
    assert found.scores.recall.tolist() == [1.0]
    ade = words.parse("a couch, a dog", palette=ADE)
    assert by_boxes(frames, ade, "D", ["puppy", "sofa"]).scores.present.tolist() == [[True, True]]
    with pytest.raises(
        JudgeError, match="box of 'puppy', which is none of the 80 classes.*write its own into 'classes'"
    ):
        by_boxes(frames, asked("a dog"), "D")
    with pytest.raises(ObjectsError, match="D knows none of: grass, sky-other; it knows person, bicycle.* and 68 more"):
        by_boxes([[]], asked("grass, sky"), "D")
    assert len(COCO_THINGS) == 80 and COCO_THINGS[-1] == "toothbrush"


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("boxes", "expected one list of boxes a picture"),
        ([[box("dog")], "x"], "expected one list of boxes a picture"),
        ([[box("dog")]], "they are of 1 pictures, image has 2"),
        ([[], [{"x": 1, "y": 1, "width": 1, "height": 1}]], "box 0 of picture 1 has no label"),
        ([[], [box("dog", float("nan"))]], "box 0 of picture 1: x, y, width, height and score must be finite"),
        ([[], [box("dog", x="1")]], "must be finite numbers"),  # type: ignore[arg-type]
        ([[], [box(" ")]], "has no label"),
    ],
)
def test_boxes_that_are_none(boxes: Any, message: str) -> None:
    with pytest.raises(JudgeError, match=message):
        read_boxes(boxes, [SIZE] * 2)


def test_boxes_of_one_picture_may_come_bare() -> None:
    for boxes in (box("dog"), [box("dog")], [[box("dog")]]):
        assert [[one.label for one in frame] for frame in read_boxes(boxes, [SIZE])] == [["dog"]]
    assert read_boxes([], [SIZE]) == [[]]
    bare = {key: value for key, value in box("").items() if key != "label"}
    assert [one.label for one in read_boxes([bare], [SIZE], "dog")[0]] == ["dog"], "as SAM 3 gives them"


def test_a_segmentation_in_another_palette() -> None:
    """A couch is a sofa there, a zebra any animal; a fork is nothing, and is left out."""
    query = asked("a couch, a zebra, a fork")
    labels = torch.full((2, 40, 40), ADE.index("wall"))
    labels[0, 5:20, 5:20] = ADE.index("sofa")
    labels[1, 5:20, 5:20], labels[1, 25:35, 5:20] = ADE.index("sofa"), ADE.index("animal")
    found = by_labels(labels, query, ADE, "S")
    assert found.query.names == ("couch", "zebra") and found.unknown == (("fork", "S knows no such class"),)
    assert found.scores.recall.tolist() == [0.5, 1.0]
    few = by_labels(labels, query, ADE, "S", classes=[ADE.index("sofa"), ADE.index("wall")])
    assert few.query.names == ("couch",) and few.scores.recall.tolist() == [1.0, 1.0]
    with pytest.raises(ObjectsError, match="S knows none of: fork; it knows wall, building"):
        by_labels(labels, asked("a fork"), ADE, "S")


def test_in_its_own_palette_the_judge_scores_as_the_selector_does() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (3, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    query = asked("two people, a car, a motorcycle", counts=True)
    assert torch.equal(by_labels(labels, query, COCO, "S").scores.present, recall.score(labels, query).present)


def selected(text: str = "dog, cat, grass") -> tuple[str, words.ObjectQuery]:
    query = words.parse(text)
    labels = torch.full((3, 32, 32), COCO.index("grass"))
    labels[1, 4:12, 4:12] = COCO.index("dog")
    labels[2, 4:12, 4:12], labels[2, 20:28, 4:12] = COCO.index("dog"), COCO.index("cat")
    return json.dumps(recall.to_json(recall.score(labels, query), query, [5, 6, 7])), query


def test_selector_and_judge_side_by_side() -> None:
    """The best map held all; the picture lost the cat. Grass is not the detector's to judge."""
    text, query = selected()
    judgement = by_boxes(read_boxes([[box("dog")], [box("dog"), box("cat")]], [SIZE] * 2), query, "boxes of D")
    told = read_selector(text, 2)
    report = json.loads(json.dumps(verdict.report(judgement, told)))
    assert report["objects"] == ["dog", "cat"] and report["mean_recall"] == 0.75 and report["best"] == [1, 0]
    assert report["not_judged"] == [{"name": "grass", "why": "boxes of D knows no such class"}]
    first, second = (one["selector"] for one in report["images"])
    assert (first["map"], first["seed"], first["recall"], first["recall_of_the_same"]) == (2, 7, 1.0, 1.0)
    assert (first["lost"], first["gained"], second["lost"], second["gained"]) == (["cat"], [], [], ["cat"])
    assert report["selector"] == {"instrument": recall.MAPS, "mean_recall": 0.833333, "mean_recall_of_the_same": 0.75}
    assert report["independent"] is True and "not judged: grass" in report["summary"]
    in_order = verdict.report(judgement, read_selector(text, 2, Pairs.ALL))
    assert [one["selector"]["map"] for one in in_order["images"]] == [0, 1]


def test_selector_and_judge_that_are_the_same_model_are_said_to_be() -> None:
    query = words.parse("dog, cat")
    judgement = by_boxes(read_boxes([[box("dog")]], [SIZE]), query, "boxes of D")
    again = read_selector(json.dumps(verdict.report(judgement)), 1)
    assert verdict.report(judgement)["independent"] is None, "there is no selector"
    report = verdict.report(judgement, again)
    assert report["independent"] is False and "no check on the choice" in report["summary"]
    other = by_boxes(read_boxes([[box("dog")]], [SIZE]), query, "boxes of E")
    assert verdict.report(other, again)["independent"] is True


def test_reports_that_are_none() -> None:
    text, query = selected()
    for bad in ("", "no", "[1]", "{}", '{"maps": []}', '{"maps": 3}', "[" * 100_000, "1" * 5000):
        with pytest.raises(JudgeError, match="expected the json output of Best of N"):
            read_selector(bad, 1)
    for bad in (
        '{"maps": [3]}',
        '{"maps": [{"recall": 2}]}',
        '{"maps": [{"recall": "1"}]}',
        '{"maps": [{"recall": NaN}]}',
    ):
        with pytest.raises(JudgeError, match="no recall from 0 to 1"):
            read_selector(bad, 1)
    for bad, pictures in (
        (text, 4),
        ('{"maps": [{"recall": 1}], "best": [1]}', 1),
        ('{"maps": [{"recall": 1}], "best": 0}', 1),
    ):
        with pytest.raises(JudgeError, match="connect the report of the maps"):
            read_selector(bad, pictures)
    judgement = by_boxes([[]], words.parse("person"), "D")
    with pytest.raises(JudgeError, match="it looked for cat, dog, grass|it looked for dog, cat, grass"):
        verdict.report(judgement, read_selector(text, 1))
    bare = read_selector('{"maps": [{"recall": 0.5}]}', 1)
    assert verdict.report(judgement, bare)["images"][0]["selector"]["recall_of_the_same"] is None
    assert verdict.report(judgement, bare)["independent"] is None, "who chose is not known"
    scored = read_selector('{"images": [{"score": 0.25}, {"score": 0.75}], "best": [1, 0]}', 1)
    assert scored.choices[0].recall == 0.75, "the report of Select Best by Scores"


def test_the_table_shows_what_is_told_apart() -> None:
    text, query = selected()
    pictures = torch.zeros(2, 20, 20, 3)
    sheets = []
    for frame in ([box("dog")], [box("dog"), box("cat")]):
        judgement = by_boxes(read_boxes([frame, frame], [SIZE] * 2), query, "boxes of D")
        for told in (None, read_selector(text, 2), read_selector(text, 2, Pairs.ALL)):
            sheets.append(judge_table(judgement, pictures, told))
    assert all(sheet.dtype == np.uint8 and sheet.ndim == 3 for sheet in sheets)
    assert len({sheet.tobytes() for sheet in sheets}) == len(sheets)
