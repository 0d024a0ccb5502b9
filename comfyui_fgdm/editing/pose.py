"""The operations on pose maps. What is edited are people: the joints of each, in pixels from the left and the upper edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..maps.pose import BODY, JOINTS, LIMBS, MIRRORED
from ..maps.pose_bodies import Body, Joint
from . import keys
from .keys import Key, RecipeError
from .recipe import Form, Table
from .regions import Gone
from .scene import Matrix, moved, place_of, transformed
from .scene import after as both
from .segmentation import TABLE as SEGMENTATION

MOST_PEOPLE = 200

STANDING = (
    *((0, -376), (0, -255), (-82, -255), (-112, -115), (-120, 20), (82, -255), (112, -115), (120, 20)),
    *((-52, 30), (-56, 255), (-60, 470), (52, 30), (56, 255), (60, 470)),
    *((-20, -400), (20, -400), (-44, -388), (44, -388)),
)
"""The joints of a person who stands and faces the viewer, in thousandths of their height from their middle; x to the right, y down."""

_HANGS_ON = {end: start for start, end in LIMBS}
"""The joint before each one, on the way to the neck."""


@dataclass(frozen=True, eq=False)
class Person:
    """joints: where they are now. size, matrix: of the rectangle around them as it was when they last changed by themselves, and how
    it lies on the map since. id: by which operations find the person, None if nothing has named them yet. origin: the joints' box when
    they were."""

    joints: Body
    size: tuple[float, float]
    matrix: Matrix
    id: str | None = None
    origin: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def centre(self) -> tuple[float, float]:
        (width, height), (a, b, c, d, e, f) = self.size, self.matrix
        return a * width / 2 + b * height / 2 + c, d * width / 2 + e * height / 2 + f

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) around the joints; zeros if there is none."""
        there = [joint for joint in self.joints if joint]
        if not there:
            return 0.0, 0.0, 0.0, 0.0
        xs, ys = [x for x, _ in there], [y for _, y in there]
        return min(xs), min(ys), max(xs), max(ys)

    def then(self, matrix: Matrix) -> Person:
        """Moved, turned or scaled on the map."""
        a, b, c, d, e, f = matrix
        joints = tuple(one and (a * one[0] + b * one[1] + c, d * one[0] + e * one[1] + f) for one in self.joints)
        return replace(self, joints=joints, matrix=both(self.matrix, matrix))

    def mirrored(self) -> Person:
        """With the names of left and right exchanged: what a mirror does to them, beside where they are."""
        return replace(self, joints=tuple(self.joints[k] for k in MIRRORED))

    def changed(self, joints: Sequence[Joint]) -> Person:
        """The same person with other joints."""
        return person(joints, self.id, self.origin)


def person(
    joints: Sequence[Joint], id: str | None = None, origin: tuple[float, float, float, float] | None = None
) -> Person:
    """A person of these joints."""
    made = Person(tuple(joints), (0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), id)
    left, top, right, bottom = made.box
    return replace(
        made, size=(right - left, bottom - top), matrix=(1.0, 0.0, left, 0.0, 1.0, top), origin=origin or made.box
    )


@dataclass(eq=False)
class Crowd:
    """The people of a map while it is edited, in the order in which they are drawn. gone: of each id that is not there any more, why.
    made: the people that have an id, as they got it."""

    people: list[Person]
    gone: dict[str, str] = field(default_factory=dict)
    made: dict[str, Person] = field(default_factory=dict)

    def find(self, target: str) -> int:
        """Place of a person; Gone if they are not there any more."""
        return place_of(target, self.people, self.gone)

    def add(self, one: Person, place: int | None = None) -> None:
        if len(self.people) >= MOST_PEOPLE:
            raise RecipeError(f"a map has at most {MOST_PEOPLE} people")
        self.people.insert(len(self.people) if place is None else place, one)
        if one.id is not None:
            self.made[one.id] = one


def crowd(bodies: Sequence[Body]) -> Crowd:
    """The people of a map to which nothing has been done."""
    return Crowd([person(body) for body in bodies])


def lift(crowd: Crowd, id: str, at: tuple[float, float]) -> None:
    """Name the person, of those without a name, who has the joint that is nearest to the point."""
    x, y = at[0] + 0.5, at[1] + 0.5
    best: tuple[float, int] | None = None
    for place, one in enumerate(crowd.people):
        for joint in one.joints if one.id is None else ():
            if joint is None:
                continue
            far = (joint[0] - x) * (joint[0] - x) + (joint[1] - y) * (joint[1] - y)
            if best is None or far < best[0]:
                best = far, place
    if best is None:
        raise Gone("there is no person on the map who is not taken yet")
    named = replace(crowd.people[best[1]], id=id)
    crowd.people[best[1]] = crowd.made[id] = named


def transform(
    crowd: Crowd,
    target: str,
    flip: str | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
    rotate: float = 0.0,
    move: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Flip, which exchanges left and right, scale, turn about the centre, then move."""
    place = crowd.find(target)
    one = crowd.people[place]
    if flip is not None:
        one = one.mirrored()
    crowd.people[place] = transformed(one, flip, scale, rotate, move)


def duplicate(crowd: Crowd, target: str, id: str, move: tuple[float, float] = (0.0, 0.0)) -> None:
    """Put a copy of a person right before them."""
    place = crowd.find(target)
    copy = crowd.people[place].then(moved(move))
    crowd.add(replace(copy, id=id, origin=copy.box), place + 1)


def delete(crowd: Crowd, target: str) -> None:
    """Take a person away."""
    crowd.people.pop(crowd.find(target))
    crowd.gone[target] = "it was deleted"


def add(crowd: Crowd, id: str, at: tuple[float, float], height: float) -> None:
    """Put a person there who stands and faces the viewer. at: pixel of their middle; height: in pixels."""
    x, y = at[0] + 0.5, at[1] + 0.5
    crowd.add(person([(x + height * dx / 1000, y + height * dy / 1000) for dx, dy in STANDING], id))


def move_joint(crowd: Crowd, target: str, joint: int, to: tuple[float, float], follow: bool = False) -> None:
    """Put a joint on a pixel; one that was not there is there then. follow: what hangs on it is moved along."""
    place = crowd.find(target)
    one = crowd.people[place]
    joints, before, now = list(one.joints), one.joints[joint], (to[0] + 0.5, to[1] + 0.5)
    if follow and before is not None:
        dx, dy = now[0] - before[0], now[1] - before[1]
        for k, old in enumerate(one.joints):
            if old is not None and k in hanging(joint):
                joints[k] = old[0] + dx, old[1] + dy
    joints[joint] = now
    crowd.people[place] = one.changed(joints)


def hide(crowd: Crowd, target: str, joint: int) -> None:
    """Take a joint away, and the limbs that end there."""
    place = crowd.find(target)
    one = crowd.people[place]
    if one.joints[joint] is None:
        raise Gone(f"{target!r} has no {JOINTS[joint]}")
    left = [None if k == joint else old for k, old in enumerate(one.joints)]
    if not any(left):
        raise Gone(f"{target!r} has no other joint; delete the person")
    crowd.people[place] = one.changed(left)


def hanging(joint: int) -> frozenset[int]:
    """The joints farther from the neck on the same limb: an elbow has the wrist; the neck has all."""
    found: set[int] = set()
    for k in range(BODY):
        way = k
        while way in _HANGS_ON and way != joint:
            way = _HANGS_ON[way]
        if way == joint and k != joint:
            found.add(k)
    return frozenset(found)


def _joint(value: Any, palette: Any) -> int:
    if value not in JOINTS:
        raise ValueError(f"expected a joint, got {keys.said(value)}{keys.meant(value, JOINTS)}")
    return JOINTS.index(value)


def _follow(value: Any, palette: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {keys.said(value)}")
    return value


_TARGET, _MADE, _JOINT = Key("target", keys.ID, True), Key("id", keys.ID, True), Key("joint", keys.Kind(_joint), True)

TABLE: Table = {
    "lift": Form((_MADE, Key("at", keys.POINT, True)), lift),
    "transform": replace(SEGMENTATION["transform"], function=transform),
    "duplicate": replace(SEGMENTATION["duplicate"], function=duplicate),
    "delete": Form((_TARGET,), delete),
    "add": Form((_MADE, Key("at", keys.POINT, True), Key("size", keys.WIDTH, True, "height")), add),
    "joint": Form((_TARGET, _JOINT, Key("to", keys.POINT, True), Key("follow", keys.Kind(_follow))), move_joint),
    "hide": Form((_TARGET, _JOINT), hide),
}
"""Operations of pose maps by name."""
