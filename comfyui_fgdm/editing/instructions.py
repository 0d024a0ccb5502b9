"""Plain sentences -> operations of a recipe, by a small grammar.

Sentences end with a full stop, a semicolon, a new line or "then"; "and" may join two that begin with verbs. X and Y are things on
the map, C is any class of the palette:

    remove X                                        delete, erase, take away, get rid of
    move X up | down | left | right                 by 20 pixels, by 10 %, a bit, a lot; 15 % of the map otherwise
    put X left of | right of | above | below | next to | on Y
    put X in the middle | at the left edge | in the top right corner
    swap X and Y; swap the two people
    make X twice as large | half as wide | 30 % taller | larger | smaller;  double X, shrink X by half
    flip X (horizontally | vertically);  rotate X by 45 degrees (counterclockwise);  turn X upside down
    change X into C;  replace X with C;  make X a C
    replace the background with C
    bring X in front of | behind Y;  bring X to the front | to the back
    copy X (left | right | up | down | left of Y ...);  add another X

A thing is a class by its name, plural or a synonym, as Objects knows them: "the dog" is the largest one, "the dogs" and "all
dogs" are all, and there are "the two dogs", "the left dog", "the smallest dog", "the dog and the cat", "it". What is made larger or smaller
stays where its lower edge is. What is put somewhere stays inside the map, if it fits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..maps.palette_file import Palette
from ..objects.by_model import AnswerError
from ..objects.endpoint import EndpointError
from ..objects.words import find_class
from . import by_model, grammar, referring
from .by_model import OFFERED
from .keys import RecipeError, said
from .recipe import check
from .referring import NoReference, Place
from .regions import Gone
from .scene import Box, Scene
from .segmentation import TABLE

LONGEST_TEXT = 100_000
LONGEST_SENTENCE = 300
"""Characters."""
MOST_ASKED = 20
"""Sentences of a text of which somebody else is asked one by one."""


class InstructionError(ValueError):
    """A sentence that was not understood; says which, and what can be said."""


@dataclass(frozen=True)
class Understood:
    """operations: as they stand in a recipe. skipped: (sentence, why) of those for which something is not on the map. told: what
    somebody else turned into operations. failed: why nobody else did, where they were to be asked first."""

    operations: tuple[dict, ...]
    skipped: tuple[tuple[str, str], ...]
    told: tuple[str, ...] = ()
    failed: str = ""


Ask = Callable[[str, Scene], Sequence[by_model.Told]]
"""Somebody else who turns sentences about a scene into operations, such as a language model; EndpointError or AnswerError if they
cannot."""


def understand(
    text: str, labels: np.ndarray, palette: Palette, ask: Ask | None = None, always: bool = False
) -> Understood:
    """The operations that a text asks for on a label map, integer [H, W]; see the grammar above. ask: is asked about each sentence
    that does not fit the grammar, or (always) about the whole text, before the grammar is tried. InstructionError for a sentence
    that nobody understands, and for more than 1000 sentences."""
    if len(text) > LONGEST_TEXT:
        raise InstructionError(f"instructions: {len(text)} characters; at most {LONGEST_TEXT} are read.")
    failed = ""
    if ask is not None and always and text.strip():
        talk = _Talk(labels, palette)
        try:
            talk.follow(ask(text, talk.scene))
            return Understood(tuple(talk.operations), (), (text,))
        except (EndpointError, AnswerError) as error:
            ask, failed = None, str(error)
    sentences = grammar.sentences(text)
    if len(sentences) > 1000:
        raise InstructionError(f"instructions: {len(sentences)} sentences; at most 1000 are read.")
    talk = _Talk(labels, palette)
    skipped, told = [], []
    for sentence in sentences:
        try:
            talk.hear(sentence)
        except Gone as reason:
            there = ", ".join(referring.present(talk.scene, palette)[:12])
            skipped.append((sentence, f"{reason}; there is {there or 'nothing'}"))
        except InstructionError as error:
            if failed:
                raise InstructionError(f"{error} The language model could not be used: {failed}.") from None
            if ask is None:
                raise
            if len(told) == MOST_ASKED:
                raise InstructionError(
                    f"{error} A language model has read {MOST_ASKED} others, and reads no more one by one: let it read all at once."
                ) from None
            try:
                talk.follow(ask(sentence, talk.scene))
            except (EndpointError, AnswerError) as why:
                raise InstructionError(f"{error} The language model could not be used: {why}.") from None
            told.append(sentence)
    return Understood(tuple(talk.operations), tuple(skipped), tuple(told), failed)


class _Talk:
    """Hears one sentence after another; what was said before is on the map already."""

    def __init__(self, labels: np.ndarray, palette: Palette) -> None:
        self.palette = palette
        self.scene = Scene(labels.astype(np.int16), palette.void, frozenset(palette.things))
        self.operations: list[dict] = []
        self.last: list[Place] = []
        self.rules: list[tuple[re.Pattern, Callable[[re.Match], None]]] = [
            (re.compile(pattern), getattr(self, f"_{name}")) for name, pattern in grammar.RULES
        ]

    def hear(self, sentence: str) -> None:
        """Turn a sentence into operations. Gone if something is not on the map; InstructionError if no rule fits."""
        unknown = []
        for pattern, rule in self.rules if len(sentence) <= LONGEST_SENTENCE else ():
            match = pattern.fullmatch(sentence)
            if match is None:
                continue
            try:
                return rule(match)
            except NoReference as error:
                unknown.append(str(error))
        why = f": {unknown[0]!r} is no class of {self.palette.name!r}" if unknown else ""
        raise InstructionError(
            f"instructions: {said(sentence, 120)} was not understood{why}. What can be said: {grammar.SAY}."
        )

    # what is meant

    def things(self, words: str, lifted: bool = True) -> list[Place]:
        """What words refer to, as layers (lifted), or wherever it is."""
        if words in referring.PRONOUNS:
            if not self.last:
                raise NoReference(words)
            found = [referring.again(one, self.scene) for one in self.last]
        else:
            references = self._references(words)
            found = [place for one in references for place in referring.find(one, self.scene)]
        if lifted:
            found = self.last = [self.lift(place) for place in found]
        return found

    def _references(self, words: str) -> list[referring.Reference]:
        try:
            return [referring.read(words, self.palette)]
        except NoReference:
            parts = referring.split(words)
            if len(parts) < 2:
                raise
            return [referring.read(part, self.palette) for part in parts]

    def known(self, words: str) -> int:
        """The class that words name."""
        labels = find_class(re.sub(r"^(?:a|an|the|some) ", "", words), self.palette)
        if not labels:
            raise NoReference(words)
        return labels[0]

    def lift(self, place: Place) -> Place:
        """A thing of the ground as a layer."""
        if place.id is not None:
            return place
        name = self.palette.labels[place.label].name
        number = 1
        while f"{name} {number}" in self.scene.made:
            number += 1
        self.do("lift", id=f"{name} {number}", **{"class": name}, at=list(place.at))
        return Place(f"{name} {number}", place.label, place.box, place.at, place.area)

    def do(self, op: str, **keys) -> None:
        """Add an operation, and apply it to the scene that the next sentences are about."""
        raw = {"op": op, **keys}
        (operation,) = check([raw], TABLE, self.palette, self.scene.made.keys() - {keys.get("id")})
        TABLE[op].function(self.scene, **operation.arguments)
        self.operations.append(raw)

    def follow(self, told: Sequence[by_model.Told]) -> None:
        """Add operations that somebody else gave. What is not on the map stays among them, so that a report can say so."""
        for raw, operation in told:
            try:
                OFFERED[operation.name].function(self.scene, **operation.arguments)
            except Gone:
                if made := operation.arguments.get("id"):
                    self.scene.gone[made] = "it was not found"
            except RecipeError as error:
                raise AnswerError(f"its answer cannot be done: {error}") from None
            self.operations.append(raw)
        self.last = []

    def transform(self, place: Place, **keys) -> None:
        self.do("transform", target=place.id, **keys)

    def put(self, place: Place, box: Sequence[float], inside: bool = True) -> None:
        """Move a thing so that its box begins at the left and top of another; inside: no farther than the map's edge."""
        place = referring.again(place, self.scene)
        left, top, right, bottom = place.box
        x, y = box[0], box[1]
        if inside:
            x = min(max(x, 0), max(0, self.scene.size[0] - (right - left)))
            y = min(max(y, 0), max(0, self.scene.size[1] - (bottom - top)))
        move = [round(x) - left, round(y) - top]
        if any(move):
            self.transform(place, move=move)

    # the rules

    def _background(self, match: re.Match) -> None:
        self.do("background", **{"class": self.palette.labels[self.known(match["c"])].name})

    def _remove(self, match: re.Match) -> None:
        for place in self.things(match["x"]):
            self.do("delete", target=place.id)
        self.last = []

    def _swap(self, match: re.Match) -> None:
        one, other = self.things(match["x"]), self.things(match["y"])
        if len(one) != 1 or len(other) != 1 or one[0].id == other[0].id:
            raise Gone("swapping takes two different things, one on each side")
        self._exchange(one[0], other[0])

    def _swap_two(self, match: re.Match) -> None:
        references = self._references(match["x"])
        if len(references) != 1 or references[0].count not in (None, 2):
            raise NoReference(match["x"])
        labels = references[0]
        pair = referring.find(referring.Reference(labels.labels, 2, "large", labels.words), self.scene)
        one, other = (self.lift(place) for place in pair)
        self._exchange(one, other)

    def _exchange(self, one: Place, other: Place) -> None:
        for place, goal in ((one, other.centre), (other, one.centre)):
            width, height = place.box[2] - place.box[0], place.box[3] - place.box[1]
            self.put(place, (math.floor(goal[0] - width / 2), math.floor(goal[1] - height / 2)))
        self.last = [one, other]

    def _order(self, match: re.Match) -> None:
        things, others = self.things(match["x"]), self.things(match["y"])
        front = match["order"] in ("in front of", "before")
        for place in things:
            for other in others:
                if not _meet(place.box, other.box):
                    width, height = place.box[2] - place.box[0], place.box[3] - place.box[1]
                    x = other.centre[0] if front else float(other.box[2])  # behind: half of it is seen
                    self.put(place, (x - width / 2, other.box[3] - height))
                self.do("order", target=place.id, **{"before" if front else "behind": other.id})
        self.last = things

    def _to_end(self, match: re.Match) -> None:
        to = {"foreground": "front", "background": "back", "forwards": "forward", "backwards": "backward"}
        for place in self.things(match["x"]):
            self.do("order", target=place.id, to=to.get(match["to"], match["to"]))

    def _beside(self, match: re.Match) -> None:
        things = self.things(match["x"])
        self._put_beside(things, grammar.SIDES[match["side"]], match["y"])

    def _put_beside(self, things: list[Place], side: str, words: str) -> None:
        others = self.things(words, lifted=False)
        self.last = things
        for place in things:
            if others[0].id != place.id or others[0].id is None:
                self.put(place, _spot_beside(place.box, others[0].box, side))

    def _spot(self, match: re.Match) -> None:
        groups = match.groupdict()
        self._put_at(self.things(groups["x"]), groups)

    def _put_at(self, things: list[Place], groups: dict) -> None:
        vertical, horizontal = groups.get("v") or groups.get("v2"), groups.get("h") or groups.get("h2")
        if not (groups.get("mid") or vertical or horizontal):
            raise NoReference(groups["x"])
        for place in things:
            width, height = place.box[2] - place.box[0], place.box[3] - place.box[1]
            across, down = self.scene.size[0] - width, self.scene.size[1] - height
            middle = bool(groups.get("mid"))
            x = {"left": 0, "right": across}.get(horizontal or "", across // 2 if middle else place.box[0])
            y = {"top": 0, "upper": 0, "bottom": down, "lower": down}.get(
                vertical or "", down // 2 if middle else place.box[1]
            )
            self.put(place, (x, y))

    def _centre(self, match: re.Match) -> None:
        self._put_at(self.things(match["x"]), {"mid": "middle", "x": match["x"]})

    def _move(self, match: re.Match) -> None:
        groups = match.groupdict()
        way = groups.get("way") or {"raise": "up", "lower": "down"}[match["verb"]]
        for place in self.things(match["x"]):
            self.transform(place, move=self._step(way, groups.get("far1") or groups.get("far2")))

    def _step(self, way: str, far: str | None) -> list[int]:
        (dx, dy), (width, height) = grammar.DIRECTIONS[way], self.scene.size
        if far is None or far in grammar.AMOUNTS:
            share = grammar.AMOUNTS.get(far or "", grammar.STEP)
        else:
            number, unit = re.match(rf"({grammar.NUM}) (\w+)", far).groups()  # type: ignore[union-attr]
            if unit != "percent":
                return [round(dx * grammar.number(number)), round(dy * grammar.number(number))]
            share = grammar.number(number) / 100
        return [round(dx * share * width), round(dy * share * height)]

    def _copy(self, match: re.Match) -> None:
        groups = match.groupdict()
        originals = self.things(groups["x"])
        copies = []
        for place in originals:
            number = 2
            while f"{place.id}, copy {number - 1}" in self.scene.made:
                number += 1
            name = f"{place.id}, copy {number - 1}"
            self.do("duplicate", target=place.id, id=name)
            copies.append(Place(name, place.label, place.box, place.at, place.area))
        self.last = copies
        if groups.get("side"):
            self._put_beside(copies, grammar.SIDES[groups["side"]], groups["y"])
        else:
            for place in copies:
                width, height = place.box[2] - place.box[0], place.box[3] - place.box[1]
                free = "right" if place.box[2] + width <= self.scene.size[0] else "left"
                dx, dy = grammar.DIRECTIONS[groups.get("way") or free]
                self.put(place, (place.box[0] + dx * width, place.box[1] + dy * height))

    def _size(self, match: re.Match) -> None:
        groups = match.groupdict()
        x, y = grammar.growth(groups)
        for place in self.things(groups["x"]):
            lower = place.box[3]
            self.transform(place, scale=[x, y] if x != y else x)
            now = referring.again(place, self.scene)
            if now.box[3] != lower:
                self.transform(place, move=[0, lower - now.box[3]])

    def _flip(self, match: re.Match) -> None:
        how = match.groupdict().get("how1") or match.groupdict().get("how2") or ""
        vertical = how.startswith(("vertical", "upside", "top"))
        for place in self.things(match["x"]):
            self.transform(place, flip="vertical" if vertical else "horizontal")

    def _rotate(self, match: re.Match) -> None:
        groups = match.groupdict()
        degrees = 180.0 if groups.get("upside") else float(groups["degrees"] or 90)
        if (groups.get("sense") or "").startswith(("counter", "anti", "to the left", "left")):
            degrees = -degrees
        for place in self.things(match["x"]):
            self.transform(place, rotate=degrees)

    def _reclass(self, match: re.Match) -> None:
        name = self.palette.labels[self.known(match["c"])].name
        for place in self.things(match["x"]):
            self.do("reclass", target=place.id, **{"class": name})


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _spot_beside(box: Box, other: Box, side: str) -> tuple[float, float]:
    """Left and top of a box that is put beside another one: it keeps its height or place across, if they face each other then."""
    width, height = box[2] - box[0], box[3] - box[1]
    middle_x, middle_y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    if side == "beside":
        side = "left" if (box[0] + box[2]) / 2 < middle_x else "right"
    if side in ("left", "right"):
        faces = box[1] < other[3] and other[1] < box[3]
        x = other[0] - width if side == "left" else other[2]
        return x, box[1] if faces else math.floor(middle_y - height / 2)
    faces = box[0] < other[2] and other[0] < box[2]
    x = box[0] if faces else math.floor(middle_x - width / 2)
    y = {"above": other[1] - height, "below": other[3], "on": math.floor(middle_y - height)}[side]
    return x, y
