"""Palettes and class tables by name: the shipped ones, and those of a user's own.

A library is a value. Who needs one is given it; ``SHIPPED`` has nothing of a user's own in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import conversion, palettes
from .conversion import Colours, Table
from .palette_file import Palette, PaletteError


@dataclass(frozen=True)
class Library:
    """A user's own palettes and tables beside the shipped ones. problems: of each file that was left out its path, what
    is wrong with it, and the remedy; they are told where something is missed."""

    palettes: tuple[Palette, ...] = ()
    tables: tuple[Table, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all palettes, the shipped ones first."""
        return (*palettes.NAMES, *sorted(palette.name for palette in self.palettes))

    @property
    def all(self) -> tuple[Palette, ...]:
        """All palettes, in the order of ``names``."""
        return tuple(self.palette(name) for name in self.names)

    def palette(self, name: str) -> Palette:
        """The palette of that name; PaletteError naming the known ones, and files that were left out, otherwise."""
        for palette in self.palettes:
            if palette.name == name:
                return palette
        if name in palettes.NAMES:
            return palettes.get(name)
        raise PaletteError(
            f"unknown palette {name!r}; known: {', '.join(self.names)}; those of one's own are JSON files in "
            f"models/fgdm_palettes{self._left_out()}"
        )

    def table(self, source: Palette, colours: Colours) -> Table:
        """The table by which maps read with ``source`` are painted in ``colours``, the user's own first; PaletteError
        if there is none."""
        try:
            return conversion.table_for(source, colours, self.tables)
        except PaletteError as error:
            raise PaletteError(f"{error}{self._left_out()}") from None

    def _left_out(self) -> str:
        return f"; left out: {'; '.join(self.problems)}" if self.problems else ""


SHIPPED = Library()
