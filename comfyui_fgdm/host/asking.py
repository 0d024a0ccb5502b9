"""What the nodes ask a map to hold: the objects of a text, as classes of the palette that the maps are of."""

from __future__ import annotations

from dataclasses import dataclass

from ..maps.palettes import Palette, PaletteError
from ..objects import words
from ..objects.choices import Denied
from ..objects.sentence import Reading
from . import own
from .choices import OF_THE_FACTOR
from .models.factor import Factor
from .reading import scored_reader


@dataclass(frozen=True)
class Asking:
    """How a text is read. palette: name of that of the maps; empty: the factor's, COCO without a factor."""

    mode: str = "auto"
    palette: str = ""
    counts: bool = True
    denied: Denied = Denied.LEFT_OUT

    @property
    def reading(self) -> Reading:
        return Reading(self.counts, self.denied is Denied.ABSENT)


def palette_of(factor: Factor | None, name: str = "") -> Palette:
    """The palette of a factor's maps, or the one of that name. ValueError for an unknown name, one that is not the factor's,
    and a factor of maps without classes."""
    drawn = scored_reader(factor).with_classes()
    if not name:
        return drawn
    try:
        told = own.library().palette(name)
    except PaletteError as error:
        raise ValueError(f"palette: {error}.") from None
    if factor is not None and told != drawn:
        raise ValueError(
            f"palette: {name!r} is told, but {factor.reader.drawn_by!r} draws maps of {drawn.name!r}. Choose "
            f"{OF_THE_FACTOR!r}, or disconnect the factor."
        )
    return told


def ask(text: str, factor: Factor | None = None, asking: Asking = Asking()) -> words.ObjectQuery:  # noqa: B008 (frozen)
    """The objects of a text that a factor can draw. ObjectsError if there is none, ValueError as ``palette_of``."""
    query = words.parse(text, asking.mode, palette_of(factor, asking.palette), asking.reading)
    return query if factor is None else words.restrict(query, factor.info.classes)
