"""Small folders for tests: of training data, with a dog on grass at a place of its own in each map; of pictures with captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comfyui_fgdm.maps import palettes

DOG, GRASS = 17, 123


def write_maps(place: Path, count: int = 6, captions: bool = True) -> Path:
    """A folder of label maps with a dog on grass at a place of its own, depth maps, pictures and captions."""
    for name in ("segmentation", "depth", "image", "captions"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        labels = np.full((32, 48), GRASS)
        labels[8:24, 4 + number : 20 + number] = DOG
        rgb = palettes.encode(torch.from_numpy(labels)[None])[0]
        Image.fromarray((rgb * 255).round().byte().numpy()).save(place / "segmentation" / f"{number}.png")
        Image.fromarray(np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))).save(
            place / "depth" / f"{number}.png"
        )
        Image.fromarray((rgb * 128).byte().numpy()).save(place / "image" / f"{number}.png")
        if captions:
            (place / "captions" / f"{number}.txt").write_text("a dog on the grass\na dog\n", encoding="utf-8")
    return place


def write_pictures(place: Path, count: int = 4) -> Path:
    """A folder of pictures of several sizes, a bright square on a dark ground, with captions beside all but the last."""
    place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.full((120 + 20 * number, 160, 3), 30, np.uint8)
        pixels[40:90, 30 + number : 90 + number] = 220
        Image.fromarray(pixels).save(place / f"photo {number}.png")
        if number < count - 1:
            (place / f"photo {number}.txt").write_text(
                f"a square, number {number}\na bright square\n", encoding="utf-8"
            )
    return place
