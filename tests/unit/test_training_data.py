"""Training data from a folder: what fits is read exactly, what does not is named; batches and held-out examples."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.maps import kinds, palettes
from comfyui_fgdm.training import latents
from comfyui_fgdm.training.latents import DataSet, Views
from comfyui_fgdm.training.readers import contents, folder, formats, pictures
from comfyui_fgdm.training.readers.sources import FolderError, PictureFile
from comfyui_fgdm.training.readers.view import View
from tools.toy_folder import DOG, GRASS, write_maps

COCO = palettes.COCO


def examples_of(place: Path, variables: list[str]) -> tuple[contents.Example, ...]:
    return contents.usable(formats.look(place, variables))


def read_labels(file: Path, size: int, view: View, palette: palettes.Palette) -> torch.Tensor:
    return pictures.read_labels(PictureFile(file), size, view, palette)


def read_colours(file: Path, size: int, view: View) -> torch.Tensor:
    return pictures.read_colours(PictureFile(file), size, view)


def test_examples_are_paired_by_name_with_their_captions(tmp_path: Path) -> None:
    place = write_maps(tmp_path)
    (place / "image" / "0.txt").write_text("not this one: captions/ comes first")
    found = examples_of(place, ["segmentation", "depth"])
    assert [example.name for example in found] == [str(number) for number in range(6)]
    assert found[0].captions == ("a dog on the grass", "a dog")
    assert {name: Path(str(source)).parent.name for name, source in found[0].sources.items()} == {
        n: n for n in ("depth", "image", "segmentation")
    }


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: [file.unlink() for file in (p / "depth").iterdir()], ["6 examples", "lacks depth"]),
        (lambda p: (p / "depth" / "3.png").unlink(), ["1 examples", "3 lacks depth"]),
        (lambda p: (p / "captions" / "2.txt").unlink(), ["1 of 6", "no caption: 2", "without_caption"]),
        (lambda p: (p / "captions" / "2.txt").write_bytes(b"\xff\xfe\x00dog"), ["2.txt", "UTF-8"]),
        (lambda p: (p / "depth" / "3.jpg").write_bytes(b""), ["3.jpg and 3.png", "one name"]),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_by_name(tmp_path: Path, spoil, words: list[str]) -> None:
    spoil(write_maps(tmp_path))
    with pytest.raises(FolderError) as caught:
        examples_of(tmp_path, ["segmentation", "depth"])
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_missing_an_empty_and_a_foreign_folder(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="nowhere is no folder"):
        examples_of(tmp_path / "nowhere", ["depth"])
    with pytest.raises(FolderError, match="holds nothing that is known: it has nothing.*plain folder.*depth/NAME.png"):
        examples_of(tmp_path, ["depth"])
    with pytest.raises(FolderError, match="holds no folder 'depth'.*no folders"):
        folder.look(tmp_path, ["depth"], "train")
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / "a.txt").write_text("a caption is no picture")
    (tmp_path / "depth" / "a.tif").write_text("")
    with pytest.raises(FolderError, match=r"holds no pictures.*such as a\.tif"):
        examples_of(tmp_path, ["depth"])


def test_labels_are_those_of_the_nearest_pixels_and_never_a_blend(tmp_path: Path) -> None:
    place = write_maps(tmp_path) / "segmentation" / "0.png"
    labels = read_labels(place, 16, View(), COCO)
    assert labels.shape == (16, 16) and set(labels.unique().tolist()) == {DOG, GRASS}
    assert labels.tolist() == [
        [DOG if 8 <= 2 * y + 1 < 24 and 4 <= 8 + 2 * x + 1 < 20 else GRASS for x in range(16)] for y in range(16)
    ]
    assert torch.equal(read_labels(place, 16, View(flipped=True), COCO), labels.flip(1))
    corner = read_labels(place, 8, View(left=0, top=0, scale=0.5), COCO)
    assert corner.tolist() == [
        [DOG if 2 * y + 1 >= 8 and 2 * x + 1 >= 4 else GRASS for x in range(8)] for y in range(8)
    ]


def test_indexed_files_hold_class_indices_and_255_is_void(tmp_path: Path) -> None:
    indices = np.array([[DOG, 255], [GRASS, 0]], np.uint8)
    Image.fromarray(indices).save(tmp_path / "grey.png")
    assert read_labels(tmp_path / "grey.png", 2, View(), COCO).tolist() == [[DOG, COCO.void], [GRASS, 0]]
    Image.fromarray(np.full((2, 2), 200, np.uint8)).save(tmp_path / "other.png")
    with pytest.raises(FolderError, match=r"other\.png.*\[200\].*'coco183'.*data\.palette"):
        read_labels(tmp_path / "other.png", 2, View(), COCO)


def test_a_palette_that_does_not_cover_a_map_is_said_with_the_colours(tmp_path: Path) -> None:
    ade = palettes.get("ade20k150")
    rgb = palettes.encode(torch.full((1, 4, 4), 3), ade)[0]
    Image.fromarray((rgb * 255).round().byte().numpy()).save(tmp_path / "ade.png")
    r, g, b = ade.labels[3].rgb
    with pytest.raises(FolderError, match=rf"ade\.png holds 1 colours.*#{r:02x}{g:02x}{b:02x} \(100\.0 %\)"):
        read_labels(tmp_path / "ade.png", 4, View(), COCO)


def test_a_picture_that_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = write_maps(tmp_path, 1) / "image" / "0.png"
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:100])
    with pytest.raises(FolderError, match=r"cut\.png cannot be read"):
        read_colours(tmp_path / "cut.png", 16, View())


def test_all_variables_of_an_example_are_seen_alike(tmp_path: Path) -> None:
    """A picture whose red says the column: crops and flips of photo and labels show the same columns."""
    columns = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
    Image.fromarray(np.stack([4 * columns] * 3, -1)).save(tmp_path / "photo.png")
    Image.fromarray(columns).save(tmp_path / "labels.png")
    views = Views(20, crops=5, smallest=0.5)
    assert len(views.of("a")) == views.count == 12 and views.of("a") == views.of("a") != views.of("b")
    for view in views.of("a"):
        photo = read_colours(tmp_path / "photo.png", 20, view)[0] * 255 / 4
        seen = read_labels(tmp_path / "labels.png", 20, view, COCO).float()
        assert float((photo - seen).abs().max()) <= 1.6  # a box average against the nearest pixel


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


def test_normals_are_mirrored_as_directions(tmp_path: Path) -> None:
    normal = kinds.get("normal")
    left = torch.tensor([0.6, 0.0, 0.8]).expand(1, 16, 16, 3)
    picture = normal.to_picture(left)[0]
    Image.fromarray((picture * 255).round().byte().numpy()).save(tmp_path / "n.png")
    seen = pictures.picture_of(PictureFile(tmp_path / "n.png"), normal, 16, View(flipped=True), None)
    values = normal.to_values(seen.permute(1, 2, 0)[None])
    torch.testing.assert_close(values[0, 5, 5], torch.tensor([-0.6, 0.0, 0.8]), atol=0.02, rtol=0)
    with pytest.raises(FolderError, match=r"data\.flip: pose maps cannot be mirrored"):
        pictures.picture_of(PictureFile(tmp_path / "n.png"), kinds.get("pose"), 16, View(flipped=True), None)


def test_latents_and_prompts_are_made_once(tmp_path: Path, base: TinyBackbone) -> None:
    examples = examples_of(write_maps(tmp_path / "data"), ["segmentation", "depth"])
    calls: list[tuple[int, int]] = []

    def store(views: Views, say=lambda done, total: calls.append((done, total))) -> latents.LatentStore:
        return latents.prepare(tmp_path / "out", examples, ["depth", "segmentation"], views, base, COCO, say)

    first = store(Views(32))
    assert calls[-1] == (6, 6) and first.latents["depth"].shape == (6, 2, 12, 4, 4)
    calls.clear()
    again = store(Views(32))
    assert not calls and np.array_equal(again.latents["segmentation"], first.latents["segmentation"])
    store(Views(32, flip=False))
    assert calls, "other views are another store"
    calls.clear()
    os.utime(tmp_path / "data" / "depth" / "3.png", (1, 1))
    store(Views(32))
    assert calls, "a file that changed makes another store"
    picture = pictures.picture_of(examples[2].sources["segmentation"], kinds.get("segmentation"), 32, View(), COCO)
    torch.testing.assert_close(
        torch.tensor(first.latents["segmentation"][2, 0], dtype=torch.float32),
        base.encode(picture[None])[0],
        atol=2e-3,
        rtol=2e-3,
    )
    assert not list((tmp_path / "out").glob("*.part"))
    about = next((tmp_path / "out").glob("latents-*/about.json"))
    assert json.loads(about.read_text())["names"] == [str(number) for number in range(6)]
    prompts = [*(text for example in examples for text in example.captions), ""]
    torch.testing.assert_close(torch.tensor(first.prompts).float(), base.prompts(prompts), atol=5e-3, rtol=5e-3)
    stored = sum(array.nbytes for array in (*first.latents.values(), first.prompts))
    assert latents.stored_bytes(examples, 2, Views(32), base.facts, first.prompts.shape[1:]) == stored


def test_batches_draw_examples_views_and_captions(tmp_path: Path, base: TinyBackbone) -> None:
    examples = examples_of(write_maps(tmp_path / "data", 12), ["segmentation", "depth"])
    store = latents.prepare(tmp_path / "out", examples, ["depth", "segmentation"], Views(32), base, COCO)
    data = DataSet(store, "depth", ("segmentation",), held_out=0.2, caption_dropout=0.25)
    held_out, learned = set(data.held_out_rows), set(data.training_rows)
    assert held_out and not held_out & learned and held_out | learned == set(range(12))
    batch = data.draw(400, torch.Generator().manual_seed(0))
    assert batch.latent.shape == batch.parents["segmentation"].shape == (400, 12, 4, 4)
    assert 0.18 < batch.dropped.float().mean() < 0.32
    empty = base.prompts([""])[0]
    torch.testing.assert_close(batch.prompts[batch.dropped][0], empty, atol=5e-3, rtol=5e-3)
    seen = {tuple(one.flatten().tolist()) for one in batch.parents["segmentation"]}
    assert len(seen) == 2 * len(learned), "every learned example in both views, and no held-out one"
    again = [one.latent for one in data.validation(2)]
    assert all(torch.equal(a, b.latent) for a, b in zip(again, data.validation(2), strict=True))
    assert sum(map(len, again)) == len(held_out)


def test_some_are_held_out_and_some_are_learned_whatever_the_share(tmp_path: Path, base: TinyBackbone) -> None:
    examples = examples_of(write_maps(tmp_path / "data", 3), ["depth"])
    store = latents.prepare(tmp_path / "out", examples, ["depth"], Views(32), base, COCO)
    for share, least, most in ((0.0, 0, 0), (0.001, 1, 2), (0.9, 1, 2)):
        data = DataSet(store, "depth", held_out=share)
        assert least <= len(data.held_out_rows) <= most
        assert sorted([*data.held_out_rows, *data.training_rows]) == [0, 1, 2]
