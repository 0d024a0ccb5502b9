"""What a factor file says about itself: the JSON metadata beside the weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from ..maps import kinds, palettes
from ..maps.library import SHIPPED, Library
from ..maps.reader import Reader, reader
from . import unet
from .networks import AdapterKind

KINDS = (*(kind.value for kind in AdapterKind), unet.KIND)

MOST = {"trained_size": 2048, "latent_channels": 1024, "blocks": 16}
"""The largest that a file may say of itself: numbers that size what is allocated."""

MOST_ENTRIES = {"parents": 16, "classes": 4096}
LONGEST = 200
"""Letters of a name."""

MOST_TEXT = 1 << 20
"""Letters of the whole JSON text, its free record of the training included."""


@dataclass(frozen=True)
class FactorInfo:
    """What a factor draws and which base it was trained on.

    variable: what is drawn, e.g. "segmentation"; see ``maps.kinds``. parents: variables it is conditioned on, beside
    the text. kind: an ``AdapterKind`` value, or "unet" for a network of its own (``factors.unet``), which changes nothing in the
    base but takes its place. palette: name of the palette of the maps (None for maps without classes).
    classes: label indices it was trained to draw (ascending; empty = unknown, any). trained_size: side of the
    training pictures in pixels. base_family: the frozen base, e.g. "sd15" or "iconworld". latent_channels: what its
    first layer reads, the channels of all its latents together (of a network of its own: x_t, and its parents). prediction_type: "eps" or "v", of the base. licence:
    of these weights, an SPDX name if there is one. training: free JSON record (steps, seed, data, machine ...).
    blocks: residual blocks a level. null_condition: its parents were left out (zeros) in a part of its training, so
    that it can be guided away from "no parents"; false for a factor without parents.
    """

    variable: str
    base_family: str
    kind: str = AdapterKind.PLAIN.value
    parents: tuple[str, ...] = ()
    palette: str | None = palettes.COCO.name
    classes: tuple[int, ...] = ()
    trained_size: int = 256
    latent_channels: int = 4
    prediction_type: str = "eps"
    licence: str = ""
    training: dict = field(default_factory=dict, hash=False)
    blocks: int = 2
    null_condition: bool = False

    def __post_init__(self) -> None:
        for name in ("variable", "base_family", "licence"):
            self._require(name, _is_text(getattr(self, name)), f"a text of at most {LONGEST} letters")
        for name in ("variable", "base_family"):
            self._require(name, bool(getattr(self, name)), "a text that is not empty")
        for name in ("trained_size", "latent_channels", "blocks"):
            fine = _is_whole(getattr(self, name)) and 1 <= getattr(self, name) <= MOST[name]
            self._require(name, fine, f"a whole number from 1 to {MOST[name]}")
        self._require("kind", self.kind in KINDS, f"one of {', '.join(KINDS)}")
        self._require("prediction_type", self.prediction_type in ["eps", "v"], "'eps' or 'v'")
        self._require("training", isinstance(self.training, dict), "a JSON object")
        for name, most in MOST_ENTRIES.items():
            few = not isinstance(getattr(self, name), (list, tuple)) or len(getattr(self, name)) <= most
            self._require(name, few, f"a list of at most {most} entries")
        self._require("parents", _all(self.parents, _is_text), "a list of texts")
        own = len(set(self.parents)) == len(self.parents) and self.variable not in self.parents
        self._require("parents", own, f"other variables than {self.variable!r}, each once")
        self._require("null_condition", isinstance(self.null_condition, bool), "true or false")
        guided = bool(self.parents) or not self.null_condition
        self._require("null_condition", guided, "false where there are no parents")
        self._require("classes", _all(self.classes, _is_whole), "a list of whole numbers")
        self._require("palette", self.palette is None or _is_text(self.palette), "a text or null")
        known = kinds.find(self.variable)
        classless = known is not None and not known.has_classes
        self._require("palette", self.palette is None or not classless, f"null: {self.variable} maps have no classes")
        object.__setattr__(self, "parents", tuple(self.parents))
        object.__setattr__(self, "classes", tuple(sorted(set(self.classes))))
        if self.palette in palettes.NAMES:  # one of a user's own is looked up where the factor is resolved
            palettes.get(self.palette).check(self.classes or None)
        self._require("classes", self.palette is not None or not self.classes, "empty where there is no palette")

    def _require(self, name: str, fine: bool, what: str) -> None:
        if not fine:
            said = repr(getattr(self, name))
            raise ValueError(f"{name} must be {what}, got {said[:60]}{'...' if len(said) > 60 else ''}")

    def to_json(self) -> str:
        """One line of JSON; ``from_json`` reads it back to an equal value."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FactorInfo:
        """Inverse of ``to_json``; unknown fields (of later versions) are ignored. ValueError says what is wrong."""
        if len(text) > MOST_TEXT:
            raise ValueError(f"a text of {len(text)} letters, more than {MOST_TEXT}")
        try:
            raw = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not JSON: {error}") from None
        if not isinstance(raw, dict):
            raise ValueError(f"expected a JSON object, got {type(raw).__name__}")
        known = {f.name for f in dataclasses.fields(cls)}
        try:
            return cls(**{k: v for k, v in raw.items() if k in known})
        except TypeError as error:
            raise ValueError(str(error)) from None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _all(values: object, test: Callable[[object], bool]) -> bool:
    return isinstance(values, (list, tuple)) and all(map(test, values))


def reader_of(info: FactorInfo, library: Library = SHIPPED, name: str = "") -> Reader:
    """What reads, cleans and paints the maps of a factor; ``name`` of its file, for messages.

    PaletteError if its palette is not in the library or lacks one of its classes.
    """
    return reader(info.variable, info.palette, info.classes, library, name)


OFFICIAL_INFO = FactorInfo(
    variable="segmentation",
    base_family="sd15",
    classes=tuple(c for c in range(182) if c not in palettes.COCO.retired),
    licence="CreativeML-Open-RAIL-M",
    training={"note": "no metadata in the file: assumed to be the segmentation factor of the FG-DM release"},
)
"""What a file without metadata is taken for if it has exactly the widths of the released adapters."""
