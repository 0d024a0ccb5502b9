"""Objects of lists and prompts, and the synonym table against the palette, hand-labelled captions and itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import vocabulary, words
from comfyui_fgdm.objects.words import ObjectMode, ObjectsError

TABLE = json.loads((palettes.DATA_DIR / "coco_synonyms.json").read_text(encoding="utf-8"))
CAPTIONS = json.loads((Path(__file__).parent / "data" / "captions.json").read_text(encoding="utf-8"))["captions"]
DRAWABLE = [x.name for x in palettes.COCO.labels if x.index not in palettes.COCO.retired and x.index != 182]


def names(text: str, mode: ObjectMode = ObjectMode.PROMPT) -> tuple[str, ...]:
    return words.parse(text, mode).names


@pytest.mark.parametrize("name", DRAWABLE)
def test_every_class_can_be_asked_for_by_its_name(name: str) -> None:
    item = words.from_list(name).items[0]
    assert palettes.COCO.index(name) in (item.label, *item.also)


def test_table_names_only_drawable_classes_and_each_phrase_once() -> None:
    seen: dict[tuple[str, ...], str] = {}
    phrases = [(p, key) for part in ("synonyms", "excluded") for key, ps in TABLE[part].items() for p in ps]
    for phrase, key in phrases + [(p, "ignored") for p in TABLE["ignored"]]:
        words = tuple(vocabulary.words(phrase))
        assert words not in seen, f"{phrase!r} stands under {seen[words]!r} and {key!r}"
        assert phrase == " ".join(words), f"{phrase!r} is not written as words are read"
        seen[words] = key
    for key in TABLE["synonyms"]:
        parts = key.split("|")
        assert set(parts) <= set(DRAWABLE) and len(set(parts)) == len(parts), key


def test_word_lists_of_the_table_have_an_effect() -> None:
    vocab = vocabulary.coco()
    for part in ("list_only", "modifiers", "kinds"):
        dead = [word for word in TABLE[part] if vocab.longest(word.split(), 0)[1] is None]
        assert not dead, f"{part}: {dead} name nothing, so they need not be there"
    assert all((singular,) in vocab.entries for singular in TABLE["irregular"].values())
    assert not set(TABLE["stop"]) & {key[0] for key in vocab.entries if len(key) == 1}


def test_captions_labelled_by_hand() -> None:
    """Micro precision and recall over 60 captions whose classes were written down before the table."""
    hits = missing = spurious = 0
    for text, wanted, allowed in CAPTIONS:
        found = set(names(text))
        groups = [{w} if isinstance(w, str) else set(w) for w in wanted]
        hits += sum(bool(group & found) for group in groups)
        missing += sum(not group & found for group in groups)
        spurious += len(found - set(allowed) - set().union(*groups))
    assert hits / (hits + spurious) >= 0.98
    assert hits / (hits + missing) >= 0.98


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog and a bicycle under a tree", ("dog", "bicycle", "tree")),
        ("two dogs, three mice and five geese", ("dog", "mouse", "bird")),
        ("people and children on benches with knives", ("person", "bench", "knife")),
        ("three tvs, two wine glasses, some leaves on shelves", ("tv", "wine glass", "leaves", "shelf")),
        ("a Hot-Dog stand near the TRAFFIC LIGHT", ("hot dog", "traffic light")),
        ("the man\u2019s dog and the dogs' owner", ("person", "dog")),
        ("an orange cat and an orange", ("cat", "orange")),
        ("a metal bench, a wooden table, a glass door", ("bench", "dining table", "door-stuff")),
        ("an apple pie and an apple tree", ("cake", "tree")),
        ("a baby elephant next to a baby", ("elephant", "person")),
        ("a teddy bear and a polar bear", ("teddy bear", "bear")),
        ("a watercolor of a caf\u00e9 table", ("dining table",)),
        ("(a red car:1.3), [[truck]], embedding:boat <lora:train:0.8> {bus}", ("car", "truck", "bus")),
        ("a street sign and a cat wearing a hat", ("cat",)),
        ("a dog. A dog! another dog", ("dog",)),
        ("warm light on a dog that plays football", ("dog",)),
        ("a tomato pizza on a garden chair, a tomato in the garden", ("pizza", "chair", "vegetable", "plant-other")),
    ],
)
def test_prompts(text: str, expected: tuple[str, ...]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    ("text", "required", "absent"),
    [
        ("a beach without people", ("sand",), {"people"}),
        ("a street with no cars or buses, and a dog", ("road", "dog"), {"cars", "buses"}),
        ("no people and a bench", ("bench",), {"people"}),
        ("without cars. A dog", ("dog",), {"cars"}),
        ("no unicorn on the road", ("road",), set()),
        ("a room without any big chair, two couches", ("couch",), {"chair"}),
    ],
)
def test_negated_objects_are_not_required(text: str, required: tuple[str, ...], absent: set[str]) -> None:
    query = words.from_prompt(text)
    assert query.names == required
    assert {phrase for phrase, why in query.excluded if "absent" in why} == absent


def test_retired_classes_are_excluded_with_the_reason_or_have_an_alias() -> None:
    query = words.from_prompt("a hat, a plate and a blender beside a mirror, a desk, a door and a window")
    assert query.names == ("mirror-stuff", "desk-stuff", "door-stuff", "window-other")
    assert [phrase for phrase, _ in query.excluded] == ["hat", "plate", "blender"]
    assert all("no regions" in why for _, why in query.excluded)


def test_phrases_and_unmatched_words_are_reported() -> None:
    query = words.from_prompt("Two puppies chase a unicorn over the lawn")
    assert [(item.phrase, item.name) for item in query.items] == [("puppies", "dog"), ("lawn", "grass")]
    assert query.unmatched == ("chase", "unicorn")
    report = words.describe(query)
    assert "dog (from 'puppies')" in report and "unicorn" in report


def test_lists() -> None:
    query = words.from_list("dog, a small bicycle; 2 trees\nunicorn, dog house, light,, ")
    assert query.names == ("dog", "bicycle", "tree", "light")
    assert query.unmatched == ("unicorn", "dog house")
    assert words.from_list(query.text).labels == query.labels


def test_a_list_entry_counts_by_its_last_words() -> None:
    assert words.from_list("big red fire truck").names == ("truck",)
    with pytest.raises(ObjectsError):
        words.from_list("truck of a unicorn")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("dog, light; unicorn", ObjectMode.LIST),
        ("dog", ObjectMode.PROMPT),
        ("a warm evening light falls on the dog, dramatic", ObjectMode.PROMPT),
        ("masterpiece, best quality", ObjectMode.PROMPT),
    ],
)
def test_auto_mode_reads_a_list_where_it_looks_like_one(text: str, mode: ObjectMode) -> None:
    def outcome(how: ObjectMode) -> object:
        try:
            return words.parse(text, how)
        except ObjectsError as error:
            return str(error)

    assert outcome(ObjectMode.AUTO) == outcome(mode)


def test_modes_are_their_names() -> None:
    assert words.parse("dog", "list") == words.parse("dog", ObjectMode.LIST)
    with pytest.raises(ValueError, match="sentence"):
        words.parse("dog", "sentence")


@pytest.mark.parametrize("text", ["", "   \n", ",;,", "a unicorn", "42", "\u732b", "no dogs"])
def test_nothing_to_look_for_is_an_error_that_says_what_to_write(text: str) -> None:
    for mode in ObjectMode:
        if text == "no dogs" and mode is ObjectMode.LIST:
            continue  # a list has no negation: its head is the dog
        with pytest.raises(ObjectsError, match="dog, bicycle, tree") as error:
            words.parse(text, mode)
        assert not text.strip(" \n,;") or text.strip() in str(error.value)


def test_a_long_text_is_shortened_in_the_error() -> None:
    with pytest.raises(ObjectsError) as error:
        words.from_prompt("unicorn " * 1000)
    assert len(str(error.value)) < 300


def test_thousand_words() -> None:
    query = words.from_prompt(" ".join(f"a {name} and" for name in DRAWABLE * 4))
    assert len(query.labels) == len(set(query.labels)) > 100


def test_restrict_moves_what_a_factor_cannot_draw() -> None:
    query = words.from_prompt("a dog, a plant and a brick wall near a bicycle")
    assert query.names == ("dog", "potted plant", "wall-brick", "bicycle")
    classes = [palettes.COCO.index(name) for name in ("dog", "plant-other", "bush", "wall-other")]
    small = words.restrict(query, classes)
    assert small.names == ("dog", "plant-other", "wall-other")
    assert small.items[1].also == (palettes.COCO.index("bush"),)
    assert small.excluded == (("bicycle", "the factor was not trained to draw 'bicycle'"),)
    assert words.restrict(query, ()) == query
    assert words.restrict(small, classes) == small


def test_restrict_to_nothing_names_what_the_factor_can_draw() -> None:
    with pytest.raises(ObjectsError, match=r"none of: dog; write some of these instead: bicycle, car"):
        words.restrict(words.from_list("dog"), [2, 1])


def test_restrict_does_not_name_one_label_twice() -> None:
    query = words.from_list("bush, plant")
    assert words.restrict(query, [96]).names == ("bush",)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_query_or_an_objects_error(text: str) -> None:
    for mode in ObjectMode:
        try:
            query = words.parse(text, mode)
        except ObjectsError:
            continue
        assert query.items and len(set(query.labels)) == len(query.labels)
        assert not set(query.labels) & {*palettes.COCO.retired, palettes.COCO.void}
        words.describe(query)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(DRAWABLE), min_size=1, max_size=8, unique=True))
def test_lists_of_class_names_read_back(chosen: list[str]) -> None:
    query = words.from_list("; ".join(chosen))
    for name in chosen:
        index = palettes.COCO.index(name)
        assert any(index in (item.label, *item.also) for item in query.items)
    assert len(query.items) <= len(chosen)
