"""Measure the depth factor and the depth image factor of the shipped family on true maps of scenes never trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...maps import depth as depth_maps
from ...maps import palettes
from ..family import judge as judges
from ..family import shipped
from ..family.autoencoder import PatchEncoder
from ..family.sample import base_velocity
from ..world import truth
from ..world.captions import make_caption
from ..world.draw import draw_scene
from ..world.layouts import sample_layout
from ..world.scenes import World
from .measuring import FIRST_SEED, draw_images, draw_maps, interval, start_noise

CFG = 1.0  # guidance away from "no prompt, no map" made depth worse: see the model card
PAIRS = 2000  # of pixels, whose order is asked for
APART = 0.05  # nearness by which the two pixels of a pair differ at least


def right_order(found: Tensor, true: Tensor, seed: int = 0) -> float:
    """Share of random pixel pairs, clearly apart in the truth, whose nearer pixel is the nearer one in `found`; both H x W."""
    pairs = torch.randint(true.numel(), (2, PAIRS), generator=torch.Generator().manual_seed(seed))
    wanted, got = (values.flatten()[pairs[0]] - values.flatten()[pairs[1]] for values in (true, found))
    clear = wanted.abs() > APART
    return float((wanted.sign() == got.sign())[clear].float().mean())


def figures(
    family: shipped.Family, judge: judges.Reader, encoder: PatchEncoder, world: World, bank, count: int, size: int
) -> dict:
    """Depth sampled below the true segmentation map: mean absolute error and order of pixel pairs, against depth below the map
    of another scene and against the mean depth of the other scenes. Images made from true maps: share of pixels that the
    judge reads as the true class, by what their image factors were shown."""
    layouts = [sample_layout(FIRST_SEED // 2 + k, world, bank) for k in range(count)]
    scenes = [draw_scene(layout, bank, size) for layout in layouts]
    labels = torch.from_numpy(np.stack([scene.labels for scene in scenes]).astype(np.int64))
    near = torch.from_numpy(np.stack([1 - truth.depth(scene) for scene in scenes]))
    maps, depths = palettes.encode(labels), depth_maps.draw(near)
    with torch.no_grad():
        parents = encoder(maps.permute(0, 3, 1, 2))
    rows: list[dict[str, float]] = []
    for k, layout in enumerate(layouts):
        caption, noise = make_caption(layout, layout.seed).text, start_noise(family, layout.seed, 1, size // 8)
        one = slice(k, k + 1)

        def drawn(parent: int, caption=caption, noise=noise) -> Tensor:
            velocity = family.depth(parents[parent : parent + 1])
            return depth_maps.read(draw_maps(family, velocity, noise, caption, CFG))[0]

        found = {
            "own map": drawn(k),
            "map of another scene": drawn((k + 1) % count),
            "mean depth of the others": torch.cat([near[:k], near[k + 1 :]]).mean(0),
        }
        shown = {
            "nothing": base_velocity(family.base),
            "the depth": family.image(None, depths[one]),
            "the segmentation": family.image(maps[one]),
            "both": family.image(maps[one], depths[one]),
        }
        row = {f"error, {name}": float((value - near[k]).abs().mean()) for name, value in found.items()}
        row |= {f"order, {name}": right_order(value, near[k]) for name, value in found.items()}
        for name, velocity in shown.items():
            read = judge(draw_images(family, velocity, noise, caption))
            row[f"pixels of an image shown {name}"] = float((read[0] == labels[k]).float().mean())
        rows.append(row)
    return {"scenes": count} | {key: interval(np.array([row[key] for row in rows])) for key in rows[0]}
