"""Classes of a map as the editor in the browser is told them: [[index, name, "#rrggbb", is it a thing], ...]."""

from __future__ import annotations

from ..maps import pose_reading
from ..maps.palette_file import Palette

Classes = list[list[int | str | bool]]


def of_palette(palette: Palette) -> Classes:
    """All classes of a palette."""
    return [[one.index, one.name, _hex(one.rgb), one.index in palette.things] for one in palette.labels]


def of_poses() -> Classes:
    """What figures on pose maps are made of; no part of one is a thing by itself."""
    named = zip(pose_reading.NAMES, pose_reading.INDICES, strict=True)
    return [[index, name, _hex(rgb), False] for index, (name, rgb) in enumerate(named)]


def _hex(rgb: tuple[int, ...]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
