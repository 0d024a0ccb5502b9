"""Objects as classes of any palette: names, synonyms, what COCO lends to others, and what a factor can draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.palette_file import PaletteError
from comfyui_fgdm.objects import vocabulary, words
from comfyui_fgdm.objects.words import ObjectsError, find_class

COCO, ADE, CITY, FACE = (palettes.get(n) for n in ("coco183", "ade20k150", "cityscapes19", "celebamask19"))
TABLE = json.loads((palettes.DATA_DIR / "coco_synonyms.json").read_text(encoding="utf-8"))
ENGLISH = json.loads((palettes.DATA_DIR / "english.json").read_text(encoding="utf-8"))
OWN = {
    "name": "farm",
    "void": 0,
    "labels": [
        {"index": i, "name": name, "rgb": [i, 0, 0]}
        for i, name in enumerate(["nothing", "dog", "Hay Bales", "dog house", "goat", "hat", "ghost"])
    ],
    "retired": [6],
    "synonyms": {"goat": ["billy"], "dog|goat": ["animal"], "hat": ["puppy"]},
}


def read(tmp_path: Path, **changes: object) -> palettes.Palette:
    file = tmp_path / "farm.json"
    file.write_text(json.dumps({**OWN, **changes}), encoding="utf-8")
    return palettes.read_palette(file)


def drawable(palette: palettes.Palette) -> list[str]:
    return [palette.labels[i].name for i in palette.readable() if i not in (*palette.retired, palette.void)]


def test_every_class_can_be_asked_for_by_its_name() -> None:
    for palette in (COCO, ADE, CITY, FACE):
        for name in drawable(palette):
            item = words.from_list(name, palette).items[0]
            assert palette.index(name) in (item.label, *item.also), (palette.name, name)


def test_table_names_only_drawable_classes_and_each_phrase_once() -> None:
    seen: dict[tuple[str, ...], str] = {}
    phrases = [(p, key) for part in ("synonyms", "excluded") for key, ps in TABLE[part].items() for p in ps]
    for phrase, key in phrases + [(p, "ignored") for p in ENGLISH["ignored"]]:
        said = tuple(vocabulary.words(phrase))
        assert said not in seen, f"{phrase!r} stands under {seen[said]!r} and {key!r}"
        assert phrase == " ".join(said), f"{phrase!r} is not written as words are read"
        seen[said] = key
    for key in TABLE["synonyms"]:
        parts = key.split("|")
        assert set(parts) <= set(drawable(COCO)) and len(set(parts)) == len(parts), key


def test_word_lists_have_an_effect_and_do_not_quarrel() -> None:
    vocab = vocabulary.of(COCO)
    for part in ("list_only", "modifiers", "kinds"):
        dead = [word for word in ENGLISH[part] if vocab.longest(word.split(), 0)[1] is None]
        assert not dead, f"{part}: {dead} name nothing, so they need not be there"
    assert all((singular,) in vocab.entries for singular in ENGLISH["irregular"].values())
    named = {key[0] for key in vocab.entries if len(key) == 1}
    for part in ("stop", "quiet", "negations", "ends_negation", "turns"):
        words_of_part = ENGLISH[part]
        assert not set(words_of_part) & named, f"{part} hides names of classes"
        assert len(set(words_of_part)) == len(words_of_part), part
    assert not set(ENGLISH["stop"]) & set(ENGLISH["quiet"])


def test_a_palette_of_ones_own_has_names_plurals_synonyms_and_what_coco_calls_its_classes(tmp_path: Path) -> None:
    farm = read(tmp_path)
    query = words.parse(
        "two hounds on a hay bale, a doghouse, three billies, no animals, a ghost, a unicorn", palette=farm
    )
    assert query.names == ("dog", "Hay Bales", "goat") and query.palette is farm
    assert query.excluded == (
        ("animals", "the text says that it is absent"),
        ("ghost", "maps of 'farm' have no regions of this class"),
    )
    assert query.unmatched == ("doghouse", "unicorn")
    assert words.parse("a dog house", palette=farm).names == ("dog house",), (
        "a class, though English ignores the phrase"
    )
    assert words.parse("a puppy", palette=farm).names == ("hat",), "its own synonyms go before those of COCO"
    assert words.parse("an animal", palette=farm).items[0].also == (4,)
    with pytest.raises(ObjectsError, match="classes of 'farm' instead, for example: dog, Hay Bales, dog house"):
        words.parse("a bicycle", palette=farm)


def test_shipped_palettes_understand_common_words() -> None:
    table = [
        (ADE, "a puppy on a couch by a pine tree and a brick wall", ("animal", "sofa", "tree", "wall")),
        (ADE, "a man with glasses", ("person",)),
        (CITY, "women on bikes, trees, a street, skyscrapers", ("person", "bicycle", "vegetation", "road", "building")),
        (CITY, "a taxi, a pavement, a street sign, grass", ("car", "sidewalk", "traffic sign", "terrain")),
        (FACE, "a woman with glasses, earrings, blond hair and a straw hat", ("eyeglasses", "earring", "hair", "hat")),
        (FACE, "lips, eyes and a shirt", ("upper lip", "left eye", "cloth")),
    ]
    assert [words.parse(text, palette=palette).names for palette, text, _ in table] == [row[2] for row in table]
    alike = words.parse("a skyscraper beside a road", palette=ADE)
    assert alike.names == ("road",) and alike.not_counted == ("skyscraper",)
    assert "is that of 'road'" in alike.excluded[0][1]
    assert words.parse("a painting of a cat", palette=ADE).names == ("animal",), "of a picture, not in it"
    assert words.parse("painting, cat", palette=ADE).names == ("painting", "animal")


def test_a_class_is_found_by_name_plural_or_synonym() -> None:
    def named(text: str, palette: palettes.Palette = COCO, classes: list[int] | None = None) -> list[str]:
        return [palette.labels[label].name for label in find_class(text, palette, classes)]

    assert named("dog") == named(" Dogs ") == named("the puppies") == ["dog"]
    assert named("sofas") == ["couch"] and named("couch", ADE) == ["sofa"]
    assert named("hill") == ["hill"] and named("hat") == ["hat"], "a name is that class alone, retired or not"
    assert named("tables") == ["dining table", "table"]
    assert named("tables", classes=[COCO.index("table"), 0]) == ["table"]
    assert named("dogs", classes=[0]) == named("xyzzy") == named("dog and cat") == named("") == []


def test_restrict_moves_what_a_factor_cannot_draw() -> None:
    query = words.from_prompt("a dog, a plant and a brick wall near a bicycle")
    assert query.names == ("dog", "potted plant", "wall-brick", "bicycle")
    classes = [COCO.index(name) for name in ("dog", "plant-other", "bush", "wall-other")]
    small = words.restrict(query, classes)
    assert small.names == ("dog", "plant-other", "wall-other")
    assert small.items[1].also == (COCO.index("bush"),)
    assert small.excluded == (("bicycle", "the factor was not trained to draw 'bicycle'"),)
    assert small.not_counted == ("bicycle",)
    assert words.restrict(query, ()) == query
    assert words.restrict(small, classes) == small
    assert words.restrict(words.from_list("bush, plant"), [96]).names == ("bush",), "no label twice"


def test_restrict_speaks_of_the_classes_of_its_palette() -> None:
    with pytest.raises(ObjectsError, match=r"none of: dog; write some of these instead: bicycle, car"):
        words.restrict(words.from_list("dog"), [2, 1])
    query = words.restrict(words.parse("a puppy and a bus", palette=ADE), [ADE.index("animal")])
    assert query.names == ("animal",) and query.palette == ADE
    with pytest.raises(ObjectsError, match=r"none of: bus; write some of these instead: wall"):
        words.restrict(words.parse("bus", palette=ADE), [0])


def test_synonyms_of_a_palette_file_are_checked(tmp_path: Path) -> None:
    for bad, message in (
        (["puppy"], "'synonyms' must be an object of lists"),
        ({"dog": "puppy"}, "'synonyms' must be an object of lists"),
        ({"wolf": ["puppy"]}, "'wolf' must be a class"),
        ({"dog|dog": ["puppy"]}, "'dog|dog' must be a class, or different ones"),
        ({"dog": [1]}, "'synonyms' of 'dog': a phrase must be a text that is not empty, got 1"),
        ({"dog": [" "]}, "must be a text that is not empty"),
        ({"dog": ["x" * 65]}, "a phrase must have at most 64 characters"),
        ({"x" * 999: ["puppy"]}, "must be a class"),
    ):
        with pytest.raises(PaletteError) as error:
            read(tmp_path, synonyms=bad)
        assert message in str(error.value) and "farm.json" in str(error.value)


def test_a_name_of_many_words_costs_little(tmp_path: Path) -> None:
    labels = [{"index": 0, "name": "a " * 31, "rgb": [0, 0, 0]}, {"index": 1, "name": "dog", "rgb": [1, 0, 0]}]
    farm = read(tmp_path, labels=labels, void=1, retired=[], synonyms={})
    assert vocabulary.of(farm).longest_phrase <= vocabulary.MAX_PHRASE
    assert words.find_class("A " * 31, farm) == (0,), "by its exact name it is found all the same"
