"""Objects of prompts and lists: what is required, what is said to be absent, what is reported."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import words
from comfyui_fgdm.objects.query import ABSENT, DESCRIBES
from comfyui_fgdm.objects.words import ObjectMode, ObjectsError

DRAWABLE = [x.name for x in palettes.COCO.labels if x.index not in palettes.COCO.retired and x.index != 182]


def names(text: str, mode: ObjectMode = ObjectMode.PROMPT) -> tuple[str, ...]:
    return words.parse(text, mode).names


def absent(query: words.ObjectQuery) -> set[str]:
    return {phrase for phrase, why in query.excluded if why == ABSENT}


def check(table: list[tuple]) -> None:
    """Rows (text, required names, phrases said to be absent) in automatic mode; all that differ are shown."""
    wrong = []
    for text, required, denied in table:
        query = words.parse(text)
        if query.names != required or absent(query) != denied:
            wrong.append((text, query.names, absent(query)))
    assert not wrong


def test_prompts() -> None:
    table = [
        ("a dog and a bicycle under a tree", ("dog", "bicycle", "tree")),
        ("two dogs, three mice and five geese", ("dog", "mouse", "bird")),
        ("people and children on benches with knives", ("person", "bench", "knife")),
        ("three tvs, two wine glasses, some leaves on shelves", ("tv", "wine glass", "leaves", "shelf")),
        ("a Hot-Dog near the TRAFFIC LIGHT", ("hot dog", "traffic light")),
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
        ("the boy\u2014with a kite\u2014and a dog", ("person", "kite", "dog")),
    ]
    assert {text: names(text) for text, _ in table} == dict(table)


def test_what_the_text_denies_is_not_required() -> None:
    check(
        [
            ("no humans, scenery, tree, grass", ("tree", "grass"), {"humans"}),
            ("a street without cars, with a bus", ("road", "bus"), {"cars"}),
            ("dog, no cat", ("dog",), {"cat"}),
            ("not people, zero cars, 0 boats, road, trees", ("road", "tree"), {"people", "cars", "boats"}),
            ("a beach without people", ("sand",), {"people"}),
            ("a street with no cars or buses, and a dog", ("road", "dog"), {"cars", "buses"}),
            ("a street with no cars and buses", ("road",), {"cars", "buses"}),
            ("no people and a bench", ("bench",), {"people"}),
            ("no cats, dogs or birds, just an elephant", ("elephant",), {"cats", "dogs", "birds"}),
            ("neither boats nor bridges, only trees", ("tree",), {"boats", "bridges"}),
            ("without cars. A dog", ("dog",), {"cars"}),
            ("no unicorn on the road", ("road",), {"unicorn"}),
            ("a room without any big chair, two couches", ("couch",), {"chair"}),
            ("not a cat but a dog", ("dog",), {"cat"}),
            ("a bench (no people) by a river", ("bench", "river"), {"people"}),
            ("((no humans:1.3)), (train)", ("train",), {"humans"}),
            ("(without:1.2) (people:1.2), grass", ("grass",), {"people"}),
            ("(people:-1.2), (cars:0), dog", ("dog",), {"people", "cars"}),
            ("there aren't any trucks, only motorcycles", ("motorcycle",), {"trucks"}),
            ("a car-free street, a people-less beach", ("road", "sand"), {"car-free", "people-less"}),
            ("a field free of sheep, with a fence", ("grass", "fence"), {"sheep"}),
            ("cat|dog, no bird/horse, tree", ("cat", "dog", "tree"), {"bird", "horse"}),
            ("nobody is on the bridge", ("bridge",), {"nobody"}),
            ("not only a dog but also a cat", ("dog", "cat"), set()),
            ("none of the chairs is red", ("chair",), set()),
        ]
    )


def test_every_negation_word_denies_in_every_mode() -> None:
    from comfyui_fgdm.objects.vocabulary import english

    denials = [*english().negations, "0", *(" ".join(phrase) for phrase in english().negation_phrases)]
    for word, mode in itertools.product(denials, ObjectMode):
        query = words.parse(f"tree, {word} people, a bench", mode)
        assert query.names == ("tree", "bench") and "people" in absent(query), (word, mode)


def test_what_a_text_only_denies_is_said_in_the_error() -> None:
    for mode in ObjectMode:
        with pytest.raises(ObjectsError, match="no dogs.*dogs: the text says that it is absent"):
            words.parse("no dogs", mode)


def test_the_word_before_a_compound_is_no_object() -> None:
    table = {
        "a queen-size bed": ("bed",),
        "queen size bed, lamp": ("bed", "light"),
        "a king-sized pillow": ("pillow",),
        "the twin-size mattress of a family-size tent": ("bed", "tent"),
        "a man-made lake": ("water-other",),
        "a man made lake": ("water-other",),
        "a dog-friendly beach": ("sand",),
        "a person-shaped cake": ("cake",),
        "a baby-blue car": ("car",),
        "a bus driver at the city bus": ("person", "bus"),
        "a mother-of-pearl box, a vase": ("vase",),
        "cat ears, a chair": ("chair",),
        "a house made of wood": ("house",),
        "a cake shaped like a car": ("cake", "car"),
        "a snow-covered roof, a horse-drawn sled": ("snow", "roof", "horse"),
        "a cat-and-dog hotel": ("cat", "building-other"),
        "dog horse bench": ("dog", "horse", "bench"),
        "dogs chairs": ("dog", "chair"),
        "the dog's bed": ("dog", "bed"),
        "an orange lies on a table": ("orange", "dining table"),
        "a boy in a baseball cap at a hot dog stand": ("person",),
        "a bear-shaped cookie, an apple pie": ("food-other", "cake"),
        "a fire truck in a car park": ("truck", "pavement"),
        "a bird feeder, a dog house on a hill": ("hill",),
        "a kite workshop, a pizza safety inspector, a tree": ("tree",),  # of unknown nouns the last is the head
        "a taxi driver and a vase painter": ("person",),
        "a motorcycle rally near a giraffe enclosure, a bench": ("bench",),
        "a dog asleep on a couch, a cat atop a car": ("dog", "couch", "cat", "car"),
        "a boat tied to a bridge, a cake cut into pieces": ("boat", "bridge", "cake"),
        "watching a dog jump over a fence, a bird alone": ("dog", "fence", "bird"),
        "a cat pixar style, a horse unreal engine": ("cat", "horse"),
        "a woman samurai on a horse": ("person", "horse"),
        "a toilet sink and bench": ("toilet", "sink", "bench"),
    }
    assert {text: names(text) for text in table} == table
    assert words.parse("a kite workshop, a dog").unmatched == ("kite workshop",)
    assert words.parse("a queen-size bed").excluded == (("queen-size", DESCRIBES),)


def test_an_entry_may_hold_several_objects_and_marks() -> None:
    table = {
        "dog, bicycle and tree": ("dog", "bicycle", "tree"),
        "a dog and a cat, a red car, tree": ("dog", "cat", "car", "tree"),
        "(dog:1.2), ((cat)), [tree], {bench}": ("dog", "cat", "tree", "bench"),
        "sofa & tv, lamp + rug": ("couch", "tv", "light", "rug"),
        "cat | dog|horse, tree": ("cat", "dog", "horse", "tree"),
        "chair/lamp, window": ("chair", "light", "window-other"),
        "dog. cat. tree": ("dog", "cat", "tree"),
        "a dog BREAK a cat BREAK tree": ("dog", "cat", "tree"),
        "a castle AND a river :0.8": ("building-other", "river"),
        "A DOG AND A CAT": ("dog", "cat"),
        "[a cat:a dog:0.5], bed": ("cat", "dog", "bed"),
        "apple \\(fruit\\), (tree \\(plant\\):1.1)": ("apple", "fruit", "tree", "potted plant"),
        "tree_stump, blue_sky, park_bench": ("tree", "sky-other", "bench"),
        "person on horse, sheep near fence": ("person", "horse", "sheep", "fence"),
        "1girl, 2dogs, 35mm, 8k": ("person", "dog"),
        "- dog\n- ball\n- bed": ("dog", "sports ball", "bed"),
        "street photo :: taxi --ar 16:9": ("road", "car"),
        '"a bird" on a "fence"': ("bird", "fence"),
    }
    for mode in ObjectMode:
        assert {text: names(text, mode) for text in table} == table, mode


def test_retired_classes_are_excluded_with_the_reason_or_have_an_alias() -> None:
    query = words.from_prompt("a hat, a plate and a blender beside a mirror, a desk, a door and a window")
    assert query.names == ("mirror-stuff", "desk-stuff", "door-stuff", "window-other")
    assert [phrase for phrase, _ in query.excluded] == ["hat", "plate", "blender"]
    assert all("no regions" in why for _, why in query.excluded)


def test_every_word_without_a_class_is_reported() -> None:
    table = {
        "a unicorn and a dragon near a dog": ("unicorn", "dragon"),
        "Two puppies chase a unicorn over the lawn": ("chase", "unicorn"),
        "dog, a trending unicorn; boat with sails": ("trending unicorn", "sails"),
        "dog, seven samowars of brass": ("samowars of brass",),  # an entry that names nothing, as a whole
        "a dog and a \u732b and a \u0441\u043e\u0431\u0430\u043a\u0430": (
            "\u732b",
            "\u0441\u043e\u0431\u0430\u043a\u0430",
        ),
        "a __creature__ on (stilts:1.3) next to a dog": ("creature", "stilts"),
        "masterpiece, best quality, solo, 1girl, sitting": (),
    }
    modes = {text: ObjectMode.LIST if "," in text else ObjectMode.AUTO for text in table}
    found = {text: words.parse(text, modes[text]).unmatched for text in table}
    assert found == table


def test_reports() -> None:
    query = words.parse("a unicorn and a dragon near two puppies with a hat, no cat, a queen-size bed")
    report = words.describe(query)
    assert "dog (from 'puppies')" in report and "no class for: unicorn, dragon" in report and "hat: COCO" in report
    assert query.not_counted == ("unicorn", "dragon", "hat") and query.not_representable[0][0] == "hat"
    assert words.summary(query) == "2 objects: dog, bed; not counted: unicorn, dragon, hat"
    assert words.not_counted(query, 2) == "not counted: unicorn, dragon and 1 more"
    assert words.summary(words.parse("a dog, no cat")) == "1 object: dog" and not words.not_counted(words.parse("dog"))


def test_lists() -> None:
    query = words.from_list("dog, a small bicycle; 2 trees\nunicorn, dog house, light,, ")
    assert query.names == ("dog", "bicycle", "tree", "light")
    assert query.unmatched == ("unicorn", "dog house")
    assert words.from_list(query.text).labels == query.labels
    assert words.from_list("big red fire truck").names == ("truck",)
    assert names("morning light, dog", ObjectMode.LIST) == ("dog",)


def test_auto_mode_reads_a_list_where_it_looks_like_one() -> None:
    def outcome(text: str, how: ObjectMode) -> object:
        try:
            return words.parse(text, how)
        except ObjectsError as error:
            return str(error)

    table = {
        "dog, light; unicorn": ObjectMode.LIST,
        "dog": ObjectMode.PROMPT,
        "a warm evening light falls on the dog, dramatic": ObjectMode.PROMPT,
        "masterpiece, best quality": ObjectMode.PROMPT,
    }
    for text, mode in table.items():
        assert outcome(text, ObjectMode.AUTO) == outcome(text, mode), text
    assert names("dog, light", ObjectMode.LIST) != names("dog, light", ObjectMode.PROMPT), "else nothing was tested"


def test_modes_are_their_names() -> None:
    assert words.parse("dog", "list") == words.parse("dog", ObjectMode.LIST)
    with pytest.raises(ValueError, match="sentence"):
        words.parse("dog", "sentence")


def test_nothing_to_look_for_is_an_error_that_says_what_to_write() -> None:
    for text, mode in itertools.product(["", "   \n", ",;,", "a unicorn", "42", "\u732b", "no dogs", "()"], ObjectMode):
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


def lines_run(text: str) -> int:
    """How many lines of Python reading a text takes: as time would tell, but the same on every machine."""
    count = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        words.read(text, ObjectMode.LIST)
    finally:
        sys.settrace(before)
    return count


def test_work_grows_no_faster_than_the_text() -> None:
    """Four times the text takes about four times the work, sixteen times if a step looks at all that follows."""
    words.read("dog")  # the vocabulary is built once
    for unit in ("no cats, ", "dog-", "dog ", ":1", "(:0", "no, or ", "light, ", "light ", "--a ", "'s"):
        assert lines_run(unit * 400) < 6 * lines_run(unit * 100) + 1000, unit


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.text("dog cat no,.:;|&/()[]{}'-_\n01\\", max_size=60))
@example("no-")
@example("dog's-")
def test_any_text_gives_a_query_or_an_objects_error(text: str) -> None:
    for mode in ObjectMode:
        try:
            query = words.parse(text, mode)
        except ObjectsError:
            continue
        assert query.items and len(set(query.labels)) == len(query.labels)
        assert not set(query.labels) & {*palettes.COCO.retired, palettes.COCO.void}
        words.describe(query)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(DRAWABLE), min_size=1, max_size=8, unique=True))
@example(["dining table", "table"])  # a table is a dining table, or the other kind of table
@example(["table", "dining table"])
def test_lists_of_class_names_read_back(chosen: list[str]) -> None:
    query = words.from_list("; ".join(chosen))
    for name in chosen:
        index = palettes.COCO.index(name)
        assert any(index in (item.label, *item.also) for item in query.items)
    assert len(query.items) <= len(chosen)
