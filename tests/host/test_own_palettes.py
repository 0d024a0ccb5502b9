"""Palettes and class tables of a user's own, dropped into models/fgdm_palettes while the host runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

LABELS = [
    {"index": 0, "name": "nothing", "rgb": [0, 0, 0]},
    {"index": 1, "name": "dog", "rgb": [255, 0, 0]},
    {"index": 2, "name": "cat", "rgb": [0, 0, 255]},
]
PETS = {"name": "pets", "void": 0, "labels": LABELS}
TRAIN_IS_A_BUS = {"name": "mine", "from": "coco183", "to": "ade20k150", "classes": {"train": "bus"}}


class Folder:
    def __init__(self, host: Any) -> None:
        self.path = host.base / "models" / "fgdm_palettes"
        self.host = host

    def put(self, name: str, raw: object) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / name
        file.write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
        self.host.folder_paths.filename_list_cache.clear()
        return file


@pytest.fixture
def folder(comfy_host: Any) -> Iterator[Folder]:
    found = Folder(comfy_host)
    yield found
    for file in found.path.glob("*.json"):
        file.unlink()
    comfy_host.folder_paths.filename_list_cache.clear()
    comfy_host.engine("comfyui_fgdm.host.own").library()


def test_the_folder_lists_json_files_only(comfy_host: Any, folder: Folder) -> None:
    folder.put("pets.json", PETS)
    folder.put("notes.txt", "x").rename(folder.path / "notes.md")
    assert str(folder.path) in comfy_host.folder_paths.get_folder_paths("fgdm_palettes")
    assert comfy_host.folder_paths.get_filename_list("fgdm_palettes") == ["pets.json"]


def test_maps_of_a_factor_with_a_palette_of_ones_own(
    comfy_host: Any, folder: Folder, tiny: Any, make_factor: Any
) -> None:
    file = folder.put("pets.json", PETS)
    comfy_host.engine("comfyui_fgdm.host.own").library()
    factor = tiny.load(make_factor("pets.safetensors", palette="pets", classes=(1, 2)))
    picture = torch.zeros(1, 8, 8, 3)
    picture[:, :4, :, 0], picture[:, 4:, :, 2] = 0.9, 0.9
    clean, mask, _, text, _ = comfy_host.call("FGDM_DecodeMap", maps=picture, factor=factor, class_name="cat", clean=0)
    assert torch.equal(clean[0, 0, 0], torch.tensor([1.0, 0.0, 0.0])) and mask.sum() == 32
    assert [c["name"] for c in json.loads(text)["maps"][0]["classes"]] == ["dog", "cat"]
    file.unlink()
    with pytest.raises(
        ValueError, match=r"pets\.safetensors: bad metadata .*unknown palette 'pets'.*models/fgdm_palettes"
    ):
        tiny.load("pets.safetensors")


def test_a_bad_file_is_named_where_its_palette_is_missed_and_in_the_way_of_nothing_else(
    comfy_host: Any, folder: Folder, tiny: Any, make_factor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put("pets.json", PETS)
    comfy_host.engine("comfyui_fgdm.host.own").library()
    name = make_factor("pets-again.safetensors", palette="pets")
    bad = folder.put("pets.json", {**PETS, "void": 70})
    with pytest.raises(ValueError, match=r"unknown palette 'pets'.*pets\.json: 'void' is 70; write the index"):
        tiny.load(name)
    assert f"{bad}: 'void' is 70; write the index" in caplog.text
    assert tiny.load().info.palette == "coco183"


def test_decode_map_follows_an_edited_table(comfy_host: Any, folder: Folder) -> None:
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    ade, cls = palettes.get("ade20k150"), comfy_host.node("FGDM_DecodeMap")
    train = palettes.encode(torch.full((1, 8, 8), palettes.COCO.index("train")))

    def painted() -> torch.Tensor:
        return comfy_host.call("FGDM_DecodeMap", maps=train, colours="ADE20K")[0][0, 0, 0]

    assert torch.equal(painted(), torch.ones(3))
    before = cls.fingerprint_inputs(class_name="")
    folder.put("table.json", TRAIN_IS_A_BUS)
    assert torch.equal(painted(), torch.tensor(ade.labels[ade.index("bus")].rgb) / 255)
    assert cls.fingerprint_inputs(class_name="") != before, "what the host has cached is not used again"


def test_no_file_keeps_the_pack_from_loading(comfy_host: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in `on_load` would make the host drop every node."""
    folder.put("good.json", PETS)
    folder.put("digits.json", json.dumps({**PETS, "name": "digits"}).replace("255", "9" * 5000))
    folder.put("deep.json", "[" * 100_000)
    folder.put("lines.json", json.dumps({**PETS, "name": "a\nb"}))
    (folder.path / "bytes.json").write_bytes(bytes(range(256)))
    gone = folder.put("gone.json", PETS)
    own, extension = comfy_host.engine("comfyui_fgdm.host.own"), comfy_host.engine("nodes").FGDMExtension()
    listed = own.folders.palette_files()
    gone.unlink()  # between the listing and the reading
    monkeypatch.setattr(own.folders, "palette_files", lambda: listed)
    asyncio.run(extension.on_load())
    found = own.library()
    assert [palette.name for palette in found.palettes] == ["pets"]
    assert sorted(Path(problem.split(": ")[0]).stem for problem in found.problems) == [
        *("bytes", "deep", "digits", "gone", "lines")
    ]
    assert comfy_host.call("FGDM_DecodeMap", maps=torch.zeros(1, 8, 8, 3))[1].sum() == 64, "Decode Map goes on"
