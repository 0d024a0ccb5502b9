"""Published data sets, made here in their published layout: labels by their own tables, captions, what is missing by its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.maps import kinds, palettes
from comfyui_fgdm.training import latents, recipe
from comfyui_fgdm.training.readers import celebamask, contents, formats, records
from comfyui_fgdm.training.readers import coco as coco_reader
from comfyui_fgdm.training.readers.contents import Example
from comfyui_fgdm.training.readers.pictures import picture_of, read_labels
from comfyui_fgdm.training.readers.sources import FolderError
from comfyui_fgdm.training.readers.view import View

COCO = palettes.COCO
PERSON, DOG, TREE = 0, 17, 168
NAMES = ("000000000009", "000000000025")


def save(file: Path, pixels: list | np.ndarray, kind=np.uint8) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, kind)).save(file)


def photo(file: Path, size: tuple[int, int] = (6, 4)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 200, 30)).save(file)


def write_json(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


def read(place: Path, *variables: str, **how) -> tuple[Example, ...]:
    return contents.usable(formats.look(place, variables or ("segmentation",), **how))


def labels_of(example: Example, palette: palettes.Palette, size: int = 4, flipped: bool = False) -> list[list[int]]:
    return read_labels(example.sources["segmentation"], size, View(flipped=flipped), palette).tolist()


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two photos with captions and maps of COCO-Stuff; the first map has no unlabelled pixel, and tree is its highest label."""
    for name in NAMES:
        photo(tmp_path / "train2017" / f"{name}.jpg")
    save(tmp_path / "stuffthingmaps" / "train2017" / f"{NAMES[0]}.png", [[PERSON, DOG, TREE, TREE]] * 4)
    save(tmp_path / "stuffthingmaps" / "train2017" / f"{NAMES[1]}.png", [[PERSON, 255, 181, DOG]] * 4)
    images = [{"id": int(name), "file_name": f"{name}.jpg", "width": 6, "height": 4} for name in NAMES]
    texts = [(9, "A dog by a tree. "), (25, "a person"), (9, "two\nlines")]
    notes = [{"id": n, "image_id": image, "caption": text} for n, (image, text) in enumerate(texts)]
    write_json(
        tmp_path / "annotations" / "captions_train2017.json", {"info": {}, "images": images, "annotations": notes}
    )
    return tmp_path


def test_coco_has_photos_captions_and_ids_less_one(coco: Path) -> None:
    assert formats.recognise(coco) == "coco"
    first, second = read(coco, "segmentation", "image")
    assert (first.name, first.captions) == (NAMES[0], ("A dog by a tree.", "two lines"))
    assert labels_of(second, COCO)[0] == [PERSON, COCO.void, 181, DOG]
    assert COCO.labels[181].name == "wood", "COCO-Stuff has wood as id 182"
    assert len(contents.usable(formats.look(coco, ["segmentation"]), captions=1)[0].captions) == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_label_is_painted_black_for_being_the_highest(coco: Path, name: str) -> None:
    """The authors' loader paints the highest label of a crop without unlabelled pixels black, the colour of person."""
    (example,) = [one for one in read(coco, "segmentation") if one.name == name]
    for view in (View(), View(left=1, scale=0.5), View(flipped=True)):
        source = example.sources["segmentation"]
        picture = (picture_of(source, kinds.get("segmentation"), 4, view, COCO) * 255).round().long()
        labels = read_labels(source, 4, view, COCO)
        assert torch.equal(picture.permute(1, 2, 0), torch.tensor([one.rgb for one in COCO.labels])[labels])
        assert torch.equal((picture == 0).all(0), labels == PERSON)


def test_panoptic_pictures_are_ids_of_segments(coco: Path) -> None:
    """id = R + 256 G + 65536 B; a united class becomes the one of COCO-Stuff that named it, 0 is void."""
    (coco / "stuffthingmaps").rename(coco / "elsewhere")
    big = 7 + 256 * 5 + 65536 * 3
    save(
        coco / "annotations" / "panoptic_train2017" / f"{NAMES[0]}.png",
        [[[7, 5, 3], [1, 0, 0], [0, 1, 0], [0, 0, 0]]] * 4,
    )
    file = coco / "annotations" / "panoptic_train2017.json"
    segments = [{"id": big, "category_id": 184}, {"id": 1, "category_id": 18}, {"id": 256, "category_id": 187}]
    classes = [{"id": 184, "name": "tree-merged"}, {"id": 18, "name": "dog"}, {"id": 187, "name": "sky-other-merged"}]
    whole = {
        "annotations": [{"image_id": 9, "file_name": f"{NAMES[0]}.png", "segments_info": segments}],
        "categories": classes,
    }
    write_json(file, whole)
    (example,) = read(coco)
    assert labels_of(example, COCO)[0] == [TREE, DOG, COCO.index("sky-other"), COCO.void]
    write_json(file, {**whole, "annotations": [{**whole["annotations"][0], "segments_info": segments[1:]}]})
    with pytest.raises(FolderError, match=rf"{NAMES[0]}.png holds the segments \[{big}\].*does not list"):
        labels_of(read(coco)[0], COCO)
    write_json(file, whole["annotations"])
    with pytest.raises(FolderError, match=r"panoptic_train2017.json is no JSON object.*panoptic_annotations"):
        read(coco)


def test_every_panoptic_class_has_a_label() -> None:
    united = (
        "tree fence ceiling-other sky-other cabinet table floor-other pavement mountain grass dirt paper food-other"
    )
    names = [f"{name}-merged" for name in f"{united} building-other rock wall-other rug".split()]
    labels = [coco_reader.panoptic_label(number, name) for number, name in enumerate(names, 184)]
    assert [COCO.labels[label].name + "-merged" for label in labels] == names and 184 + len(names) - 1 == 200


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: (p / "stuffthingmaps").rename(p / "maps"), ["stuffthingmaps/train2017", "stuffthingmaps_trainval2017.zip"]),
        (lambda p: (p / "train2017").rename(p / "pictures"), ["photos of the split 'train'", "images/train2017", "train2017.zip"]),
        (lambda p: (p / "train2017" / f"{NAMES[1]}.jpg").unlink(), ["1 examples", f"{NAMES[1]} lacks image"]),
        (lambda p: (p / "annotations" / "captions_train2017.json").unlink(), ["2 of 2", "annotations_trainval2017.zip"]),
        (
            lambda p: write_json(p / "annotations" / "captions_train2017.json", {"images": [], "annotations": [{"bbox": []}]}),
            ["captions_train2017.json is no caption file", "bbox", "annotations_trainval2017.zip"],
        ),
        (
            lambda p: write_json(p / "annotations" / "captions_train2017.json", {"licenses": []}),
            ["is no annotation file", "no list 'images'", "'licenses'"],
        ),
        (
            lambda p: (p / "annotations" / "captions_train2017.json").write_text('{"images": [{"id": 1'),
            ["captions_train2017.json ends in the middle", "annotations_trainval2017.zip anew"],
        ),
    ],
)  # fmt: skip
def test_what_coco_lacks_is_named_with_where_it_comes_from(coco: Path, spoil, words: list[str]) -> None:
    spoil(coco)
    with pytest.raises(FolderError) as caught:
        read(coco, "segmentation", "image")
    assert all(word in str(caught.value) for word in words), caught.value


def test_files_that_are_no_label_maps_are_named(coco: Path) -> None:
    place = coco / "stuffthingmaps" / "train2017"
    for pixels, words in (
        (np.full((4, 4), 200, np.uint8), rf"{NAMES[0]}.png holds the class numbers \[200\].*ids of classes less 1"),
        (np.full((4, 4, 3), 7, np.uint8), rf"{NAMES[0]}.png is a picture of colours"),
    ):
        save(place / f"{NAMES[0]}.png", pixels)
        with pytest.raises(FolderError, match=words):
            labels_of(read(coco)[0], COCO)
    (place / f"{NAMES[0]}.png").write_text("a caption, not a map")
    with pytest.raises(FolderError, match=rf"{NAMES[0]}.png cannot be read as a picture: it holds text"):
        labels_of(read(coco)[0], COCO)
    (place / f"{NAMES[0]}.png").unlink()
    (place / f"{NAMES[0]}.png").symlink_to(place / f"{NAMES[0]}.png")
    with pytest.raises(FolderError, match=rf"{NAMES[0]}.png cannot be read"):
        read(coco)[0].sources["segmentation"].stamp()


def test_init_looks_into_a_data_set(coco: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    assert main(["train", "init", str(coco), "--to", str(file), "--no-trial"]) == 0
    wanted, text = recipe.read(file), file.read_text()
    assert (wanted.data.format, wanted.data.palette, wanted.variables) == ("coco", "coco183", ("segmentation",))
    assert wanted.data.flip and not wanted.data.without_caption and wanted.data.captions == 0
    for line in (
        "read as coco",
        "2 segmentation pictures",
        "2 examples have all of: segmentation",
        "maps of COCO-Stuff in",
        "MB of disk",
    ):
        assert line in text


def test_a_format_that_does_not_fit_is_said(coco: Path) -> None:
    with pytest.raises(FolderError, match=r"COCO 2017.* has no depth maps, only segmentation, image.*template 8"):
        read(coco, "depth")
    with pytest.raises(
        FolderError, match=r'data.palette: the label maps of coco are those of \'coco183\'.*palette = "coco183"'
    ):
        formats.palette_name(formats.look(coco, ["segmentation"]), "ade20k150")
    with pytest.raises(FolderError, match="val2017"):
        read(coco, split="val")


def test_ade20k_counts_from_one_and_tells_its_classes(tmp_path: Path) -> None:
    ade = palettes.get("ade20k150")
    root = tmp_path / "ADEChallengeData2016"
    maps = np.ones((64, 64), np.uint8)  # wall
    maps[:, 40:] = 150  # flag
    maps[0, 0] = 13  # a pixel of person: too little to be an object
    maps[60:] = 0
    for number in (1, 2):
        save(root / "annotations" / "training" / f"ADE_train_0000000{number}.png", maps)
        photo(root / "images" / "training" / f"ADE_train_0000000{number}.jpg", (64, 64))
    (root / "sceneCategories.txt").write_text("ADE_train_00000001 living_room\nADE_train_00000002 misc\n")
    assert formats.recognise(tmp_path) == formats.recognise(root) == "ade20k"
    first, second = read(tmp_path, "segmentation", "image")
    labels = read_labels(first.sources["segmentation"], 64, View(), ade)
    assert labels[30, 0] == ade.index("wall") == 0 and labels[30, 63] == ade.index("flag") and labels[63, 0] == ade.void
    assert labels[0, 0] == ade.index("person")
    assert first.texts() == ("living room with wall and flag",) and second.texts() == ("wall and flag",)
    assert first.caption_count == 1 and not first.captions, "maps are not read to list the data"
    with pytest.raises(FolderError, match=r"annotations/validation.*ADEChallengeData2016.zip"):
        read(tmp_path, split="val")


def test_told_captions_are_encoded_and_a_changed_map_makes_another_store(tmp_path: Path) -> None:
    root, base = tmp_path / "ADEChallengeData2016", TinyBackbone()
    for number, label in ((1, 1), (2, 5)):
        save(root / "annotations" / "training" / f"ADE_train_0000000{number}.png", np.full((64, 64), label, np.uint8))

    def store() -> latents.LatentStore:
        views, palette = latents.Views(32, flip=False), palettes.get("ade20k150")
        return latents.prepare(tmp_path / "out", read(tmp_path), ["segmentation"], views, base, palette)

    first = store()
    assert first.texts == ["wall", "tree", ""] and first.spans == [(0, 1), (1, 2)]
    save(root / "annotations" / "training" / "ADE_train_00000002.png", np.full((64, 64), 3, np.uint8))
    assert store().texts == ["wall", "sky", ""]


def test_cityscapes_has_ids_and_train_ids(tmp_path: Path) -> None:
    city = palettes.get("cityscapes19")
    ids = np.full((32, 32), 7, np.uint8)  # road
    ids[:16] = 23  # sky
    ids[20:28, 4:20] = 26  # car
    ids[20:28, 24:28] = 33  # bicycle
    ids[0, 0], ids[0, 1], ids[0, 2] = 0, 29, 9  # unlabeled, caravan, parking: not evaluated
    train = np.full((32, 32), 0, np.uint8)
    train[:16] = 10
    train[20:28, 4:20], train[20:28, 24:28], train[0, :3] = 13, 18, 255
    for name in ("aachen_000000_000019", "ulm_000001_000019"):
        photo(tmp_path / "leftImg8bit" / "train" / name.split("_")[0] / f"{name}_leftImg8bit.png", (32, 32))
        save(tmp_path / "gtFine" / "train" / name.split("_")[0] / f"{name}_gtFine_labelIds.png", ids)
        save(tmp_path / "gtFine" / "train" / name.split("_")[0] / f"{name}_gtFine_instanceIds.png", ids)
    save(tmp_path / "gtFine" / "train" / "ulm" / "ulm_000001_000019_gtFine_labelTrainIds.png", train)
    found = formats.look(tmp_path, ["segmentation", "image"])
    assert found.format == "cityscapes" and found.notes[0] == "1 maps of train ids, 1 of ids"
    one, other = contents.usable(found)
    assert labels_of(one, city, 32) == labels_of(other, city, 32), "both kinds say the same"
    assert labels_of(one, city, 32)[0][:4] == [city.void] * 3 + [city.index("sky")]
    assert one.texts() == ("street with sky, road, car and bicycle",)
    (tmp_path / "gtFine" / "train" / "loop").symlink_to(tmp_path / "gtFine" / "train" / "loop")
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "ulm_000001_000019.txt").write_text("a written caption\n")
    assert read(tmp_path)[1].texts() == ("a written caption",)


def celeba(place: Path) -> Path:
    """One face, whose hair covers its skin and left eye; attributes, numbers in CelebA."""
    place = place / "CelebAMask-HQ"
    skin, hair, eye = np.full((4, 4), 255), np.zeros((4, 4)), np.zeros((4, 4))
    hair[:, 0], eye[1, :2] = 255, 255
    for part, mask in (("skin", skin), ("hair", hair), ("l_eye", eye)):
        save(place / "CelebAMask-HQ-mask-anno" / "0" / f"00005_{part}.png", np.stack([mask] * 3, -1))
    photo(place / "CelebA-HQ-img" / "5.jpg", (8, 8))
    (place / "CelebA-HQ-to-CelebA-mapping.txt").write_text(
        "idx orig_idx orig_file\n5 119613 119614.jpg\n7 180000 180001.jpg\n"
    )
    (place / "CelebAMask-HQ-attribute-anno.txt").write_text(
        "1\nEyeglasses Male Smiling Young Black_Hair Attractive Mustache Wearing_Hat\n5.jpg  1 -1  1  1  1  1 -1  1\n"
    )
    return place


def test_celebamask_masks_are_merged_in_their_order(tmp_path: Path) -> None:
    face = palettes.get("celebamask19")
    celeba(tmp_path)
    (example,) = read(tmp_path, "segmentation", "image", split="train")
    skin, hair, left, right = (face.index(name) for name in ("skin", "hair", "left eye", "right eye"))
    assert labels_of(example, face)[0] == [hair, skin, skin, skin] and labels_of(example, face)[1] == [
        hair,
        left,
        skin,
        skin,
    ]
    assert labels_of(example, face, flipped=True)[1] == [skin, skin, right, hair], (
        "in a mirror the left eye is the right one"
    )
    assert example.captions == ("a young smiling woman with black hair, wearing eyeglasses and a hat",)
    assert len(celebamask.PARTS) == 18 and [face.labels[celebamask.PARTS.index(p) + 1].name for p in ("eye_g", "neck_l", "cloth")] == [
        "eyeglasses", "necklace", "cloth",
    ]  # fmt: skip
    with pytest.raises(FolderError, match="no pictures"):
        read(tmp_path, split="test")


def test_what_celebamask_lacks_is_named(tmp_path: Path) -> None:
    place = celeba(tmp_path)
    save(place / "CelebAMask-HQ-mask-anno" / "0" / "00005_nose.png", np.zeros((5, 4), np.uint8))
    with pytest.raises(FolderError, match=r"00005_nose.png is 4 x 5 pixels, .*00005_skin.png 4 x 4"):
        labels_of(read(place)[0], palettes.get("celebamask19"))
    (place / "CelebAMask-HQ-attribute-anno.txt").write_text("1\nMale Young\n5.jpg 1\n")
    with pytest.raises(FolderError, match=r"attribute-anno.txt: '5.jpg' has 1 values for 2 attributes"):
        read(place)
    (place / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    with pytest.raises(FolderError, match=r'mapping.txt.*data.split = "all"'):
        read(place)
    (place / "CelebAMask-HQ-attribute-anno.txt").unlink()
    with pytest.raises(FolderError, match=r"no caption: 5.*CelebAMask-HQ-attribute-anno.txt"):
        read(place, split="all")


def test_the_colour_that_two_classes_share_is_read_as_by_the_palette(tmp_path: Path) -> None:
    ade = palettes.get("ade20k150")
    rgb = (palettes.encode(torch.full((1, 4, 4), ade.index("road")), ade)[0] * 255).round().byte().numpy()
    for name in ("a", "b"):
        save(tmp_path / "segmentation" / f"{name}.png", rgb)
    found = contents.usable(formats.look(tmp_path, ["segmentation"]), without_caption=True)
    assert labels_of(found[0], ade)[0] == [ade.index("road")] * 4


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_large_json_is_read_in_pieces_as_the_whole(tmp_path: Path, monkeypatch, piece: int) -> None:
    monkeypatch.setattr(records, "PIECE", piece)
    rows = [
        {"id": n, "caption": 'brackets ]}, "quotes" and \\ \u00e9 \u72ac', "numbers": [1.5e3, -2, n]} for n in range(5)
    ]
    whole = {"info": {"year": 2017}, "version": 123456, "boxes": [1, 2, [3]], "annotations": rows, "images": []}
    for text in (json.dumps(whole), json.dumps(whole, ensure_ascii=False, indent=1)):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        assert list(records.records(tmp_path / "a.json", ("annotations", "images"), "x.zip")) == [
            ("annotations", row) for row in rows
        ]
    for text, words in (
        ("", "ends in the middle"),
        ("[1]", "is no JSON object"),
        ('{"annotations": 3}', "a list was expected"),
        ('{"annotations": [3]}', "holds '3'"),
        ('{"annotations": [{}] "images"', "is no JSON"),
        ('{"annotations": [{"a": nonsense}]}', "is no JSON"),
        ('{"annotations": ' + "[" * 100000, "annotations|nested|middle"),
    ):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(FolderError, match=rf"a.json .*({words}).*x.zip"):
            list(records.records(tmp_path / "a.json", ("annotations",), "x.zip"))
