"""JSON files of a user's own: palettes and class tables that are used by name, and files that are left out with the reason."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from comfyui_fgdm.factors.info import FactorInfo, reader_of
from comfyui_fgdm.maps import own_files, palettes
from comfyui_fgdm.maps.conversion import Colours
from comfyui_fgdm.maps.library import SHIPPED
from comfyui_fgdm.maps.palettes import COCO, PaletteError

ADE = palettes.get("ade20k150")
PETS = {
    "name": "pets",
    "void": 0,
    "labels": [
        {"index": 0, "name": "nothing", "rgb": [0, 0, 0]},
        {"index": 1, "name": "dog", "rgb": [255, 0, 0]},
        {"index": 2, "name": "cat", "rgb": [0, 0, 255]},
    ],
}
PETS_TO_ADE = {"name": "t", "from": "pets", "to": "ade20k150", "classes": {"dog": "animal", "cat": "animal"}}
TRAIN_IS_A_BUS = {"name": "mine", "from": "coco183", "to": "ade20k150", "classes": {"train": "bus"}}


def write(tmp_path: Path, **files: object) -> list[Path]:
    """JSON files by name; a text is written as it is."""
    paths = []
    for name, raw in files.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return paths


def test_a_palette_and_its_table_are_found_by_name(tmp_path: Path) -> None:
    own = own_files.read(write(tmp_path, a_table=PETS_TO_ADE, pets=PETS))
    assert own.problems == () and own.names == (*palettes.NAMES, "pets")
    with pytest.raises(PaletteError, match="unknown palette 'pets'"):
        SHIPPED.palette("pets")
    pets = own.palette("pets")
    assert [label.name for label in pets.labels] == ["nothing", "dog", "cat"]
    info = FactorInfo(variable="segmentation", base_family="sd15", palette="pets", classes=(1, 2))
    assert (reader_of(info, own).palette, reader_of(info, own).classes) == (pets, (1, 2))
    assert own.table(pets, Colours.ADE20K).targets == (ADE.void, ADE.index("animal"), ADE.index("animal"))
    with pytest.raises(PaletteError, match="no table of the classes of palette 'pets'"):
        SHIPPED.table(pets, Colours.ADE20K)
    with pytest.raises(PaletteError, match=r"'pets' knows labels 0..2, got labels \[3\]"):
        reader_of(dataclasses.replace(info, classes=(3,)), own)


def test_a_table_of_ones_own_goes_before_the_shipped_one(tmp_path: Path) -> None:
    train = COCO.index("train")
    assert SHIPPED.table(COCO, Colours.ADE20K).targets[train] == ADE.void
    own = own_files.read(write(tmp_path, table=TRAIN_IS_A_BUS)).table(COCO, Colours.ADE20K)
    assert own.targets[train] == ADE.index("bus") and own.mapped == (train,)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold a JSON object"),
        ({"name": "x"}, "is neither a palette (with 'labels') nor a table of classes (with 'classes')"),
        ({**PETS, "void": 7}, "'void' is 7; write the index"),
        ({**PETS, "name": "coco183"}, "the name 'coco183' is that of a shipped palette; write another"),
        (PETS, "there is a palette 'pets' already, in good.json; give one another name, or remove one"),
        (
            {**TRAIN_IS_A_BUS, "classes": {"train": "buss"}},
            "palette 'ade20k150' has no class called 'buss'; write 'bus'",
        ),
        ({**TRAIN_IS_A_BUS, "to": "unknown"}, "'to': unknown palette 'unknown'"),
        ({**TRAIN_IS_A_BUS, "to": "coco183"}, "'from' and 'to' are one palette; a table joins two"),
        (PETS_TO_ADE, "there is a table from 'pets' to 'ade20k150' already, in table.json; remove one"),
    ],
)
def test_a_bad_file_is_left_out_and_named_with_the_remedy(tmp_path: Path, bad: object, message: str) -> None:
    own = own_files.read(write(tmp_path, good=PETS, table=PETS_TO_ADE, zz_bad=bad))
    (problem,) = own.problems
    assert problem.startswith(f"{tmp_path / 'zz_bad.json'}: ") and message in problem
    assert [palette.name for palette in own.palettes] == ["pets"] and [table.name for table in own.tables] == ["t"]


def test_what_is_wrong_with_a_file_is_said_where_its_palette_is_missed(tmp_path: Path) -> None:
    own = own_files.read(write(tmp_path, pets={**PETS, "void": 7}))
    for miss in (
        lambda: own.palette("pets"),
        lambda: reader_of(FactorInfo(variable="segmentation", base_family="sd15", palette="pets"), own),
        lambda: own.table(palettes.get("cityscapes19"), Colours.ADE20K),
    ):
        with pytest.raises(PaletteError, match=r"left out: .*pets\.json: 'void' is 7; write the index"):
            miss()


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    (problem,) = own_files.read([tmp_path / "gone.json"]).problems
    assert "gone.json: cannot be read" in problem
