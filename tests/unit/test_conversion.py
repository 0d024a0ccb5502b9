"""COCO classes as ADE20K classes: the shipped tables, label maps converted by them, tables of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from comfyui_fgdm.maps import conversion, palettes
from comfyui_fgdm.maps.conversion import Colours
from comfyui_fgdm.maps.palettes import COCO, PaletteError

ADE = palettes.get("ade20k150")
TO_ADE = conversion.table_between(COCO, ADE)
TO_COCO = conversion.table_between(ADE, COCO)

ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
FOOD = ("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake")
WALLS = ("wall-brick", "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood")

RIGHT = {
    **dict.fromkeys(ANIMALS, "animal"),
    **dict.fromkeys((*FOOD, "fruit", "vegetable", "salad", "food-other"), "food"),
    **dict.fromkeys(WALLS, "wall"),
    **dict.fromkeys(("street sign", "stop sign"), "signboard"),
    **dict.fromkeys(("hat", "shoe", "tie", "clothes"), "apparel"),
    **dict.fromkeys(("handbag", "backpack", "suitcase"), "bag"),
    **dict.fromkeys(("dirt", "ground-other", "mud"), "earth"),
    **dict.fromkeys(("carpet", "rug"), "rug"),
    **dict.fromkeys(("clouds", "sky-other"), "sky"),
    **dict.fromkeys(("rock", "stone"), "rock"),
    **{"couch": "sofa", "tv": "television receiver", "motorcycle": "minibike", "pavement": "sidewalk"},
    **{"bush": "plant", "potted plant": "plant", "tree": "tree", "person": "person", "teddy bear": "plaything"},
    **{"window-blind": "blind", "window-other": "window", "playingfield": "field", "cupboard": "cabinet"},
    **{"wine glass": "glass", "laptop": "computer", "sports ball": "ball", "bottle": "bottle", "grass": "grass"},
}

WRONG = [
    ("street sign", "tree"),
    ("street sign", "streetlight"),
    ("street sign", "traffic light"),
    ("eye glasses", "glass"),
    ("eye glasses", "mirror"),
    ("suitcase", "case"),
    ("railroad", "road"),
    ("teddy bear", "animal"),
    ("bear", "plaything"),
    ("hot dog", "animal"),
    ("mouse", "animal"),
    ("mouse", "computer"),
    ("keyboard", "computer"),
    ("kite", "animal"),
    ("snow", "earth"),
    ("snow", "sky"),
    ("train", "bus"),
    ("train", "truck"),
    ("light", "lamp"),
    ("fire hydrant", "fountain"),
    ("umbrella", "awning"),
    ("net", "fence"),
    ("fog", "sky"),
    ("toaster", "oven"),
    ("stone", "wall"),
    ("roof", "ceiling"),
    ("playingfield", "grandstand"),
    ("baseball glove", "apparel"),
    ("platform", "stage"),
    ("cup", "pot"),
]


def name_of(label: str) -> str:
    return ADE.labels[TO_ADE.targets[COCO.index(label)]].name


def test_tables_name_every_class_of_both_palettes_rightly() -> None:
    for source, target in ((COCO, ADE), (ADE, COCO)):
        raw = json.loads((palettes.DATA_DIR / f"{source.name}_to_{target.name}.json").read_text("utf-8"))
        assert list(raw["classes"]) == [label.name for label in source.labels], "a class that is left out is a mistake"
        assert {name for name in raw["classes"].values() if name} <= {label.name for label in target.labels}
        assert (raw["name"], len(raw["about"]) > 80) == (f"{source.name}_to_{target.name}", True)


def test_most_of_coco_has_a_counterpart() -> None:
    assert len(TO_ADE.mapped) == 137
    assert len({TO_ADE.targets[label] for label in TO_ADE.mapped}) == 75
    assert TO_ADE.targets[COCO.void] == ADE.void and TO_COCO.targets[ADE.void] == COCO.void


def test_right_pairs() -> None:
    assert {label: name_of(label) for label in RIGHT} == RIGHT


def test_wrong_pairs() -> None:
    assert {target for _, target in WRONG} <= {label.name for label in ADE.labels}
    assert [(label, target) for label, target in WRONG if name_of(label) == target] == []


def test_classes_of_the_same_name_are_mapped_to_each_other() -> None:
    same = {label.name for label in COCO.labels} & {label.name for label in ADE.labels}
    assert len(same) > 45 and {name: name_of(name) for name in same} == {name: name for name in same}


def test_nothing_becomes_a_class_that_coco_never_annotates() -> None:
    assert not set(TO_COCO.targets) & set(COCO.retired)


def test_there_and_back_is_the_same_class() -> None:
    """ADE20K has fewer classes for what COCO holds: what came from COCO and goes back is still that class."""
    for label in TO_ADE.mapped:
        target = TO_ADE.targets[label]
        back = TO_COCO.targets[target]
        assert back == COCO.void or TO_ADE.targets[back] == target


def test_convert() -> None:
    labels = torch.tensor([[COCO.index(name) for name in ("dog", "couch", "train", "unlabeled")]], dtype=torch.uint8)
    expected = [[ADE.index(name) for name in ("animal", "sofa", "other", "other")]]
    assert conversion.convert(labels, TO_ADE).tolist() == expected
    assert conversion.convert(labels, TO_ADE).dtype == torch.int64
    every = torch.arange(183).reshape(1, 3, 61)
    assert conversion.convert(every, TO_ADE).flatten().tolist() == list(TO_ADE.targets)
    assert torch.equal(conversion.convert(every, conversion.table_between(COCO, COCO)), every)


@pytest.mark.parametrize(
    ("bad", "message"), [([183], "0..182"), ([-1], "0..182"), ([255], "0..182"), ([0.5], "integers")]
)
def test_convert_refuses_what_is_no_label(bad: list, message: str) -> None:
    with pytest.raises(PaletteError, match=message):
        conversion.convert(torch.tensor(bad), TO_ADE)


def test_tables_by_colours() -> None:
    city = palettes.get("cityscapes19")
    assert conversion.table_for(COCO, Colours.ADE20K) == TO_ADE and conversion.table_for(ADE, Colours.COCO) == TO_COCO
    for palette, colours in ((COCO, Colours.COCO), (ADE, Colours.ADE20K), (city, Colours.AS_READ)):
        table = conversion.table_for(palette, colours)
        assert table.source == table.target == palette and table.targets == tuple(range(len(palette)))
    with pytest.raises(PaletteError, match="no table of the classes of palette 'cityscapes19' in palette 'ade20k150'"):
        conversion.table_for(city, Colours.ADE20K)


OWN = {"name": "mine", "from": "coco183", "to": "ade20k150", "classes": {"Dog": "person", "cat": None}}


def write(tmp_path: Path, raw: object) -> Path:
    file = tmp_path / "mine.json"
    file.write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return file


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    table = conversion.read_table(write(tmp_path, OWN))
    assert table.mapped == (COCO.index("dog"),) and table.targets[COCO.index("dog")] == ADE.index("person")
    assert conversion.convert(torch.tensor([16, 17]), table).tolist() == [ADE.void, ADE.index("person")]


def test_a_table_to_a_palette_of_ones_own(tmp_path: Path) -> None:
    labels = (palettes.Label(0, "nothing", (0, 0, 0)), palettes.Label(1, "pet", (9, 9, 9)))
    mine = palettes.Palette("mine", labels, 0)
    raw = {**OWN, "to": "mine", "classes": {"dog": "pet", "cat": "pet"}}
    table = conversion.read_table(write(tmp_path, raw), mine)
    assert table.target is mine and conversion.convert(torch.tensor([15, 16, 17]), table).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": {"dgo": "animal"}}, "entry 'dgo' of 'classes': palette 'coco183' has no class called 'dgo'; write 'dog'"),
        ({"classes": {"dog": "animl"}}, "entry 'dog' of 'classes': palette 'ade20k150' has no class called 'animl'; write 'animal'"),
        ({"classes": {"dog": 126}}, "entry 'dog' of 'classes': write the name of a class of 'ade20k150' or null, not 126"),
        ({"classes": {"dog": "animal", "DOG": None}}, "entry 'DOG' of 'classes': this class is there twice"),
        ({"classes": ["dog"]}, "'classes' must be an object such as"),
        ({"from": "coco"}, "'from': unknown palette 'coco'; known: ade20k150"),
        ({"to": 3}, "'to' must be a text that is not empty, got 3"),
        ({"map": {}}, "unknown field 'map'"),
    ],
)  # fmt: skip
def test_a_wrong_table_names_the_file_the_entry_and_the_remedy(tmp_path: Path, changes: dict, message: str) -> None:
    file = write(tmp_path, {**OWN, **changes})
    with pytest.raises(PaletteError, match=re.escape(message)) as caught:
        conversion.read_table(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_table_that_lacks_a_field_or_repeats_a_class(tmp_path: Path) -> None:
    with pytest.raises(PaletteError, match="'to' is missing; add it"):
        conversion.read_table(write(tmp_path, {key: value for key, value in OWN.items() if key != "to"}))
    twice = json.dumps(OWN).replace('"cat": null', '"Dog": null')
    with pytest.raises(PaletteError, match="'Dog' is there twice; remove one"):
        conversion.read_table(write(tmp_path, twice))
