"""A user's own pictures become training data: read as lists, maps made of them by core nodes, written with their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.training.readers import contents, formats
from tools.client import Prompt
from tools.toy_folder import write_pictures


@pytest.fixture(scope="module")
def pictures(comfy_host) -> Path:
    return write_pictures(comfy_host.base / "input" / "my_pictures")


def load(comfy_host, **changes) -> tuple[list[torch.Tensor], list[str], list[str]]:
    inputs = {"folder": "my_pictures", "first": 0, "count": 100, "size": 0}
    return comfy_host.call("FGDM_LoadPictures", **{**inputs, **changes})


def test_pictures_come_as_lists_with_captions_and_names(comfy_host, pictures: Path) -> None:
    images, captions, names = load(comfy_host)
    assert names == [f"photo {number}" for number in range(4)]
    assert captions == [*(f"a square, number {number}\na bright square" for number in range(3)), ""]
    assert [tuple(image.shape) for image in images] == [(1, edge, 160, 3) for edge in (120, 136, 160, 176)]
    whole = torch.from_numpy(np.array(Image.open(pictures / "photo 1.png"))).float()[None] / 255
    assert torch.equal(images[1], whole[:, 2:138]), "140 rows are cut to a multiple of 8 in the middle"
    images, _, names = load(comfy_host, first=2, count=1, size=80)
    assert names == ["photo 2"] and images[0].shape == (1, 80, 80, 3)


def test_own_pictures_become_a_training_folder(
    comfy_host, pictures: Path, api_workflow: Callable[[str], Prompt]
) -> None:
    comfy_host.run(api_workflow("fgdm_maps_of_pictures"))
    place = comfy_host.base / "input" / "my_examples"
    found = formats.look(place, ["sketch", "image"])
    assert found.counts == {"image": 4, "sketch": 4} and found.no_caption == ("photo 3",)
    examples = contents.usable(found, without_caption=True)
    assert examples[1].captions == ("a square, number 1", "a bright square")
    for example in examples:
        photo, sketch = (example.sources[name].open() for name in ("image", "sketch"))
        assert photo.size == sketch.size
        lines = np.array(sketch.convert("L")) > 127
        number = int(example.name[-1])
        left = np.flatnonzero(lines[60])[0]
        assert abs(left - (30 + number)) <= 2, "the edge of the square is where it is in the picture"


def test_pictures_that_cannot_be_read_are_named(comfy_host, pictures: Path) -> None:
    with pytest.raises(Exception, match=r"no folder 'nowhere'.*my_pictures.*NAME.txt"):
        load(comfy_host, folder="nowhere")
    with pytest.raises(Exception, match="no folder '../input'"):
        load(comfy_host, folder="../input")
    with pytest.raises(Exception, match="first: my_pictures holds 4 pictures, number 0 to 3"):
        load(comfy_host, first=4)
    place = comfy_host.base / "input" / "bad_pictures"
    place.mkdir()
    (place / "a.png").write_text("a caption")
    with pytest.raises(Exception, match=r"a\.png cannot be read as a picture"):
        load(comfy_host, folder="bad_pictures")
    Image.new("RGB", (4, 40)).save(place / "a.png")
    with pytest.raises(Exception, match=r"a\.png has 4 x 40 pixels"):
        load(comfy_host, folder="bad_pictures")
    Image.new("RGB", (16, 40)).save(place / "a.png")
    (place / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Exception, match=r"a\.txt is no text in UTF-8"):
        load(comfy_host, folder="bad_pictures")
    Image.new("RGB", (16, 40)).save(place / "a.jpg")
    with pytest.raises(Exception, match=r"a\.jpg and a\.png in bad_pictures have one name"):
        load(comfy_host, folder="bad_pictures")


def test_a_changed_caption_is_read_again(comfy_host, pictures: Path) -> None:
    node = comfy_host.node("FGDM_LoadPictures")
    before = node.fingerprint_inputs("my_pictures", 0, 2)
    (pictures / "photo 2.txt").write_text("another")
    assert node.fingerprint_inputs("my_pictures", 0, 2) == before
    (pictures / "photo 1.txt").write_text("another text")
    assert node.fingerprint_inputs("my_pictures", 0, 2) != before
