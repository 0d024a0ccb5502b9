"""The maps of one variable, resolved once: kind, palette and classes in one value that reads, cleans and paints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from . import cleaning, kinds, palettes
from .conversion import Shown, Table, convert
from .library import SHIPPED, Library
from .palette_file import Palette, PaletteError
from .palettes import Rule
from .variable import VariableError, VariableKind


@dataclass(frozen=True)
class Reader:
    """What turns pictures of one variable into values, and values into pictures.

    kind: of the variable. palette: that of its maps, None for maps without classes. classes: the labels that may occur
    on them, ascending; None: all of the palette, or no classes. drawn_by: the factor file that draws them, for
    messages; empty: it is not known what drew them.
    """

    kind: VariableKind
    palette: Palette | None = None
    classes: tuple[int, ...] | None = None
    drawn_by: str = ""

    def __post_init__(self) -> None:
        if self.kind.has_classes != (self.palette is not None):
            raise VariableError(f"{self.kind.name} maps have {'' if self.kind.has_classes else 'no '}classes")
        if self.palette is not None:
            self.palette.check(self.classes)

    def read(self, pictures: torch.Tensor, rule: Rule = Rule.NEAREST) -> Any:
        """The values of pictures float [B, H, W, 3] in 0..1. rule: how colours of classes are read; by that of the
        release all of the palette is considered, whatever the classes. VariableError for a kind that cannot be read."""
        if self.palette is None:
            return self.kind.to_values(pictures)
        if rule is Rule.OFFICIAL:
            return palettes.decode_official(pictures, self.palette)
        return self.kind.to_values(pictures, palette=self.palette, classes=self.classes)

    def clean(self, values: Any, smallest: float = cleaning.SMALLEST) -> Any:
        """Values without what sampling leaves in them. smallest: share of the map, 0..1, below which a piece of a class
        is a speck; 0 cleans nothing."""
        if self.palette is None:
            return self.kind.tidy(values) if smallest else values
        return self.kind.tidy(values, palette=self.palette, smallest=smallest)

    def draw(self, values: Any, table: Table | None = None) -> torch.Tensor:
        """Pictures float32 [B, H, W, 3] in 0..1 of values. table: of classes, from this palette into the one to paint
        in; None: in this one."""
        if self.palette is None:
            return self.kind.to_picture(values)
        if table is None:
            return self.kind.to_picture(values, palette=self.palette)
        return self.kind.to_picture(convert(values, table), palette=table.target)

    def show(self, pictures: torch.Tensor, shown: Shown, table: Table | None = None) -> torch.Tensor:
        """Pictures as a control net is to see them. They may be of maps in the making: they are read as well as may be.

        table: for ``Shown.ADE20K``, from this palette to that of ADE20K. VariableError if these maps have no classes.
        """
        if shown is Shown.ADE20K and self.palette is None:
            raise VariableError(f"{self.kind.name} maps have no classes, so no colours of ADE20K")
        redrawn = self.kind.read is not None and (self.kind.clean is not None or shown is Shown.ADE20K)
        if shown is Shown.AS_DRAWN or not redrawn:
            return pictures
        values = self.read(pictures.to(device="cpu", dtype=torch.float32))
        return self.draw(self.clean(values), table if shown is Shown.ADE20K else None)

    def with_classes(self) -> Palette:
        """The palette; VariableError for maps without classes, which cannot be counted."""
        if self.palette is None:
            raise VariableError(f"{self.kind.name} maps have no classes")
        return self.palette


def reader(
    variable: str, palette: str | None, classes: Sequence[int] = (), library: Library = SHIPPED, drawn_by: str = ""
) -> Reader:
    """The reader of a variable's maps as a factor file describes them: names of variable and palette, and the labels
    that may occur (empty: any). PaletteError for a palette that is not in the library or lacks a class."""
    kind = kinds.find(variable)
    if kind is None or kind.has_classes != (palette is not None):
        kind = kinds.of_unknown_name(variable, palette)
    found = None if palette is None else library.palette(palette)
    return Reader(kind, found, found.check(classes) if found and classes else None, drawn_by)


COCO_MAPS = reader("segmentation", palettes.COCO.name)
"""Reads segmentation maps of which nothing is known: all classes of COCO may be on them."""

__all__ = ["COCO_MAPS", "PaletteError", "Reader", "VariableError", "reader"]
