"""What lives in the icon world: COCO things drawn as icons, COCO stuff drawn by code.

Label indices are COCO ids minus one (the convention of `comfyui_fgdm.palettes.COCO`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Place(Enum):
    """Where a thing is put: its feet on the ground, or anywhere in the air."""

    GROUND = "ground"
    SKY = "sky"


@dataclass(frozen=True)
class Thing:
    """A class drawn as an icon.

    index: COCO label index; size: height of the nearest instance as a share of the picture;
    icons: names in the icon sets (a set may lack some); words: (singular, plural) names used by captions,
    the first is the plain one; tint: may be recoloured, so that a colour word is meaningful.
    """

    index: int
    name: str
    size: float
    icons: tuple[str, ...]
    words: tuple[tuple[str, str], ...]
    place: Place = Place.GROUND
    tint: bool = False


@dataclass(frozen=True)
class Stuff:
    """A background class drawn by code; phrases are what a caption says of it."""

    index: int
    name: str
    phrases: tuple[str, ...]


def _thing(index, name, size, icons, words, place=Place.GROUND, tint=False) -> Thing:
    pairs = []
    for word in words.split(","):
        singular, _, plural = word.strip().partition("/")
        pairs.append((singular, plural or singular + "s"))
    return Thing(index, name, size, tuple(icons.split()), tuple(pairs), place, tint)


THINGS: tuple[Thing, ...] = (
    _thing(
        0,
        "person",
        0.46,
        "person-standing person-walking person-running man-standing woman-standing "
        "man-walking woman-walking man-running woman-running man-dancing woman-dancing",
        "person/people, man/men, woman/women",
    ),
    _thing(1, "bicycle", 0.32, "bicycle", "bicycle, bike", tint=True),
    _thing(2, "car", 0.30, "automobile sport-utility-vehicle taxi", "car, automobile", tint=True),
    _thing(3, "motorcycle", 0.30, "motorcycle motor-scooter", "motorcycle, motorbike", tint=True),
    _thing(4, "airplane", 0.28, "airplane small-airplane", "airplane, plane", Place.SKY, True),
    _thing(5, "bus", 0.38, "bus oncoming-bus", "bus/buses", tint=True),
    _thing(6, "train", 0.38, "locomotive", "train", tint=True),
    _thing(7, "truck", 0.38, "delivery-truck articulated-lorry pickup-truck", "truck, lorry/lorries", tint=True),
    _thing(8, "boat", 0.34, "sailboat speedboat motor-boat", "boat, ship", tint=True),
    _thing(9, "traffic light", 0.36, "vertical-traffic-light", "traffic light"),
    _thing(15, "bird", 0.22, "bird duck eagle dove parrot owl swan", "bird", Place.SKY),
    _thing(16, "cat", 0.28, "cat black-cat", "cat, kitten"),
    _thing(17, "dog", 0.30, "dog poodle guide-dog service-dog", "dog, puppy/puppies"),
    _thing(18, "horse", 0.42, "horse", "horse, pony/ponies"),
    _thing(19, "sheep", 0.30, "ewe ram", "sheep/sheep, lamb"),
    _thing(20, "cow", 0.40, "cow ox", "cow, ox/oxen"),
    _thing(21, "elephant", 0.50, "elephant", "elephant"),
    _thing(22, "bear", 0.36, "bear polar-bear", "bear"),
    _thing(23, "zebra", 0.40, "zebra", "zebra"),
    _thing(24, "giraffe", 0.58, "giraffe", "giraffe"),
    _thing(27, "umbrella", 0.34, "umbrella", "umbrella, parasol", tint=True),
    _thing(32, "suitcase", 0.28, "luggage", "suitcase", tint=True),
    _thing(37, "kite", 0.26, "kite", "kite", Place.SKY, True),
    _thing(40, "skateboard", 0.22, "skateboard", "skateboard", tint=True),
    _thing(45, "wine glass", 0.26, "wine-glass", "wine glass/wine glasses"),
    _thing(46, "cup", 0.24, "teacup-without-handle hot-beverage", "cup"),
    _thing(51, "banana", 0.26, "banana", "banana"),
    _thing(52, "apple", 0.24, "red-apple green-apple", "apple"),
    _thing(53, "sandwich", 0.24, "sandwich", "sandwich/sandwiches"),
    _thing(54, "orange", 0.22, "tangerine", "orange"),
    _thing(55, "broccoli", 0.24, "broccoli", "broccoli"),
    _thing(56, "carrot", 0.24, "carrot", "carrot"),
    _thing(57, "hot dog", 0.24, "hot-dog", "hot dog/hot dogs"),
    _thing(58, "pizza", 0.28, "pizza", "pizza"),
    _thing(60, "cake", 0.28, "birthday-cake", "cake"),
    _thing(61, "chair", 0.32, "chair", "chair, seat"),
    _thing(63, "potted plant", 0.28, "potted-plant", "potted plant"),
    _thing(69, "toilet", 0.30, "toilet", "toilet"),
    _thing(87, "teddy bear", 0.28, "teddy-bear", "teddy bear"),
)

SKY, GRASS, SEA, SAND, SNOW, ROAD, TREE, MOUNTAIN, HOUSE, WALL, FLOOR = (
    156,
    123,
    154,
    153,
    158,
    148,
    168,
    134,
    127,
    172,
    114,
)

STUFF: tuple[Stuff, ...] = (
    Stuff(SKY, "sky-other", ("sky",)),
    Stuff(GRASS, "grass", ("grass", "lawn")),
    Stuff(SEA, "sea", ("sea", "ocean")),
    Stuff(SAND, "sand", ("sand", "beach")),
    Stuff(SNOW, "snow", ("snow",)),
    Stuff(ROAD, "road", ("road", "street")),
    Stuff(TREE, "tree", ("tree",)),
    Stuff(MOUNTAIN, "mountain", ("mountain", "hill")),
    Stuff(HOUSE, "house", ("house", "cottage")),
    Stuff(WALL, "wall-other", ("wall",)),
    Stuff(FLOOR, "floor-other", ("floor",)),
)
GROUNDS = (GRASS, SEA, SAND, SNOW, ROAD)

PERSON = 0
THING_BY_INDEX = {thing.index: thing for thing in THINGS}
STUFF_BY_INDEX = {stuff.index: stuff for stuff in STUFF}

#: The CPU recipe's classes: 20 things and 9 stuff classes whose COCO colours are all at least 64 apart
#: in one channel (which is why bear, cow, potted plant and the indoor classes wait for the GPU recipe).
CPU_THINGS = (0, 1, 2, 4, 5, 7, 8, 15, 16, 17, 18, 19, 21, 23, 24, 27, 37, 51, 58, 61)
GPU_THINGS = tuple(thing.index for thing in THINGS)
OUTDOOR_STUFF = (SKY, GRASS, SEA, SAND, SNOW, ROAD, TREE, MOUNTAIN, HOUSE)
ALL_STUFF = OUTDOOR_STUFF + (WALL, FLOOR)

#: One or two icons a class and style, for a world that is quickly learned; people are only used of the held-out style.
TIDY_ICONS = tuple(
    (
        "person-standing man-standing woman-standing bicycle automobile airplane bus delivery-truck sailboat bird parrot "
        "cat black-cat dog poodle horse ewe elephant zebra giraffe umbrella kite banana pizza chair"
    ).split()
)

#: Colour words and their hues in degrees, for recoloured icons.
TINTS = {"red": 0.0, "orange": 28.0, "yellow": 52.0, "green": 125.0, "blue": 215.0, "purple": 280.0, "pink": 325.0}
