"""Pose maps: every pixel against a second description of the figures, and the orders of other keypoint layouts."""

from __future__ import annotations

import colorsys

import pytest
import torch

from comfyui_fgdm.maps import kinds, pose
from comfyui_fgdm.maps.pictures import MapError
from comfyui_fgdm.maps.pose import BODY, COLOURS, FINGERS, JOINTS, LIMBS, Poses

SIDE = 512
# A standing person who faces the viewer, so that their right is on the left: x, y in fractions of the picture.
STANDING = {
    **{"nose": (0.50, 0.15), "neck": (0.50, 0.25)},
    **{"right shoulder": (0.40, 0.25), "right elbow": (0.33, 0.38), "right wrist": (0.30, 0.50)},
    **{"left shoulder": (0.60, 0.25), "left elbow": (0.67, 0.38), "left wrist": (0.70, 0.50)},
    **{"right hip": (0.44, 0.52), "right knee": (0.43, 0.70), "right ankle": (0.42, 0.90)},
    **{"left hip": (0.56, 0.52), "left knee": (0.57, 0.70), "left ankle": (0.58, 0.90)},
    **{"right eye": (0.47, 0.12), "left eye": (0.53, 0.12), "right ear": (0.43, 0.14), "left ear": (0.57, 0.14)},
}
BONES = {  # by name, with the hue of their colour in degrees, as OpenPose lists them
    **{"neck - right shoulder": 0, "neck - left shoulder": 20, "right shoulder - right elbow": 40},
    **{"right elbow - right wrist": 60, "left shoulder - left elbow": 80, "left elbow - left wrist": 100},
    **{"neck - right hip": 120, "right hip - right knee": 140, "right knee - right ankle": 160},
    **{"neck - left hip": 180, "left hip - left knee": 200, "left knee - left ankle": 220, "neck - nose": 240},
    **{"nose - right eye": 260, "right eye - right ear": 280, "nose - left eye": 300, "left eye - left ear": 320},
}


def person(points: dict[str, tuple[float, float]], extra: int = 0) -> torch.Tensor:
    out = torch.zeros(BODY + extra, 3)
    for name, (x, y) in points.items():
        out[JOINTS.index(name)] = torch.tensor([x, y, 1.0])
    return out


def levels(people: torch.Tensor, height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    picture = pose.draw(Poses(people, height, width))
    assert picture.shape == (len(people), height, width, 3) and picture.dtype == torch.float32
    out = (picture * 255).round()
    torch.testing.assert_close(out / 255, picture)
    return out.int()


def at(picture: torch.Tensor, x: float, y: float) -> tuple[int, ...]:
    return tuple(picture[int(y * picture.shape[0]), int(x * picture.shape[1])].tolist())


def test_colours_and_limbs_are_those_of_openpose() -> None:
    assert [tuple(JOINTS[i] for i in limb) for limb in LIMBS] == [tuple(bone.split(" - ")) for bone in BONES]
    for (red, green, blue), hue in zip(COLOURS, [*BONES.values(), 340], strict=True):
        assert (red, green, blue) == tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue / 360, 1, 1))


def test_every_pixel_of_a_standing_person() -> None:
    """Outside all figures black; in a disc its joint's colour; else the colour of the last limb there, at 60 %."""
    picture = levels(person(STANDING)[None, None])[0]
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    here = torch.stack([x, y], -1).double()
    where = {name: torch.tensor(p, dtype=torch.float64) * SIDE for name, p in STANDING.items()}
    expected = torch.zeros(SIDE, SIDE, 3, dtype=torch.int32)
    for bone, colour in zip(BONES, COLOURS):
        a, b = (where[name] for name in bone.split(" - "))
        # an ellipse is where the distances to its foci add up to its long axis, here at most the bone
        half = (b - a).norm() / 2
        long, short = max(half, torch.tensor(4.0)), min(half, torch.tensor(4.0))
        axis = (b - a) / (b - a).norm() if half > 4 else torch.stack([a[1] - b[1], b[0] - a[0]]) / (b - a).norm()
        focus = (long**2 - short**2).sqrt() * axis
        sums = sum((here - (a + b) / 2 - f).norm(dim=-1) for f in (focus, -focus))
        expected[sums <= 2 * long] = torch.tensor(colour, dtype=torch.int32) * 3 // 5
    for name, colour in zip(JOINTS, COLOURS):
        expected[(here - where[name]).norm(dim=-1) <= 4] = torch.tensor(colour, dtype=torch.int32)
    assert (picture != expected).any(-1).sum() <= 2  # pixels on the very border may round either way
    assert (picture.amax(-1) > 0).sum() > 5000


def test_left_and_right_are_the_persons_own() -> None:
    picture = levels(person(STANDING)[None, None])[0]
    assert at(picture, *STANDING["right wrist"]) == (170, 255, 0)
    assert at(picture, *STANDING["left wrist"]) == (0, 255, 85)
    assert at(picture, 0.365, 0.315) == (153, 102, 0)  # right upper arm, orange, at 60 %


def test_points_that_are_not_there_are_not_drawn() -> None:
    some = {k: v for k, v in STANDING.items() if k != "right elbow"}
    picture = levels(person(some)[None, None])[0]
    assert at(picture, 0.365, 0.315) == (0, 0, 0) and at(picture, *STANDING["right elbow"]) == (0, 0, 0)
    assert at(picture, *STANDING["right wrist"]) == (170, 255, 0)
    whole = person(STANDING)
    for bad in (torch.nan, torch.inf, -torch.inf, 1e30):
        spoilt = whole.clone()
        spoilt[JOINTS.index("right elbow"), 0] = bad
        assert torch.equal(levels(spoilt[None, None])[0], picture)
    unsure = whole.clone()
    unsure[JOINTS.index("right elbow"), 2] = torch.nan
    assert torch.equal(levels(unsure[None, None])[0], picture)


def test_batches_people_and_nobody() -> None:
    left = person({k: (x - 0.2, y) for k, (x, y) in STANDING.items()})
    right = person({k: (x + 0.2, y) for k, (x, y) in STANDING.items()})
    nobody = torch.zeros(BODY, 3)
    both, one, none = levels(torch.stack([torch.stack(p) for p in ((left, right), (left, nobody), (nobody, nobody))]))
    assert torch.equal(both[:, : SIDE // 2], one[:, : SIDE // 2]) and both[:, SIDE // 2 :].any()
    assert not none.any() and not levels(torch.zeros(1, 0, BODY, 3)).any()
    assert pose.draw(Poses(torch.zeros(0, 1, BODY, 3), 8, 9)).shape == (0, 8, 9, 3)


def test_size_scales_the_figure() -> None:
    one = person(STANDING)[None, None]
    large, small = levels(one, 512, 512)[0], levels(one, 256, 256)[0]
    shares = [(p.amax(-1) > 0).float().mean().item() for p in (large, small)]
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
    wide = levels(one, 256, 512)[0]
    assert at(wide, *STANDING["left ankle"]) == at(large, *STANDING["left ankle"]) == COLOURS[13]
    assert levels(one, 1, 1).shape == (1, 1, 1, 3)


def test_points_beyond_the_picture_are_cut_off() -> None:
    half = person({k: (x + 0.5, y) for k, (x, y) in STANDING.items()})[None, None]
    moved = person({k: (x - 0.5, y) for k, (x, y) in STANDING.items()})[None, None]
    whole = levels(person(STANDING)[None, None])[0]
    assert torch.equal(levels(half)[0][:, SIDE // 2 :], whole[:, : SIDE // 2])
    assert torch.equal(levels(moved)[0][:, : SIDE // 2], whole[:, SIDE // 2 :])


def test_hands_and_face() -> None:
    people = torch.zeros(1, 1, 128, 3)
    wrist, tip = torch.tensor([0.2, 0.2, 1.0]), torch.tensor([0.2, 0.4, 1.0])
    people[0, 0, BODY], people[0, 0, BODY + 1] = wrist, tip  # left hand: wrist and the first point of the thumb
    people[0, 0, BODY + 40], people[0, 0, BODY + 41] = wrist + 0.5, tip + 0.5  # right hand: end of the little finger
    people[0, 0, BODY + 42 + 30] = torch.tensor([0.8, 0.2, 1.0])  # face
    picture = levels(people)[0]
    assert at(picture, 0.2, 0.2) == at(picture, 0.7, 0.7) == (0, 0, 255)
    assert at(picture, 0.2, 0.3) == (255, 0, 0) and at(picture, 0.7, 0.8)[0] == 255 and at(picture, 0.7, 0.8)[1] == 0
    assert at(picture, 0.8, 0.2) == (255, 255, 255)
    assert (picture[:, :, :] == 255).all(-1).sum() == pytest.approx(3.14 * 9, abs=4)
    assert len(FINGERS) == 20 and FINGERS[0] == (0, 1) and FINGERS[4] == (0, 5) and FINGERS[-1] == (19, 20)
    assert torch.equal(levels(people[:, :, :60])[0], torch.where((picture == 255).all(-1, keepdim=True), 0, picture))


COCO_17 = ["nose"] + [
    f"{side} {part}"
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


def test_coco_points_are_reordered_and_get_a_neck() -> None:
    points = torch.stack([torch.tensor([*STANDING[name], 0.9]) for name in COCO_17])
    points[5, 2] = 0.4  # left shoulder
    body = pose.from_coco(points)
    expected = person(STANDING)
    torch.testing.assert_close(body[:, :2], expected[:, :2])
    assert body[JOINTS.index("neck"), 2] == pytest.approx(0.4) and body[JOINTS.index("nose"), 2] == pytest.approx(0.9)


def test_wholebody_points_are_reordered() -> None:
    points = torch.arange(133.0)[:, None].repeat(2, 1, 3)
    out = pose.from_wholebody(points)
    assert out.shape == (2, 128, 3)
    assert out[0, BODY : BODY + 21, 0].tolist() == list(range(91, 112))  # left hand
    assert out[0, BODY + 21 : BODY + 42, 0].tolist() == list(range(112, 133))  # right hand
    assert out[0, BODY + 42 :, 0].tolist() == list(range(23, 91))  # face
    assert out[0, JOINTS.index("right ankle"), 0] == 16
    assert kinds.get("pose").to_picture(Poses(out[None] / 133, 8, 8)).shape == (1, 8, 8, 3)


def test_wrong_keypoints_are_refused() -> None:
    for shape in ((1, 1, 17, 3), (1, 18, 3), (1, 1, 18, 2)):
        with pytest.raises(MapError, match="K one of"):
            Poses(torch.zeros(shape), 8, 8)
    with pytest.raises(MapError, match="at least one pixel"):
        Poses(torch.zeros(1, 1, 18, 3), 0, 8)
    with pytest.raises(MapError, match="17, 3"):
        pose.from_coco(torch.zeros(1, 18, 3))
    with pytest.raises(MapError, match="133, 3"):
        pose.from_wholebody(torch.zeros(1, 17, 3))
