"""More than classes: how many of something a text asks for, what is to be absent, and whether a map holds that."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.palette_file import PaletteError
from comfyui_fgdm.objects import charts, gallery, recall, words
from comfyui_fgdm.objects.query import ABSENT
from comfyui_fgdm.objects.sentence import Reading
from comfyui_fgdm.objects.words import ObjectsError

COCO, FACE = palettes.COCO, palettes.get("celebamask19")
DOG, CAT, GRASS = COCO.index("dog"), COCO.index("cat"), COCO.index("grass")
COUNTS, ABSENCES = Reading(counts=True), Reading(absences=True)


def titles(text: str, reading: Reading = COUNTS, mode: str = "auto", palette: palettes.Palette = COCO) -> list[str]:
    return [item.title for item in words.read(text, mode, palette, reading).items]


def squares(count: int, label: int, side: int = 6, size: int = 64, ground: int = GRASS) -> torch.Tensor:
    """One map [1, size, size] with ``count`` squares of a class that do not touch."""
    labels = torch.full((1, size, size), ground)
    places = itertools.product(range(2, size - side, side + 3), repeat=2)
    for top, left in itertools.islice(places, count):
        labels[0, top : top + side, left : left + side] = label
    return labels


def test_numbers() -> None:
    table = {
        "three dogs, a cat": ["3 dog", "cat"],
        "two big brown dogs and some cats": ["2 dog", "cat"],
        "a dozen donuts, two dozen apples, half a dozen oranges": ["12 donut", "24 apple", "6 orange"],
        "four of the dogs": ["4 dog"],
        "five sheep, two people, three geese": ["5 sheep", "2 person", "3 bird"],
        "a couple of dogs, a pair of cats, a pair of skis, two pairs of scissors": [
            "2 dog",
            "2 cat",
            "skis",
            "scissors",
        ],
        "a three story house, a two car garage, a two-door car": ["house", "car"],
        "two slices of pizza, two groups of people": ["pizza", "person"],
        "2 dogs, 3 cat, bus number 12 and bikes": ["2 dog", "3 cat", "bus", "bicycle"],
        "a man and two women, one dog and two dogs": ["2 person", "2 dog"],  # the largest number, not the sum
        "one of the dogs": ["dog"],
        "two dog beds near trees": ["2 bed", "tree"],
        "two trees and three clouds": ["tree", "clouds"],  # stuff is not counted
        "2000 dogs, 100 cats": ["dog", "99 cat"],
        "no two dogs, a cat": ["cat"],
    }
    assert {text: titles(text) for text in table} == table
    assert all(item.count == 1 for text in table for item in words.read(text).items), "only if it is asked for"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["dog", "cat", "zebra", "bench"]), st.integers(1, 99)),
        min_size=1,
        unique_by=lambda x: x[0],
    )
)
def test_a_query_with_counts_reads_back(asked: list[tuple[str, int]]) -> None:
    text = ", ".join(f"{count} {name}" if count > 1 else name for name, count in asked)
    query = words.parse(text, "list", reading=COUNTS)
    assert query.text == text and words.parse(query.text, "list", reading=COUNTS).items == query.items


def test_a_count_is_held_by_so_many_regions_that_are_large_enough() -> None:
    query = words.parse("three dogs, grass", reading=COUNTS)
    maps = torch.cat([squares(count, DOG) for count in range(6)])
    scores = recall.score(maps, query)
    assert scores.present[:, 0].tolist() == [False, False, False, True, True, True]
    assert scores.recall.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0]
    assert scores.regions is not None and scores.regions.tolist() == [[count, -1] for count in range(6)]
    assert scores.lacking == (3, 2, 1, 0, 0, 0) and recall.ranking(scores)[3:] == [2, 1, 0], (
        "two of three is better than one"
    )
    specks = squares(2, DOG)
    specks[0, 60:62, 50:52] = DOG  # a speck is no region
    touching = squares(3, DOG)
    touching[0, 4, :30] = DOG  # what touches is one
    assert recall.score(torch.cat([specks, touching]), query).present[:, 0].tolist() == [False, False]
    report = recall.to_json(scores, query)
    assert report["objects"][0]["count"] == 3 and "count" not in report["objects"][1]
    assert report["maps"][2]["regions"] == {"dog": 2} and report["maps"][2]["missing"] == ["dog"]
    assert "connected regions" in report["held"] and report["summary"].startswith("2 objects: 3 dog, grass")
    assert "at least 3 regions" in words.describe(query)


def test_a_count_goes_over_all_labels_that_count_as_the_object() -> None:
    query = words.parse("two vehicles", reading=COUNTS)
    maps = squares(2, COCO.index("car"))
    maps[0, 2:8, 2:8] = COCO.index("bus")
    assert query.items[0].also and recall.score(maps, query).recall.tolist() == [1.0]


def test_what_is_denied_may_be_asked_to_be_absent() -> None:
    query = words.parse("a dog without a cat, no people", reading=ABSENCES)
    assert query.names == ("dog", "no cat", "no person") and not query.excluded
    assert words.parse("a dog without a cat").excluded == (("cat", ABSENT),)
    both = squares(3, DOG)
    both[0, 2:8, 2:8] = CAT
    scores = recall.score(torch.cat([squares(3, DOG), both, squares(1, CAT)]), query)
    assert scores.present.tolist() == [[True, True, True], [True, False, True], [False, False, True]]
    assert recall.ranking(scores) == [0, 1, 2]
    assert CAT in scores.spurious_labels[1], "what is to be absent is spurious too"
    assert recall.to_json(scores, query)["objects"][1] == {
        "phrase": "cat",
        "label": CAT,
        "name": "no cat",
        "absent": True,
    }
    assert titles("no cats, a cat, a dog", ABSENCES) == ["no cat", "dog"], "the first that is said of a class"
    kept = words.restrict(query, [DOG, CAT])
    assert kept.names == ("dog", "no cat") and kept.items[1].absent


def test_attributes_of_faces() -> None:
    def read(text: str) -> tuple[str, ...]:
        return words.parse(text, palette=FACE).names

    table = {
        "a bald man wearing eyeglasses": ("bald", "eyeglasses"),
        "a man with no hair, wearing a hat": ("bald", "hat"),
        "she is not bald, has wavy hair and is wearing earrings and a necklace": ("hair", "earring", "necklace"),
        "she has her mouth slightly open and pale skin": ("mouth", "skin"),
        "a person without glasses in a necktie": ("cloth",),
    }
    assert {text: read(text) for text in table} == table
    told = words.parse("a smiling young woman with heavy makeup, a goatee and a hat", palette=FACE)
    assert told.names == ("hat",) and not told.unmatched
    assert {phrase for phrase, _ in told.not_representable} == {"smiling", "young", "woman", "heavy makeup", "goatee"}
    with pytest.raises(ObjectsError, match="smiling: an expression does not show"):
        words.parse("smiling", palette=FACE)


def test_bald_is_a_face_without_hair() -> None:
    skin, hair = FACE.index("skin"), FACE.index("hair")
    query = words.parse("bald", palette=FACE)
    face = squares(4, skin, ground=FACE.void)
    haired = face.clone()
    haired[0, 40:60, 20:50] = hair
    speck = face.clone()
    speck[0, 60:62, 60:62] = hair
    nothing = torch.full_like(face, FACE.void)
    scores = recall.score(torch.cat([face, haired, speck, nothing]), query)
    assert scores.recall.tolist() == [1.0, 0.0, 1.0, 0.0]
    assert scores.spurious.tolist() == [0, 1, 0, 0], "the face that it needs is not spurious"
    assert "bald: skin without hair" in words.describe(query)


def test_charts_say_counts_and_absences() -> None:
    """Cells differ where what they say differs: pictures of equal areas and recall are told apart."""
    maps = torch.cat([squares(2, DOG), squares(3, DOG)])
    drawn = []
    for text, reading in (("two dogs", COUNTS), ("four dogs", COUNTS), ("dogs", COUNTS)):
        query = words.parse(text, reading=reading)
        scores, pictures = recall.score(maps, query), palettes.encode(maps)
        drawn.append(charts.score_chart(scores, query, pictures).tobytes())
        gallery.score_gallery(scores, query, pictures)
    assert len(set(drawn)) == 3


def test_words_of_a_palette_file_are_checked(tmp_path: Path) -> None:
    labels = [{"index": i, "name": name, "rgb": [i, 0, 0]} for i, name in enumerate(["nothing", "skin", "hair", "hat"])]

    def read(**fields: object) -> palettes.Palette:
        file = tmp_path / "heads.json"
        file.write_text(json.dumps({"name": "heads", "void": 0, "labels": labels, **fields}), encoding="utf-8")
        return palettes.read_palette(file)

    bare = {"absent": "hair|hat", "present": "skin", "phrases": ["bare"]}
    heads = read(attributes={"bare headed": bare}, not_representable={"maps have no colours": ["pale"]})
    query = words.parse("bare, pale", palette=heads)
    assert query.names == ("bare headed",) and query.items[0].also == (3,)
    assert query.not_representable == (("pale", "maps have no colours"),)
    for fields, message in (
        ({"attributes": []}, "'attributes' must be an object of objects"),
        ({"attributes": {"bare": {}}}, "'absent' is missing"),
        ({"attributes": {"bare": {**bare, "absent": "wig"}}}, "must be a class"),
        ({"attributes": {"bare": {**bare, "absent": 3}}}, "'absent' must be the name of a class"),
        ({"attributes": {"bare": {**bare, "present": "hair"}}}, "cannot be absent and present"),
        ({"attributes": {"bare": {**bare, "phrases": "bald"}}}, "'phrases' must be a list"),
        ({"attributes": {"bare": bare, "bald": bare}}, "absence of the same class"),
        ({"attributes": {"bare": {**bare, "wig": 1}}}, "unknown field 'wig'"),
        ({"not_representable": {"": ["pale"]}}, "a reason must be one line"),
        ({"not_representable": {"why": [3]}}, "must be a text that is not empty"),
        ({"not_representable": ["pale"]}, "'not_representable' must be an object of lists"),
    ):
        with pytest.raises(PaletteError) as error:
            read(**fields)
        assert message in str(error.value) and "heads.json" in str(error.value), fields
