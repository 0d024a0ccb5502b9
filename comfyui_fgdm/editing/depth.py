"""The operations on depth maps: levels are nearness, 0 the farthest and 255 the nearest."""

from __future__ import annotations

from typing import Any

from . import keys
from .keys import Key
from .recipe import Form, Table
from .values import CHANGE, LEVEL, gradient, shift, table


def _two_levels(value: Any, palette) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"expected two levels [at the start, at the end], got {keys.said(value)}")
    return LEVEL.read(value[0], palette), LEVEL.read(value[1], palette)


TABLE: Table = {
    **table(needed=True),
    "shift": Form((Key("by", CHANGE, True), Key("target", keys.ID)), shift),
    "gradient": Form(
        (
            Key("from", keys.POINT, True, "start"),
            Key("to", keys.POINT, True, "end"),
            Key("values", keys.Kind(_two_levels), True, "levels"),
            Key("within", keys.POINTS),
            Key("id", keys.ID),
        ),
        gradient,
    ),
}
"""Operations of depth maps by name."""
