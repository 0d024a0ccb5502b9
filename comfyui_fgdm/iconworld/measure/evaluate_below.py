"""Measure the factor and the image factor of a variable below others on true maps of scenes never trained on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from ...maps import kinds, pose
from ..family import judge as judges
from ..family import shipped
from ..family.autoencoder import PatchEncoder
from ..family.sample import base_velocity
from ..world import truths
from ..world.captions import make_caption
from ..world.draw import draw_scene
from ..world.layouts import sample_layout
from ..world.scenes import World
from .measuring import FIRST_SEED, draw_images, draw_maps, interval, start_noise

CFG = 1.0  # guidance away from "no prompt, no map" made depth worse: see the model card
PAIRS = 2000  # of pixels, whose order is asked for
APART = 0.05  # nearness by which the two pixels of a pair differ at least


def error(found: Tensor, true: Tensor) -> float:
    """Mean absolute difference of two maps' values."""
    return float((found - true).abs().mean())


def right_order(found: Tensor, true: Tensor, seed: int = 0) -> float:
    """Share of random pixel pairs, clearly apart in the truth, whose nearer pixel is the nearer one in `found`; both H x W."""
    pairs = torch.randint(true.numel(), (2, PAIRS), generator=torch.Generator().manual_seed(seed))
    wanted, got = (values.flatten()[pairs[0]] - values.flatten()[pairs[1]] for values in (true, found))
    clear = wanted.abs() > APART
    return float((wanted.sign() == got.sign())[clear].float().mean())


def angle(found: Tensor, true: Tensor) -> float:
    """Mean angle in degrees between two maps of unit vectors, H x W x 3."""
    return float(torch.rad2deg(torch.acos((found * true).sum(-1).clamp(-1, 1))).mean())


def lines_found(found: Tensor, true: Tensor) -> float:
    """Share of the true lines' pixels with a line of the other sketch within one pixel; both H x W. 1 without lines."""
    near = F.max_pool2d(found[None, None], 3, 1, 1)[0, 0] > 0.5
    lines = true > 0.5
    return float(near[lines].float().mean()) if lines.any() else 1.0


def _joints(picture: Tensor) -> list[np.ndarray]:
    """For each of the body's joints where its colour is found: N x 2 centres (x, y) in pixels. picture: H x W x 3."""
    colours = torch.tensor(pose.COLOURS).float() / 255
    rivals = torch.cat([colours, colours * 0.6, torch.zeros(1, 3)])  # joints, limbs, background
    nearest = torch.cdist(picture.reshape(-1, 3), rivals).argmin(1).view(picture.shape[:2]).numpy()
    result = []
    for joint in range(len(colours)):
        pieces = np.zeros(nearest.shape, np.int32)
        ndimage.label(nearest == joint, output=pieces)
        count = int(pieces.max())
        centres = np.array(ndimage.center_of_mass(nearest == joint, pieces, range(1, count + 1))).reshape(count, 2)
        result.append(centres[:, ::-1])
    return result


def joints_found(found: Tensor, true: Tensor) -> float:
    """Share of the true map's joints with a piece of their colour in the other map within a sixteenth of the picture (8 of
    128 pixels); both pictures H x W x 3. 1 without people."""
    near = []
    for wanted, got in zip(_joints(true), _joints(found), strict=True):
        for centre in wanted:
            near.append(len(got) and np.linalg.norm(got - centre, axis=1).min() <= len(true) / 16)
    return float(np.mean(near)) if near else 1.0


SCORES: dict[str, dict[str, Callable[[Tensor, Tensor], float]]] = {
    "depth": {"order": right_order},
    "normal": {"angle": angle},
    "sketch": {"lines": lines_found},
    "pose": {"joints": joints_found},
}
"""What is measured of a variable's values beside their error, by name."""


def _values(variable: str, pictures: Tensor) -> Tensor:
    """What a variable's pictures B x H x W x 3 say, or the pictures themselves where they cannot be read as numbers."""
    kind = kinds.get(variable)
    if kind.read is None or kind.palette is not None:
        return pictures
    values = kind.to_values(pictures)
    return values if isinstance(values, Tensor) else pictures


def figures(
    variable: str,
    family: shipped.Family,
    judge: judges.Reader,
    encoder: PatchEncoder,
    world: World,
    bank,
    count: int,
    size: int,
) -> dict:
    """The variable sampled below its parents' true maps: error and scores of its values, against maps drawn below those of
    another scene and against the mean map of the other scenes. Images made from true maps: share of pixels that the judge
    reads as the true class, by what their image factors were shown."""
    layouts = [sample_layout(FIRST_SEED // 2 + k, world, bank) for k in range(count)]
    scenes = [draw_scene(layout, bank, size) for layout in layouts]
    labels = torch.from_numpy(np.stack([scene.labels for scene in scenes]).astype(np.int64))

    def drawn(name: str) -> Tensor:
        return torch.from_numpy(np.stack([truths.picture(name, scene) for scene in scenes])).float() / 255

    parents, true = family.factors[variable].info.parents, drawn(variable)
    with torch.no_grad():
        latents = {name: encoder(drawn(name).permute(0, 3, 1, 2)) for name in parents}
    segmentation = drawn("segmentation")
    wanted = _values(variable, true)
    scores = {"error": error, **SCORES.get(variable, {})}
    rows: list[dict[str, float]] = []
    for k, layout in enumerate(layouts):
        caption, noise = make_caption(layout, layout.seed).text, start_noise(family, layout.seed, 1, size // 8)
        one = slice(k, k + 1)

        def below(scene: int, caption=caption, noise=noise) -> Tensor:
            velocity = family.map(variable, {name: value[scene : scene + 1] for name, value in latents.items()})
            return _values(variable, draw_maps(family, velocity, noise, caption, CFG))[0]

        found = {
            "own map": below(k),
            "map of another scene": below((k + 1) % count),
            f"mean {variable} of the others": torch.cat([wanted[:k], wanted[k + 1 :]]).mean(0),
        }
        own, seg = {variable: true[one]}, {"segmentation": segmentation[one]}
        shown = {
            "nothing": base_velocity(family.base),
            f"the {variable}": family.image(own),
            "the segmentation": family.image(seg),
            "both": family.image(seg | own),
        }
        row = {f"{name}, {what}": of(value, wanted[k]) for name, of in scores.items() for what, value in found.items()}
        for name, velocity in shown.items():
            read = judge(draw_images(family, velocity, noise, caption))
            row[f"pixels of an image shown {name}"] = float((read[0] == labels[k]).float().mean())
        rows.append(row)
    return {"scenes": count} | {key: interval(np.array([row[key] for row in rows])) for key in rows[0]}
