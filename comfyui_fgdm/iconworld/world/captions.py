"""Captions of a layout, with what each word refers to: the grammar of the icon world.

A caption is a list of `Word`s. A word that names something carries the entity ids it refers to (`draw.Scene.entities`),
which is what grounds the attention in training, and the ground truth of the scene graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import classes as c
from .canvas import stuff_entity
from .scenes import Layout

NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True)
class Word:
    text: str
    refers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Relation:
    """subject, object: entity ids; predicate: one of PREDICATES."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True)
class Caption:
    """words; named: COCO label indices the caption names, in order of mention; relations stated by the caption."""

    words: tuple[Word, ...]
    named: tuple[int, ...]
    relations: tuple[Relation, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words).replace(" ,", ",")


PREDICATES = {
    "left of": ("to the left of", "left of", "on the left of"),
    "right of": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "in front of": ("in front of",),
    "behind": ("behind",),
    "next to": ("next to", "beside", "near"),
}


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def relation_holds(predicate: str, subject, obj) -> bool:
    """Whether a relation between two instances holds, by their boxes. Positions are shares of the picture.

    left/right: centres at least 0.15 apart and further than in y; above/below: the centres at least 0.18 apart in y
    and further than in x; in front/behind: feet 0.05 nearer or farther while the boxes overlap in x; next to: feet
    within 0.15 and centres within 0.45.
    """
    dx = subject.x - obj.x
    dy = (subject.base - subject.height / 2) - (obj.base - obj.height / 2)
    feet = subject.base - obj.base
    apart_x = abs(dx) - 0.4 * (subject.height + obj.height)
    return {
        "left of": dx < -0.15 and abs(dx) > abs(dy),
        "right of": dx > 0.15 and abs(dx) > abs(dy),
        "above": dy < -0.18 and abs(dy) > abs(dx),
        "below": dy > 0.18 and abs(dy) > abs(dx),
        "in front of": feet > 0.05 and apart_x < 0,
        "behind": feet < -0.05 and apart_x < 0,
        "next to": abs(feet) < 0.15 and abs(dx) < 0.45,
    }[predicate]


def _words(text: str, refers=()) -> list[Word]:
    return [Word(piece, frozenset(refers)) for piece in text.split()]


def _noun(instances, entities, rng) -> list[Word]:
    """The noun phrase of one thing or of a group of the same class."""
    thing = c.THING_BY_INDEX[instances[0].index]
    singular, plural = thing.words[instances[0].word]
    if len(instances) > 1:
        return _words(NUMBERS[len(instances)]) + _words(plural, entities)
    tint = instances[0].tint
    if tint and rng.random() < 0.85:
        return _words(article(tint)) + _words(tint, entities) + _words(singular, entities)
    return _words(article(singular)) + _words(singular, entities)


_GROUND_PHRASES = {
    c.GRASS: ("on the *grass", "on *grass", "on a *lawn", "in the *grass"),
    c.SEA: ("on the *sea", "at *sea", "on the *ocean", "by the *sea"),
    c.SAND: ("on the *sand", "on a *beach", "on the *beach", "on *sand"),
    c.SNOW: ("in the *snow", "on *snow", "on the *snow"),
    c.ROAD: ("on a *road", "on the *street", "on the *road", "on a *street"),
    c.FLOOR: ("on the *floor", "on a *floor"),
}
_TOP_PHRASES = {
    c.SKY: ("under the *sky", "under a blue *sky", "under a clear *sky", "with the *sky above"),
    c.WALL: ("in front of a *wall", "by a *wall"),
}
_ELEMENT_PHRASES = {
    c.TREE: ("under a *tree", "near a *tree", "in front of a *tree", "with a *tree", "by a *tree"),
    c.MOUNTAIN: ("in front of a *mountain", "with a *mountain behind", "near a *hill", "with a *mountain"),
    c.HOUSE: ("in front of a *house", "near a *house", "with a *house behind", "by a *cottage"),
}
_PLURAL_PHRASES = {
    c.TREE: ("with *trees behind", "under *trees", "near some *trees"),
    c.MOUNTAIN: ("with *mountains behind", "in front of *mountains", "with *hills behind"),
}


def _phrase(template: str, index: int) -> list[Word]:
    refers = {stuff_entity(index)}
    return [
        Word(piece.lstrip("*"), frozenset(refers) if piece.startswith("*") else frozenset())
        for piece in template.split()
    ]


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _scene_phrases(layout: Layout, rng) -> tuple[list[list[Word]], list[int]]:
    phrases, named = [], []
    for index in dict.fromkeys(element.index for element in layout.elements):
        if rng.random() < 0.85:
            several = sum(element.index == index for element in layout.elements) > 1
            table = _PLURAL_PHRASES if several and index in _PLURAL_PHRASES else _ELEMENT_PHRASES
            phrases.append(_phrase(_pick(rng, table[index]), index))
            named.append(index)
    if rng.random() < 0.7:
        phrases.insert(0, _phrase(_pick(rng, _GROUND_PHRASES[layout.ground]), layout.ground))
        named.insert(0, layout.ground)
    if rng.random() < 0.3:
        phrases.append(_phrase(_pick(rng, _TOP_PHRASES[layout.top]), layout.top))
        named.append(layout.top)
    return phrases, named


def make_caption(layout: Layout, seed: int) -> Caption:
    """One of the many captions of a layout. Every thing is named; background with some probability."""
    rng = np.random.default_rng(seed)
    groups: dict[int, list[int]] = {}
    for number, instance in enumerate(layout.instances):
        groups.setdefault(instance.index, []).append(number)
    order = list(groups)
    rng.shuffle(order)
    relations, phrases, used = [], [], set()
    for index in order:
        if index in used:
            continue
        used.add(index)
        members = groups[index]
        words = _noun([layout.instances[k] for k in members], [k + 1 for k in members], rng)
        if len(members) == 1 and rng.random() < 0.4:
            options = [
                (predicate, other)
                for other in order
                if other not in used and len(groups[other]) == 1
                for predicate in PREDICATES
                if relation_holds(predicate, layout.instances[members[0]], layout.instances[groups[other][0]])
            ]
            if options:
                predicate, other = options[int(rng.integers(len(options)))]
                used.add(other)
                target = groups[other][0]
                words = (
                    words
                    + _words(_pick(rng, PREDICATES[predicate]))
                    + _noun([layout.instances[target]], [target + 1], rng)
                )
                relations.append(Relation(members[0] + 1, predicate, target + 1))
        phrases.append(words)
    scene, named_stuff = _scene_phrases(layout, rng)
    words: list[Word] = []
    lead = scene and rng.random() < 0.12
    if lead:
        words += scene.pop(0) + [Word(",")]
    for number, phrase in enumerate(phrases):
        if number:
            words.append(Word("and") if number == len(phrases) - 1 else Word(","))
        words += phrase
    for phrase in scene:
        words += phrase
    return Caption(tuple(words), tuple(dict.fromkeys(order + named_stuff)), tuple(relations))


def vocabulary() -> tuple[str, ...]:
    """Every word the grammar can say (for all recipes), sorted; the tokenizer's table is made from it."""
    words = {"a", "an", "and", ",", "the", "some", *NUMBERS.values(), *c.TINTS}
    for thing in c.THINGS:
        for pair in thing.words:
            words.update(" ".join(pair).split())
    for tables in (_GROUND_PHRASES, _TOP_PHRASES, _ELEMENT_PHRASES, _PLURAL_PHRASES):
        for options in tables.values():
            for option in options:
                words.update(piece.lstrip("*") for piece in option.split())
    for options in PREDICATES.values():
        for option in options:
            words.update(option.split())
    return tuple(sorted(words))
