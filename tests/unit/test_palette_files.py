"""Palettes beside COCO: what they hold, that they survive a round trip, and what a user's own file may get wrong."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import torch

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.palettes import PaletteError

SHARED = {("ade20k150", 48): 6}
"""Labels that are read as another one, since both have one colour: skyscraper as road."""


ALL = [palettes.get(name) for name in palettes.NAMES]


def read_back(palette: palettes.Palette) -> torch.Tensor:
    return torch.tensor([SHARED.get((palette.name, label.index), label.index) for label in palette.labels])


def test_every_palette_encodes_and_decodes_to_itself() -> None:
    for palette in ALL:
        labels = torch.arange(len(palette)).reshape(1, 1, -1)
        picture = palettes.encode(labels, palette)
        assert torch.equal(palettes.decode(picture, palette).flatten(), read_back(palette))
        assert torch.equal(palettes.decode(picture, palette, margin=0).flatten(), read_back(palette))


def test_noise_below_half_of_the_least_distance_changes_nothing() -> None:
    for palette in ALL:
        table = palettes.colours(palette, palette.readable())
        least = torch.pdist(table).min().item()
        assert least == pytest.approx(
            {"coco183": 32, "ade20k150": 50**0.5, "cityscapes19": 20, "celebamask19": 51}[palette.name]
        )
        generator = torch.Generator().manual_seed(4)
        labels = torch.arange(len(palette)).repeat(1, 20, 1)
        noise = torch.randn(*labels.shape, 3, generator=generator)
        noise *= (least / 2 - 0.2) / noise.norm(dim=-1, keepdim=True)
        # not clamped to 0..1: decode clamps, which never takes a colour farther from its own
        assert torch.equal(
            palettes.decode(palettes.encode(labels, palette) + noise / 255, palette),
            read_back(palette).repeat(1, 20, 1),
        )


def test_a_pixel_is_its_nearest_colour_or_void_where_none_is_near() -> None:
    for palette in ALL:
        picture = torch.rand(1, 40, 40, 3, generator=torch.Generator().manual_seed(1))
        levels, table = picture.reshape(-1, 3) * 255, palettes.colours(palette)
        labels = palettes.decode(picture, palette).flatten()
        least = torch.cdist(levels, table).min(1).values
        near = least < palettes.MARGIN - 0.1
        assert (labels[least > palettes.MARGIN + 0.1] == palette.void).all() and near.any() and not near.all()
        assert torch.allclose((levels - table[labels]).norm(dim=1)[near], least[near], atol=0.1)


def test_official_rule_on_every_palette() -> None:
    for palette in ALL:
        levels = torch.randint(0, 256, (1, 20, 30, 3), generator=torch.Generator().manual_seed(3))
        expected = torch.full((1, 20, 30), palette.void)
        for label in palette.labels:
            expected[((levels - torch.tensor(label.rgb)).abs() <= 28).all(-1)] = label.index
        assert torch.equal(palettes.decode_official(levels / 255, palette), expected)


def test_known_colours() -> None:
    for name, label, rgb in [
        ("ade20k150", "wall", (120, 120, 120)),
        ("ade20k150", "road", (140, 140, 140)),
        ("ade20k150", "animal", (255, 0, 122)),
        ("ade20k150", "flag", (92, 0, 255)),
        ("ade20k150", "other", (255, 255, 255)),
        ("cityscapes19", "road", (128, 64, 128)),
        ("cityscapes19", "bicycle", (119, 11, 32)),
        ("cityscapes19", "unlabeled", (0, 0, 0)),
        ("celebamask19", "background", (0, 0, 0)),
        ("celebamask19", "skin", (204, 0, 0)),
        ("celebamask19", "hair", (0, 0, 204)),
        ("celebamask19", "cloth", (0, 204, 0)),
    ]:
        palette = palettes.get(name)
        assert palette.labels[palette.index(label)].rgb == rgb, (name, label)


def test_orders_of_the_data_sets() -> None:
    ade, city, face = (palettes.get(name) for name in ("ade20k150", "cityscapes19", "celebamask19"))
    assert [ade.index(name) for name in ("wall", "person", "car", "sofa", "animal", "flag")] == [
        0,
        12,
        20,
        23,
        126,
        149,
    ]
    assert [city.index(name) for name in ("road", "sky", "person", "car", "bicycle")] == [0, 10, 11, 13, 18]
    assert [face.index(name) for name in ("skin", "nose", "mouth", "hair", "cloth")] == [1, 2, 10, 13, 18]
    assert (ade.void, city.void, face.void) == (150, 19, 0)
    assert palettes.COCO.things == tuple(range(91)) and city.things == tuple(range(11, 19))
    assert len(ade.things) == 100 and not {ade.index("sky"), ade.index("wall"), ade.void} & set(ade.things)


def test_a_shared_colour_is_read_as_the_lower_class_that_may_occur() -> None:
    ade = palettes.get("ade20k150")
    road, skyscraper = ade.index("road"), ade.index("skyscraper")
    grey = palettes.encode(torch.tensor([[[skyscraper]]]), ade)
    assert palettes.decode(grey, ade).item() == palettes.decode(grey, ade, [road, skyscraper]).item() == road
    assert palettes.decode(grey, ade, [skyscraper, ade.void]).item() == skyscraper
    assert palettes.decode_official(grey, ade).item() == skyscraper
    assert ade.readable() == tuple(label for label in range(151) if label != skyscraper)


def test_white_and_black_are_void_in_ade20k() -> None:
    ade = palettes.get("ade20k150")
    picture = torch.tensor([0.0, 1.0]).reshape(1, 1, 2, 1).expand(1, 1, 2, 3)
    assert palettes.decode(picture, ade).tolist() == [[[ade.void, ade.void]]]


OWN = {
    "name": "mine",
    "void": 0,
    "labels": [
        {"index": 2, "name": "Cat", "rgb": [0, 0, 255]},
        {"index": 0, "name": "nothing", "rgb": [0, 0, 0]},
        {"index": 1, "name": "dog", "rgb": [255, 0, 0]},
    ],
}


def write(tmp_path: Path, raw: object) -> Path:
    file = tmp_path / "mine.json"
    file.write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return file


def test_a_palette_of_ones_own(tmp_path: Path) -> None:
    mine = palettes.read_palette(write(tmp_path, OWN))
    assert (mine.name, mine.void, mine.retired, mine.things) == ("mine", 0, (), (1, 2))
    assert [label.name for label in mine.labels] == ["nothing", "dog", "Cat"]
    assert mine.index("cat") == mine.index("CAT") == 2
    picture = palettes.encode(torch.tensor([[[2, 1, 0]]]), mine)
    assert palettes.decode(picture, mine).tolist() == [[[2, 1, 0]]]
    shared = copy.deepcopy(OWN)
    shared["labels"][0]["rgb"] = [255, 0, 0]
    shared["same_colour"] = [[1, 2]]
    shared["things"] = [2]
    mine = palettes.read_palette(write(tmp_path, shared))
    assert mine.readable() == (0, 1) and mine.things == (2,)


def test_shipped_files_say_where_they_come_from() -> None:
    for name in palettes.NAMES:
        assert len(json.loads((palettes.DATA_DIR / f"{name}.json").read_text("utf-8"))["about"]) > 80


def entry(place: int, **changes: object):
    def change(raw: dict) -> None:
        raw["labels"][place].update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("void"), "'void' is missing; add it"),
        (lambda raw: raw.pop("name"), "'name' is missing"),
        (lambda raw: raw.update(colors=[]), "unknown field 'colors'; remove or rename it"),
        (lambda raw: raw.update(name=" "), "'name' must be a text that is not empty"),
        (lambda raw: raw.update(void=3), "'void' is 3; write the index of the class for pixels of no class, 0..2"),
        (lambda raw: raw.update(void="nothing"), "'void' is 'nothing'; write the index"),
        (lambda raw: raw.update(labels=[]), "'labels' must be a list of 1 to"),
        (lambda raw: raw.update(labels={"0": "a"}), "'labels' must be a list"),
        (lambda raw: raw.update(retired=[7]), "'retired' must be a list of indices 0..2, got [7]"),
        (lambda raw: raw.update(things=1), "'things' must be a list of indices"),
        (lambda raw: raw["labels"].append(["fox", [1, 2, 3]]), 'entry 4 of \'labels\' (["fox", [1, 2, 3]]): write it as'),
        (lambda raw: raw["labels"][2].pop("rgb"), "entry 3 of 'labels' ({\"index\": 1, \"name\": \"dog\"}): 'rgb' is missing"),
        (entry(0, colour=1), "entry 1 of 'labels'"),
        (entry(2, index=2), "index 2 is that of 'Cat' already; give it another"),
        (entry(2, index=5), "no class has index 1, but one has 5; number the 3 classes 0..2 without gaps"),
        (entry(0, index=-1), "'index' must be a whole number from 0"),
        (entry(0, index=True), "'index' must be a whole number from 0"),
        (entry(0, name=""), "'name' must be a text"),
        (entry(0, name="DOG"), "has this name already"),
        (entry(0, rgb=[0, 0]), "'rgb' must be three whole numbers from 0 to 255"),
        (entry(0, rgb=[0, 0, 256]), "'rgb' must be three whole numbers from 0 to 255"),
        (entry(0, rgb=[0, 0, 0.5]), "'rgb' must be three whole numbers from 0 to 255"),
        (entry(0, rgb="blue"), "'rgb' must be three whole numbers from 0 to 255"),
        (entry(0, rgb=[255, 0, 0]), "'dog' (index 1) and 'Cat' (index 2) have the same rgb [255, 0, 0]; change one"),
        (lambda raw: raw.update(same_colour=[[0, 1]]), "'same_colour': the classes [0, 1] have different colours"),
        (lambda raw: raw.update(same_colour=[1]), "'same_colour' must be a list of at most 1024 groups"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_itself_the_entry_and_the_remedy(tmp_path: Path, change, message: str) -> None:
    raw = copy.deepcopy(OWN)
    change(raw)
    file = write(tmp_path, raw)
    with pytest.raises(PaletteError, match=re.escape(message)) as caught:
        palettes.read_palette(file)
    assert str(caught.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON: .* line 1, column 2"),
        ("[1]", "must hold a JSON object"),
        ('{"name": "a", "name": "b"}', "'name' is there twice; remove one"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_palette(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PaletteError, match=message):
        palettes.read_palette(write(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PaletteError, match="nowhere.json: cannot be read .*check the path"):
        palettes.read_palette(tmp_path / "nowhere.json")
    (tmp_path / "latin.json").write_bytes(b'{"name": "caf\xe9"}')
    with pytest.raises(PaletteError, match="save it as UTF-8"):
        palettes.read_palette(tmp_path / "latin.json")
