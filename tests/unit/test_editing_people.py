"""Reading people from pose maps, and recipes on them that are small enough to be written down."""

from __future__ import annotations

import math
import random

import pytest
import torch
import torch.nn.functional as F

from comfyui_fgdm.editing import recipe
from comfyui_fgdm.editing.applying import TABLES, edit_people
from comfyui_fgdm.editing.keys import RecipeError
from comfyui_fgdm.editing.pose import MOST_PEOPLE, STANDING, hanging
from comfyui_fgdm.maps import pose, pose_bodies, pose_reading
from comfyui_fgdm.maps.pictures import MapError
from comfyui_fgdm.maps.pose import JOINTS


def standing(x: float, y: float, height: float, lean: float = 0.0) -> pose_bodies.Body:
    return tuple((x + (dx + lean * dy) * height / 1000, y + dy * height / 1000) for dx, dy in STANDING)


def crowd(seed: int, side: int, people: int) -> list[pose_bodies.Body]:
    """People side by side, each bent in some way."""
    chance = random.Random(seed)
    bodies = []
    for k in range(people):
        x, height = side * (k + 0.5) / people, side * chance.uniform(0.5, 0.85)
        body = standing(x, side / 2, height, chance.uniform(-0.3, 0.3))
        bodies.append(tuple((a + chance.gauss(0, side / 200), b + chance.gauss(0, side / 200)) for a, b in body))
    return bodies


def found(wanted: list[pose_bodies.Body], read: pose_reading.PeopleRead, within: float) -> float:
    """Share of the joints that were found at their places in a body that holds most of the person."""
    hits = 0
    for body in wanted:
        hits += max((sum(_near(a, b, within) for a, b in zip(body, got)) for got in read.bodies), default=0)
    return hits / sum(len(body) for body in wanted)


def _near(a: pose_bodies.Joint, b: pose_bodies.Joint, within: float) -> bool:
    return a is not None and b is not None and math.dist(a, b) <= within


@pytest.mark.parametrize(
    ("side", "bold", "people", "share"),
    [(512, 1.0, 1, 1.0), (512, 1.0, 3, 0.98), (1024, 1.0, 2, 1.0), (128, 2.0, 1, 0.94)],  # small eyes hide a nose
)
def test_drawn_people_are_read_again(side: int, bold: float, people: int, share: float) -> None:
    for seed in range(4):
        bodies = crowd(seed, side, people)
        read = pose_reading.read(pose_reading.PeopleRead(tuple(bodies), bold).draw(side, side))
        assert (len(read.bodies), read.bold, read.unread) == (people, bold, 0.0)
        assert found(bodies, read, side / 85) >= share


def test_blurred_and_noisy_maps_are_read() -> None:
    """As a factor draws them: colours blend into each other and into black."""
    kernel = torch.exp(-(torch.arange(-4, 5).float() ** 2) / 2)
    kernel = kernel / kernel.sum()
    shares = []
    for seed in range(6):
        bodies = crowd(seed, 512, 2)
        x = pose_reading.PeopleRead(tuple(bodies)).draw(512, 512).permute(2, 0, 1)[:, None]
        x = F.conv2d(F.conv2d(x, kernel.view(1, 1, 1, 9), padding=(0, 4)), kernel.view(1, 1, 9, 1), padding=(4, 0))
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
        read = pose_reading.read((x + 0.04 * noise).clamp(0, 1)[:, 0].permute(1, 2, 0))
        assert (len(read.bodies), read.bold) == (2, 1.0)
        shares.append(found(bodies, read, 6))
    assert sum(shares) / 6 > 0.93


def test_a_joint_that_is_hidden_does_not_cut_a_person_in_two() -> None:
    body = list(standing(256, 256, 400))
    body[JOINTS.index("left knee")] = None
    read = pose_reading.read(pose_reading.PeopleRead((tuple(body),)).draw(512, 512))
    assert len(read.bodies) == 1
    (got,) = read.bodies
    assert got[JOINTS.index("left knee")] is None
    assert got[JOINTS.index("left ankle")] == pytest.approx(body[JOINTS.index("left ankle")], abs=0.5)


def test_what_is_no_figure_is_counted() -> None:
    bodies = [standing(256, 256, 400)]
    picture = pose_reading.PeopleRead(tuple(bodies)).draw(512, 512)
    picture[20:40, 20:40] = 1.0
    assert pose_reading.read(picture).unread == pytest.approx(400 / 512**2)
    nobody = pose_reading.read(torch.zeros(64, 64, 3))
    assert nobody == pose_reading.PeopleRead((), 1.0, 0.0)
    photograph = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(MapError, match="% of it is not black"):
        pose_reading.read(photograph)
    litter = torch.where(
        torch.rand(256, 256, 1, generator=torch.Generator().manual_seed(0)) < 0.4, 1.0, 0.0
    ) * torch.rand(256, 256, 3)
    assert pose_reading.read(litter).unread >= 0.0  # nonsense, but no crash, and soon


def edit(bodies, *operations, **more):
    return edit_people(bodies, recipe.check(operations, TABLES["pose"]), **more)


ONE, OTHER = standing(100.5, 100.5, 100), standing(300.5, 120.5, 200)
LIFT = {"op": "lift", "id": "a", "at": [300, 100]}


def at(bodies, person: int, name: str):
    return bodies[person][JOINTS.index(name)]


def test_the_nearest_person_is_named_and_moved_and_others_stay() -> None:
    edited = edit([ONE, OTHER], LIFT, {"op": "transform", "target": "a", "move": [10, -5], "scale": 2})
    assert edited.values[0] == ONE
    (x0, y0), (x1, y1) = at([OTHER], 0, "left ankle"), at(edited.values, 1, "left ankle")
    middle = [(min(p[k] for p in OTHER) + max(p[k] for p in OTHER)) / 2 for k in (0, 1)]
    assert (x1, y1) == pytest.approx((middle[0] + 2 * (x0 - middle[0]) + 10, middle[1] + 2 * (y0 - middle[1]) - 5))
    assert edited.moved[0]["id"] == "a" and edited.moved[0]["from"][1] == 41
    again = edit([ONE, OTHER], LIFT, {"op": "lift", "id": "b", "at": [300, 100]}, {"op": "delete", "target": "b"})
    assert again.values == (OTHER,), "who has a name already is not taken twice"


def test_a_flip_exchanges_left_and_right() -> None:
    raised = list(OTHER)
    raised[JOINTS.index("left wrist")] = (350.5, 20.5)
    edited = edit([tuple(raised)], LIFT, {"op": "transform", "target": "a", "flip": "horizontal"})
    middle = (min(p[0] for p in raised) + max(p[0] for p in raised)) / 2
    assert at(edited.values, 0, "right wrist") == pytest.approx((2 * middle - 350.5, 20.5))
    assert at(edited.values, 0, "nose") == pytest.approx((2 * middle - 300.5, OTHER[0][1]))


def test_joints_are_put_taken_away_and_followed() -> None:
    assert {JOINTS[k] for k in hanging(JOINTS.index("right shoulder"))} == {"right elbow", "right wrist"}
    assert {JOINTS[k] for k in hanging(JOINTS.index("nose"))} == {"left eye", "right eye", "left ear", "right ear"}
    assert len(hanging(JOINTS.index("neck"))) == 17
    put = {"op": "joint", "target": "a", "joint": "right elbow", "to": [200, 90]}
    alone, along = edit([ONE, OTHER], LIFT, put), edit([ONE, OTHER], LIFT, {**put, "follow": True})
    assert at(alone.values, 1, "right elbow") == at(along.values, 1, "right elbow") == (200.5, 90.5)
    assert at(alone.values, 1, "right wrist") == at([OTHER], 0, "right wrist")
    (ex, ey), (wx, wy) = at([OTHER], 0, "right elbow"), at([OTHER], 0, "right wrist")
    assert at(along.values, 1, "right wrist") == pytest.approx((200.5 + wx - ex, 90.5 + wy - ey))
    hidden = edit(
        [ONE, OTHER],
        LIFT,
        {"op": "hide", "target": "a", "joint": "nose"},
        {"op": "hide", "target": "a", "joint": "nose"},
    )
    assert at(hidden.values, 1, "nose") is None and hidden.skipped[0][1] == "'a' has no nose"
    back = edit([ONE, OTHER], LIFT, {"op": "hide", "target": "a", "joint": "nose"}, {**put, "joint": "nose"})
    assert at(back.values, 1, "nose") == (200.5, 90.5)


def test_people_are_added_copied_and_scaled_with_the_map() -> None:
    add = {"op": "add", "id": "n", "at": [50, 60], "size": 100}
    edited = edit([], add, {"op": "duplicate", "target": "n", "id": "m", "move": [30, 0]}, scale=(2.0, 2.0))
    assert at(edited.values, 0, "neck") == pytest.approx((101.0, 121.0 - 51.0))
    assert at(edited.values, 1, "neck")[0] == pytest.approx(161.0)
    gone = edit([], LIFT, {"op": "delete", "target": "a"})
    assert not gone.applied and "no person" in gone.skipped[0][1] and "could not be done" in gone.skipped[1][1]
    copies = [{"op": "duplicate", "target": "n", "id": str(k)} for k in range(MOST_PEOPLE)]
    with pytest.raises(RecipeError, match=f"at most {MOST_PEOPLE} people"):
        edit([], add, *copies)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "joint", "target": "a", "joint": "left rist", "to": [1, 1]}, "did you mean 'left wrist'"),
        ({"op": "joint", "target": "a", "joint": 3, "to": [1, 1]}, "expected a joint"),
        ({"op": "joint", "target": "a", "joint": "nose", "to": [1, 1], "follow": 1}, "expected true or false"),
        ({"op": "stroke", "points": [[1, 1]], "size": 3}, "unknown operation 'stroke'"),
        ({"op": "add", "id": "b", "at": [1, 1]}, "'size' is missing"),
        ({"op": "hide", "target": "x", "joint": "nose"}, "'x'"),
    ],
)
def test_wrong_operations_are_refused_by_name(operation: dict, why: str) -> None:
    with pytest.raises(RecipeError, match="recipe: operation 2") as error:
        recipe.check([LIFT, operation], TABLES["pose"])
    assert why in str(error.value)


def test_figures_are_drawn_as_pose_maps_are() -> None:
    points = torch.tensor([[*((x / 512, y / 512, 1.0) for x, y in OTHER)]], dtype=torch.float64)
    drawn = pose_reading.PeopleRead((OTHER,)).draw(512, 512)
    assert torch.equal(drawn, pose.draw(pose.Poses(points[None], 512, 512))[0])
