"""A toy icon bank: coloured shapes instead of the fetched icons, so that the world can be tested without them."""

import numpy as np

from comfyui_fgdm.iconworld.world import classes
from comfyui_fgdm.iconworld.world.icons import TRAIN_STYLES, Icon, tint


def toy_bank() -> dict[int, list[Icon]]:
    bank = {}
    for thing in classes.THINGS:
        rgba = np.zeros((48, 30 + thing.index % 40, 4), np.uint8)
        rgba[2:-2, 2:-2] = (200, (thing.index * 37) % 256, 40, 255)
        tints = {word: tint(rgba, hue) for word, hue in classes.TINTS.items()} if thing.tint else {}
        bank[thing.index] = [Icon("toy", style, rgba, tints) for style in TRAIN_STYLES]
    return bank
