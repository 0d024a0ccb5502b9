"""Recall by object over many maps: hand-made maps of faces with known answers, the command that reads folders, its chart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import recall, words
from comfyui_fgdm.objects.tally import Counted, Tally, tally
from comfyui_fgdm.objects.tally_chart import MOST, tally_chart

FACES = palettes.get("celebamask19")
NUMBER = {label.name: label.index for label in FACES.labels}
CAPTIONS = {
    "0001": "a bald man wearing eyeglasses",
    "0002": "a woman wearing a necklace and earrings",
    "0003": "a bald man with glasses",
    "0004": "a woman wearing a necklace",
    "0005": "justice",
}
MAPS = {  # what is on each: the classes in stripes
    "0001": ("skin", "eyeglasses"),
    "0002": ("skin", "hair", "necklace"),
    "0003": ("skin", "hair"),
    "0003_00002_": ("skin", "eyeglasses"),  # another map of the same caption
    "0004": ("skin", "hair", "necklace"),
    "0005": ("skin",),
}
EXPECTED = {
    "maps": 5,
    "maps_without_objects": 1,
    "recall": 0.7,  # 1, 1/2, 0, 1 and 1
    "objects": {
        "bald": {"asked": 3, "held": 2, "recall": 0.666667},
        "eyeglasses": {"asked": 3, "held": 2, "recall": 0.666667},
        "necklace": {"asked": 2, "held": 2, "recall": 1.0},
        "earring": {"asked": 1, "held": 0, "recall": 0.0},
    },
    "histogram": [1, 0, 0, 0, 0, 1, 0, 0, 0, 3],
}


def face(*names: str) -> np.ndarray:
    labels = np.full((32, 32), NUMBER["background"], np.uint8)
    for place, name in enumerate(names):
        labels[4 * place : 4 * place + 4] = NUMBER[name]
    return labels


def written(folder: Path, coloured: bool) -> Path:
    """The maps and captions as a training folder."""
    for place in ("segmentation", "captions"):
        (folder / place).mkdir(parents=True)
    for name, classes in MAPS.items():
        labels = face(*classes)
        if coloured:
            pixels = palettes.encode(torch.from_numpy(labels.astype(np.int64))[None], FACES)[0].mul(255).round().byte()
            noise = np.random.default_rng(0).integers(-6, 7, pixels.shape)  # as a decoder draws them
            picture = Image.fromarray((pixels.numpy() + noise).clip(0, 255).astype(np.uint8))
        else:
            picture = Image.fromarray(labels)
        picture.save(folder / "segmentation" / f"{name}.png")
    for name, text in CAPTIONS.items():
        (folder / "captions" / f"{name}.txt").write_text(f"\n{text}\nanother caption\n", encoding="utf-8")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["recall", *arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("coloured", [False, True])
def test_attributes_of_faces_are_counted_over_a_folder(capsys, tmp_path: Path, coloured: bool) -> None:
    folder = written(tmp_path / "maps", coloured)
    chart = tmp_path / "histogram.png"
    code, out, err = run(capsys, str(folder), "--palette", "celebamask19", "--json", "--chart", str(chart))
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found == EXPECTED and list(found["objects"]) == list(EXPECTED["objects"])
    drawn = np.asarray(Image.open(chart))
    necklace, hat = (FACES.labels[NUMBER[name]].rgb for name in ("necklace", "hat"))
    assert (drawn == necklace).all(-1).any() and not (drawn == hat).all(-1).any(), (
        "bars have the colours of their classes"
    )
    text = run(capsys, str(folder / "segmentation"), "--palette", "celebamask19")[1].splitlines()
    assert text[0] == "recall 0.700 of 5 maps" and "0.667  2 of 3  bald" in text


def test_one_caption_for_all_and_captions_beside_the_maps(capsys, tmp_path: Path) -> None:
    palette = ("--palette", "celebamask19", "--json")
    folder = written(tmp_path / "maps", False) / "segmentation"
    found = json.loads(run(capsys, str(folder), *palette, "--caption", "glasses, no hair", "--absences")[1])
    assert found["objects"] == {
        "bald": {"asked": 6, "held": 3, "recall": 0.5},
        "eyeglasses": {"asked": 6, "held": 2, "recall": 0.333333},
    }
    (folder / "0002.txt").write_text("a man with a hat", encoding="utf-8")
    assert json.loads(run(capsys, str(folder), *palette)[1])["objects"]["hat"]["asked"] == 1, "it goes before captions/"


def test_counts_are_held_where_there_are_so_many() -> None:
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    dog = next(label.index for label in palettes.COCO.labels if label.name == "dog")
    labels[:, 2:8, 2:8] = labels[1, 20:28, 20:28] = dog
    query = words.read("two dogs", reading=words.Reading(counts=True))
    found = tally([(recall.score(labels, query), query)])
    assert found.objects == {"dog": Counted(2, 1)} and found.recalls == (0.0, 1.0)


def test_what_cannot_be_counted_is_refused(capsys, tmp_path: Path) -> None:
    folder = written(tmp_path / "maps", True)
    for arguments, said in (
        ((str(tmp_path / "none"),), "check the path"),
        ((str(tmp_path),), "no pictures"),
        ((str(folder), "--captions", str(tmp_path)), "0001.txt"),
        ((str(folder), "--palette", "magic"), "celebamask19"),
        ((str(folder), "--caption", "justice"), "names an object"),
        ((str(folder), "--palette", "cityscapes19", "--caption", "a car"), "are those of 'celebamask19'"),
    ):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, "") and "recall: refused" in err and said in err, arguments
    (folder / "segmentation" / "0001.png").write_bytes(b"no picture")
    assert "cannot be read as a picture" in run(capsys, str(folder), "--palette", "celebamask19")[2]
    Image.fromarray(np.full((8, 8), 40, np.uint8)).save(folder / "segmentation" / "0001.png")
    assert "[40]" in run(capsys, str(folder), "--palette", "celebamask19")[2]


def test_the_chart_has_room_for_any_number_of_objects() -> None:
    some, many, more = (
        tally_chart(Tally({f"thing {k}": Counted(1, 1) for k in range(count)}, (1.0,)), FACES)
        for count in (MOST, MOST + 1, MOST + 500)
    )
    assert some.shape[0] < many.shape[0] == more.shape[0] < 2000
