"""Random layouts of any world."""

from __future__ import annotations

from . import tidy, varied
from .icons import Icon
from .scenes import Layout, World


def sample_layout(seed: int, world: World, bank: dict[int, list[Icon]]) -> Layout:
    """A random layout; the same seed, world and bank give the same layout."""
    return (tidy if world.tidy else varied).sample_layout(seed, world, bank)
