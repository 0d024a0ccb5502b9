"""The variables: each reads back what it draws, and means what the stock ControlNets take it for."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from comfyui_fgdm.factors.info import FactorInfo, reader_of
from comfyui_fgdm.maps import kinds, normal, palettes, pose, sketch
from comfyui_fgdm.maps.conversion import Shown
from comfyui_fgdm.maps.kinds import VariableError, VariableKind
from comfyui_fgdm.maps.pictures import MapError


def eight_bits(picture: torch.Tensor) -> torch.Tensor:
    """As a picture file keeps it."""
    return (picture * 255).round() / 255


def pixel(*rgb: float) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 1, 1, 3)


def test_the_known_variables() -> None:
    assert kinds.names() == ("depth", "normal", "pose", "segmentation", "sketch")
    for name in kinds.names():
        kind = kinds.get(name)
        assert kind.name == name and kind is kinds.find(name)
        assert kind.controlnets and kind.expects and kind.about and kind.values
        assert all(model.startswith(("control_v11", "control_sd15")) for model in kind.controlnets)


def test_an_unknown_variable_names_the_known_ones() -> None:
    assert kinds.find("smell") is None
    with pytest.raises(
        VariableError, match="unknown variable 'smell'; known: depth, normal, pose, segmentation, sketch"
    ):
        kinds.get("smell")


def test_user_code_can_add_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    heat = VariableKind(
        "heat", "Heat", "warm is bright", "float [B, H, W]", draw=lambda v: v[..., None].repeat(1, 1, 1, 3)
    )
    kinds.register(heat)
    kinds.register(heat)  # a module that is imported twice
    assert kinds.get("heat").to_picture(torch.ones(1, 2, 2)).shape == (1, 2, 2, 3)
    assert FactorInfo("heat", "sd15", palette=None).variable == "heat"
    with pytest.raises(ValueError, match="palette must be null: heat maps"):
        FactorInfo("heat", "sd15")
    with pytest.raises(VariableError, match="'heat' already"):
        kinds.register(dataclasses.replace(heat, title="Warmth"))
    for name in ("", "Heat", "2d", "a b", "a.b"):
        with pytest.raises(VariableError, match="lower-case word"):
            kinds.register(dataclasses.replace(heat, name=name))


def test_segmentation_reads_its_labels_back() -> None:
    kind = kinds.get("segmentation")
    labels = torch.randint(0, 182, (2, 16, 16))
    picture = kind.to_picture(labels)
    assert picture.shape == (2, 16, 16, 3) and torch.equal(kind.to_values(eight_bits(picture)), labels)


def test_a_factors_own_classes_are_the_ones_that_are_read() -> None:
    reader = reader_of(FactorInfo("segmentation", "sd15", classes=(0, 168)), name="two.safetensors")
    bed = palettes.encode(torch.full((1, 2, 2), 64), palettes.COCO)  # nearest of 0 and 168: 0
    assert kinds.get("segmentation").to_values(bed).unique().tolist() == [64]
    assert reader.read(bed).unique().tolist() == [0]
    assert reader.read(bed, palettes.Rule.OFFICIAL).unique().tolist() == [64]
    assert torch.equal(reader.draw(torch.full((1, 2, 2), 64)), bed)
    assert (reader.kind, reader.palette, reader.drawn_by) == (
        kinds.get("segmentation"),
        palettes.COCO,
        "two.safetensors",
    )
    ade = reader_of(FactorInfo("segmentation", "sd15", palette="ade20k150"))
    assert ade.palette == palettes.get("ade20k150") and ade.classes is None
    depth = reader_of(FactorInfo("depth", "sd15", palette=None))
    assert (depth.kind, depth.palette, depth.classes) == (kinds.get("depth"), None, None)


def test_a_palette_or_class_that_is_not_there_is_named_where_the_factor_is_resolved() -> None:
    with pytest.raises(palettes.PaletteError, match="unknown palette 'pets'; known: ade20k150, .*models/fgdm_palettes"):
        reader_of(FactorInfo("segmentation", "sd15", palette="pets"))
    with pytest.raises(palettes.PaletteError, match=r"knows labels 0..182, got labels \[200\]"):
        FactorInfo("segmentation", "sd15", classes=(200,))


def test_a_factor_of_an_unknown_variable_is_shown_as_drawn_and_said_to_be_unreadable() -> None:
    picture = torch.rand(1, 4, 4, 3)
    smell = reader_of(FactorInfo("smell", "sd15", palette=None))
    for shown in (Shown.CLEAN, Shown.AS_DRAWN):
        assert smell.show(picture, shown) is picture
    with pytest.raises(VariableError, match="smell maps .* not read from a picture"):
        smell.read(picture)
    with pytest.raises(VariableError, match="smell maps cannot be drawn"):
        smell.draw(picture)
    with pytest.raises(VariableError, match="smell maps have no classes, so no colours of ADE20K"):
        smell.show(picture, Shown.ADE20K)
    stuff = reader_of(FactorInfo("stuff", "sd15"))  # with a palette it is read as a label map
    assert stuff.read(palettes.encode(torch.full((1, 2, 2), 64))).unique().tolist() == [64]


def people(count: int = 3, points: int = 18) -> pose.Poses:
    generator = torch.Generator().manual_seed(points)
    return pose.Poses(torch.rand(2, count, points, 3, generator=generator), 40, 60)


def test_the_mirror_image_means_the_mirrored_picture() -> None:
    """Flipping values is flipping the picture, but for what left and right are called."""
    values = {
        "segmentation": torch.randint(0, 182, (2, 5, 7)),
        "depth": torch.rand(2, 5, 7),
        "sketch": torch.rand(2, 5, 7),
        "normal": torch.nn.functional.normalize(torch.randn(2, 5, 7, 3), dim=-1),
    }
    for name, one in values.items():
        kind = kinds.get(name)
        flipped, picture = kind.to_picture(kind.flip(one)), kind.to_picture(one).flip(2)
        if name == "normal":
            picture[..., 0] = 1 - picture[..., 0]  # red faced left
        torch.testing.assert_close(flipped, picture)
        torch.testing.assert_close(kind.flip(kind.flip(one)), one)
    assert set(values) | {"pose"} == set(kinds.names()), "a new kind has its mirror image tested"


def test_a_mirrored_person_raises_the_other_hand() -> None:
    kind = kinds.get("pose")
    for points in pose.SIZES:
        once = kind.flip(people(points=points))
        torch.testing.assert_close(kind.flip(once).points, people(points=points).points)
        assert not torch.equal(once.points, people(points=points).points)
    raised = torch.zeros(1, 1, 18, 3)
    raised[0, 0, pose.JOINTS.index("left wrist")] = torch.tensor([0.8, 0.1, 1.0])
    flipped = kind.flip(pose.Poses(raised, 32, 32)).points[0, 0]
    torch.testing.assert_close(flipped[pose.JOINTS.index("right wrist")], torch.tensor([0.2, 0.1, 1.0]))
    assert flipped[:, 2].sum() == 1
    hands = torch.zeros(1, 1, 60, 3)
    hands[0, 0, 18:39, 2] = 1  # all of the left hand
    assert kind.flip(pose.Poses(hands, 32, 32)).points[0, 0, :, 2].nonzero().flatten().tolist() == [*range(39, 60)]
    face = torch.zeros(1, 1, 130, 3)
    face[0, 0, 60 + 36 : 60 + 42, 2] = 1  # one eye of the 68 points, and the pupil beside
    face[0, 0, 60 + 68, 2] = 1
    mirrored = kind.flip(pose.Poses(face, 32, 32)).points[0, 0, 60:, 2].nonzero().flatten().tolist()
    assert mirrored == [*range(42, 48), 69]


@pytest.mark.parametrize("name", ["depth", "sketch"])
def test_grey_variables(name: str) -> None:
    kind = kinds.get(name)
    values = torch.rand(2, 5, 7)
    picture = kind.to_picture(values)
    assert picture.shape == (2, 5, 7, 3) and picture.dtype == torch.float32
    assert (picture.amax(-1) == picture.amin(-1)).all()  # grey
    torch.testing.assert_close(kind.to_values(picture), values)
    torch.testing.assert_close(kind.to_values(pixel(0.1, 0.2, 0.6)), torch.full((1, 1, 1), 0.3))
    assert kind.to_picture(torch.tensor([[[-1.0, 2.0, torch.nan]]]))[0, 0, :, 0].tolist() == [0, 1, 0]
    assert kind.to_values(pixel(torch.nan, 9, -9)).item() == pytest.approx(1 / 3)


def test_near_is_bright_and_lines_are_white() -> None:
    near_far = torch.tensor([[[1.0, 0.0]]])
    assert kinds.get("depth").to_picture(near_far)[0, 0, :, 1].tolist() == [1, 0]
    line_paper = torch.tensor([[[1.0, 0.0]]])
    assert kinds.get("sketch").to_picture(line_paper)[0, 0, :, 1].tolist() == [1, 0]
    ink_on_paper = torch.cat([pixel(0, 0, 0), pixel(1, 1, 1)], 2)
    assert sketch.read(ink_on_paper, dark_lines=True)[0, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("faces", "rgb"),
    [((0, 0, 1), (0.5, 0.5, 1)), ((1, 0, 0), (1, 0.5, 0.5)), ((0, 1, 0), (0.5, 1, 0.5)), ((-1, 0, 0), (0, 0.5, 0.5))],
)
def test_normals_are_blue_ahead_red_left_green_up(faces: tuple, rgb: tuple) -> None:
    kind = kinds.get("normal")
    vector = torch.tensor(faces, dtype=torch.float32).view(1, 1, 1, 3)
    torch.testing.assert_close(kind.to_picture(vector), pixel(*rgb))
    torch.testing.assert_close(kind.to_picture(7 * vector), pixel(*rgb))
    torch.testing.assert_close(kind.to_values(pixel(*rgb)), vector)


def test_normals_survive_eight_bits_and_come_back_with_length_one() -> None:
    kind = kinds.get("normal")
    vectors = torch.nn.functional.normalize(torch.randn(1, 64, 64, 3), dim=-1)
    back = kind.to_values(eight_bits(kind.to_picture(vectors)))
    torch.testing.assert_close(back.norm(dim=-1), torch.ones(1, 64, 64))
    angle = torch.rad2deg(torch.arccos((back * vectors).sum(-1).clamp(-1, 1)))
    assert angle.max() < 0.6  # half a level on each axis: asin(sqrt(3) / 255) = 0.39 degrees, and float32 arccos
    faded = kind.to_values(0.5 + 0.3 * (kind.to_picture(vectors) - 0.5))
    torch.testing.assert_close(faded, vectors, atol=1e-4, rtol=0)


def test_pixels_without_direction_face_the_viewer() -> None:
    for grey in (0.5, 127 / 255, 128 / 255):
        assert normal.read(pixel(grey, grey, grey)).flatten().tolist() == [0, 0, 1]
    for vector in ((0.0, 0.0, 0.0), (torch.nan, 0.0, 1.0), (torch.inf, 0.0, 0.0)):
        torch.testing.assert_close(normal.draw(torch.tensor(vector).view(1, 1, 1, 3)), pixel(0.5, 0.5, 1))


def test_wrong_shapes_are_refused() -> None:
    for name in ("depth", "sketch", "normal"):
        kind = kinds.get(name)
        for picture in (torch.zeros(4, 4, 3), torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 3, dtype=torch.uint8)):
            with pytest.raises(MapError, match=r"float pictures \[B, H, W, 3\]"):
                kind.to_values(picture)
        with pytest.raises(MapError, match=r"as float \[B, H, W"):
            kind.to_picture(torch.zeros(4, 4))
    with pytest.raises(VariableError, match="pose maps can be drawn from keypoints.*not read"):
        kinds.get("pose").to_values(torch.zeros(1, 4, 4, 3))
