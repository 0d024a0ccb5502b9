"""What there is to know of one kind of variable: how its pictures become values, and values pictures.

A new kind is one file in this room that defines a ``VariableKind`` called ``KIND`` and stands in the list of
``kinds``; code outside this pack makes one and calls ``kinds.register``. Nothing else has to be told of it: Load
Factor, Decode Map, Graph Control and training read the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


class VariableError(ValueError):
    """A variable that is not known, or that cannot do what is asked of it; the text says what there is."""


def mirrored(values: torch.Tensor) -> torch.Tensor:
    """Values [B, H, W, ...] seen in a mirror, where they mean the same on either side."""
    return values.flip(2)


@dataclass(frozen=True)
class VariableKind:
    """One kind of condition variable.

    name: as in factor files. title: for people. about: what its pictures show. values: shape and range of the values
    in words.
    draw: values -> pictures float32 [B, H, W, 3] in 0..1. read: pictures -> values. None: this cannot be done.
    flip: values -> those of the mirror image (left becomes right), where directions and left-right names turn round.
    clean: values -> values without what sampling leaves in them; None: there is nothing to clean, and where a clean
    map is wanted the picture is shown as drawn.
    level: values -> float [B, H, W] in 0..1, the mask that Decode Map gives of a map without classes; None: all 0.
    palette: name of the usual palette of a kind with classes, None for one without. With classes, values are labels
    [B, H, W], and the functions take keywords: ``read`` palette and classes, ``draw`` palette, ``clean`` palette and smallest (the
    share of the map, 0..1, below which a piece is a speck).
    controlnets: stock SD 1.5 ControlNets that take such pictures. expects: what those want to see.
    """

    name: str
    title: str
    about: str
    values: str
    draw: Callable[..., torch.Tensor] | None = None
    read: Callable[..., Any] | None = None
    flip: Callable[[Any], Any] = mirrored
    clean: Callable[..., Any] | None = None
    level: Callable[[Any], torch.Tensor] | None = None
    palette: str | None = None
    controlnets: tuple[str, ...] = ()
    expects: str = ""

    @property
    def has_classes(self) -> bool:
        """Whether its values are labels, painted in the colours of a palette."""
        return self.palette is not None

    def to_values(self, picture: torch.Tensor, **palette: Any) -> Any:
        """The values of pictures float [B, H, W, 3] in 0..1; VariableError if this kind cannot be read."""
        if self.read is None:
            raise VariableError(f"{self.name} maps can be drawn from {self.values}, but not read from a picture")
        return self.read(picture, **palette)

    def to_picture(self, values: Any, **palette: Any) -> torch.Tensor:
        """Pictures float32 [B, H, W, 3] in 0..1 of ``values``; VariableError if this kind cannot be drawn."""
        if self.draw is None:
            raise VariableError(f"{self.name} maps cannot be drawn: what their pictures show is not known here")
        return self.draw(values, **palette)

    def tidy(self, values: Any, **palette: Any) -> Any:
        """Values without what sampling leaves in them, the same where there is nothing to clean."""
        return values if self.clean is None else self.clean(values, **palette)
