"""Keypoints drawn as poses, exact under crops and mirrors; WebDataset shards read from where their members lie."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.maps import kinds, palettes, pose
from comfyui_fgdm.training import recipe
from comfyui_fgdm.training.readers import contents, formats, webdataset
from comfyui_fgdm.training.readers.contents import Example
from comfyui_fgdm.training.readers.pictures import can_be_mirrored, picture_of, read_colours
from comfyui_fgdm.training.readers.sources import FolderError
from comfyui_fgdm.training.readers.view import View

POSE = kinds.get("pose")
WIDTH, HEIGHT = 96, 64
COCO_JOINTS = {"nose": 0, "left shoulder": 5, "right shoulder": 6, "left wrist": 9, "right ankle": 16}
AT = {"nose": (40, 10), "left shoulder": (50, 20), "right shoulder": (30, 20), "left wrist": (60, 40), "right ankle": (28, 60)}  # fmt: skip


def person(image: int, **changes) -> dict:
    """A person of whom some joints are known, with a left hand that is not valid and a right one that is."""
    body = np.zeros((17, 3))
    for joint, place in AT.items():
        body[COCO_JOINTS[joint]] = (*place, 2)
    right = np.zeros((21, 3))
    right[0] = (20, 30, 0.5)
    parts = {"keypoints": body, "foot_kpts": np.zeros((6, 3)), "face_kpts": np.zeros((68, 3))}
    parts |= {"lefthand_kpts": right + 5, "righthand_kpts": right}
    valid = {"foot_valid": False, "face_valid": True, "lefthand_valid": False, "righthand_valid": True}
    return {"image_id": image, "iscrowd": 0, **{k: v.flatten().tolist() for k, v in parts.items()}, **valid, **changes}


@pytest.fixture
def wholebody(tmp_path: Path) -> Path:
    """Three photos: one with a person, one with a crowd, one with a person without points."""
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": WIDTH, "height": HEIGHT, "coco_url": ""} for n in (1, 2, 3)
    ]
    people = [person(1), person(2, iscrowd=1), person(3, keypoints=[0] * 51)]
    place = tmp_path / "annotations"
    place.mkdir()
    (place / "coco_wholebody_train_v1.0.json").write_text(json.dumps({"images": images, "annotations": people}))
    notes = [{"image_id": n, "caption": f"caption {n}"} for n in (1, 2, 3)]
    (place / "captions_train2017.json").write_text(json.dumps({"images": images, "annotations": notes}))
    (tmp_path / "train2017").mkdir()
    for n in (1, 2, 3):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "train2017" / f"{n:012d}.jpg")
    return tmp_path


def drawn(example: Example, size: int, view: View) -> torch.Tensor:
    return (picture_of(example.sources["pose"], POSE, size, view, None).permute(1, 2, 0) * 255).round().int()


def colour_of(joint: str) -> list[int]:
    return list(pose.COLOURS[pose.JOINTS.index(joint)])


def test_keypoints_become_the_joints_they_name(wholebody: Path) -> None:
    found = formats.look(wholebody, ["pose", "image"])
    (example,) = contents.usable(found)
    assert (example.name, example.captions) == ("000000000001", ("caption 1",))
    assert found.notes == ("2 pictures without people are left out",)
    picture = drawn(example, HEIGHT, View())  # the middle square: 16 pixels are cut off on the left
    for joint in ("left shoulder", "right shoulder", "left wrist", "right ankle"):
        x, y = AT[joint]
        assert picture[y, x - 16].tolist() == colour_of(joint), joint
    assert picture[20, 24].tolist() == colour_of("neck"), "midway between the shoulders"
    assert picture[30, 4].tolist() == [0, 0, 255] and picture[35, 9].tolist() == [0, 0, 0], (
        "a valid hand, and one that is not"
    )


def test_a_mirror_exchanges_left_and_right_exactly(wholebody: Path) -> None:
    (example,) = contents.usable(formats.look(wholebody, ["pose"]))
    for view in (View(), View(left=0.3, top=1.0, scale=0.7)):
        upright, mirrored = (drawn(example, 128, View(view.left, view.top, view.scale, flip)) for flip in (False, True))
        names = [side + joint for joint in ("shoulder", "wrist") for side in ("left ", "right ")]
        for joint in names:
            other = joint.replace("left", "RIGHT").replace("right", "left").lower()
            there = (upright == torch.tensor(colour_of(joint))).all(-1)
            assert torch.equal((mirrored == torch.tensor(colour_of(other))).all(-1), there.flip(1)), joint
        assert (upright == torch.tensor(colour_of("left shoulder"))).all(-1).any()
    assert can_be_mirrored(example.sources["pose"], POSE)


def test_a_view_of_keypoints_is_that_of_a_photo(wholebody: Path) -> None:
    """A white pixel in the photo at the right ankle lies, in every view, where the joint is drawn."""
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    photo[AT["right ankle"][1], AT["right ankle"][0]] = 255
    file = wholebody / "train2017" / "000000000001.jpg"
    Image.fromarray(photo).save(file, "PNG")
    (example,) = contents.usable(formats.look(wholebody, ["pose", "image"]))
    for view in (View(0.2, 1.0, 0.5), View(0.2, 0.9, 0.75, True), View(0.0, 0.5, 1.0, True)):
        light = read_colours(example.sources["image"], 256, view).sum(0)
        y, x = divmod(int(light.argmax()), 256)
        joint = colour_of("left ankle" if view.flipped else "right ankle")
        assert drawn(example, 256, view)[y, x].tolist() == joint, view


def test_changed_keypoints_change_the_stamp(wholebody: Path) -> None:
    (before,) = contents.usable(formats.look(wholebody, ["pose"]))
    file = wholebody / "annotations" / "coco_wholebody_train_v1.0.json"
    file.write_text(file.read_text().replace("60.0, 40.0, 2.0", "61.0, 40.0, 2.0"))
    (after,) = contents.usable(formats.look(wholebody, ["pose"]))
    assert before.sources["pose"].stamp() != after.sources["pose"].stamp()


def test_other_annotations_are_no_keypoints(wholebody: Path) -> None:
    assert formats.recognise(wholebody, ["pose"]) == "wholebody" and formats.recognise(wholebody, ["image"]) == "coco"
    file = wholebody / "annotations" / "coco_wholebody_train_v1.0.json"
    (wholebody / "annotations" / "captions_train2017.json").replace(file)
    with pytest.raises(FolderError, match=r"is no file of COCO-WholeBody: .*image_id, caption.*'keypoints'"):
        formats.look(wholebody, ["pose"])
    file.unlink()
    with pytest.raises(FolderError, match=r"holds no annotations/coco_wholebody_train_v1.0.json.*releases"):
        formats.look(wholebody, ["pose"], "wholebody")


def png(colour: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), colour, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def shard(file: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
        for name in links:
            about = tarfile.TarInfo(name)
            about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(about)
    return file


def test_shards_are_read_where_their_members_lie(tmp_path: Path) -> None:
    long = {
        "a.image.png": png(10),
        "a.segmentation.png": png(17),
        "a.depth.png": png(200),
        "a.txt": "a dog\n\u72ac\n".encode(),
    }
    shard(tmp_path / "s" / "0.tar", {**long, "sub/b.jpg": png(30), "sub/b.png": png(0), "sub/b.txt": b"someone"})
    shard(
        tmp_path / "s" / "1.tar",
        {"A.jpg": png(40), "A.png": png(123), "A.txt": b"grass", "A.json": b"{}", "A.cls": b"1"},
    )
    assert formats.recognise(tmp_path / "s") == formats.recognise(tmp_path / "s" / "0.tar") == "webdataset"
    found = formats.look(tmp_path / "s", ["segmentation", "image"])
    assert [example.name for example in found.complete] == ["0/a", "0/sub/b", "1/A"]
    assert [example.captions for example in found.complete] == [("a dog", "\u72ac"), ("someone",), ("grass",)]
    assert len(found.strange) == 2 and found.counts == {"segmentation": 3, "image": 3, "depth": 1}
    seen = [
        picture_of(e.sources["segmentation"], kinds.get("segmentation"), 2, View(), palettes.COCO)
        for e in found.complete
    ]
    for picture, label in zip(seen, (17, 0, 123), strict=True):
        assert (picture[:, 0, 0] * 255).round().tolist() == list(palettes.COCO.labels[label].rgb)
    (only,) = contents.usable(formats.look(tmp_path / "s" / "0.tar", ["depth"]), True)
    assert only.name == "0/a"
    with pytest.raises(FolderError, match=r"shards in .* hold no pose maps; they hold .*image.*NAME.pose.png"):
        formats.look(tmp_path / "s", ["pose"])
    stamp = only.sources["depth"].stamp()
    shard(tmp_path / "s" / "0.tar", {**long, "a.depth.png": png(201), "z.jpg": png(1)})
    assert formats.look(tmp_path / "s" / "0.tar", ["depth"]).complete[0].sources["depth"].stamp() != stamp


def test_init_takes_the_variables_that_shards_hold(tmp_path: Path) -> None:
    shard(
        tmp_path / "0.tar",
        {"a.jpg": png(1), "a.depth.png": png(9), "a.txt": b"a", "b.depth.png": png(8), "b.jpg": png(2)},
    )
    assert main(["train", "init", str(tmp_path / "0.tar"), "--to", str(tmp_path / "r.toml"), "--no-trial"]) == 0
    wanted = recipe.read(tmp_path / "r.toml")
    assert (wanted.data.format, wanted.variables, wanted.data.without_caption) == ("webdataset", ("depth",), True)


@pytest.mark.parametrize("left", [0.1, 0.5, 0.9])
def test_a_shard_that_is_cut_off_is_named(tmp_path: Path, left: float) -> None:
    file = shard(tmp_path / "0.tar", {f"{n}.png": png(n) + bytes(2000) for n in range(9)})
    data = file.read_bytes().rstrip(b"\0")
    file.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(FolderError, match=r"0.tar is cut off"):
        webdataset.members(file)
    file.write_bytes(data[: 512 * (int(len(data) * left) // 512)])
    with pytest.raises(FolderError, match=r"0.tar is cut off"):
        webdataset.members(file)


def test_what_is_no_shard_is_named_and_nothing_is_unpacked(tmp_path: Path) -> None:
    evil = {"../../out.png": png(1), "/abs/out.png": png(2), "ok.png": png(3), "ok.txt": b"x"}
    file = shard(tmp_path / "in" / "0.tar", evil, links=("link.png",))
    before = sorted(tmp_path.rglob("*"))
    found = formats.look(file, ["segmentation"])
    assert {example.name for example in found.complete} == {"0/../../out", "0//abs/out", "0/ok"}
    picture_of(found.complete[0].sources["segmentation"], kinds.get("segmentation"), 8, View(), palettes.COCO)
    assert sorted(tmp_path.rglob("*")) == before
    for data, words in (
        (b"a caption", "no tar file"),
        (b"\x1f\x8b" + bytes(99), "is compressed; unpack it"),
        (b"", "cut off"),
    ):
        (tmp_path / "bad.tar").write_bytes(data)
        with pytest.raises(FolderError, match=rf"bad.tar.*{words}"):
            formats.look(tmp_path / "bad.tar", ["segmentation"])
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "0.tar.gz").write_bytes(b"\x1f\x8b" + bytes(99))
    with pytest.raises(FolderError, match=r"0.tar.gz is compressed; unpack it"):
        formats.look(tmp_path / "zipped", ["segmentation"])
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        for _ in range(2):
            about = tarfile.TarInfo("a.png")
            about.size = len(png(1))
            tar.addfile(about, io.BytesIO(png(1)))
    with pytest.raises(FolderError, match=r"twice.tar holds two pictures of segmentation of the name 'twice/a'"):
        formats.look(tmp_path / "twice.tar", ["segmentation"])
    shard(tmp_path / "torn.tar", {"a.png": png(1)[:40]})
    (torn,) = contents.usable(formats.look(tmp_path / "torn.tar", ["segmentation"]), True)
    with pytest.raises(FolderError, match=r"'a.png' in .*torn.tar cannot be read as a picture"):
        picture_of(torn.sources["segmentation"], kinds.get("segmentation"), 8, View(), palettes.COCO)
