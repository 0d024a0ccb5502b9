"""What control nets of a graph see: pictures of parent variables, replaced while these are sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.samplers
import comfy.utils
import torch

from ...maps.conversion import Colours, Shown
from ...maps.reader import PaletteError, VariableError
from ...sampling.graph import GraphError
from .. import own
from ..models.factor import Factor
from ..reading import reader_by_looks, reader_of, to_image
from .variables import Control, Given, Graph, Node, Sampled

MAKING_SIDE = 128
"""Longest side, in pixels, at which maps with classes are read while they are in the making: pixels are skipped above it.
At 512 pixels the edges shown are then 4 pixels coarse, half a cell of the latents, and reading costs a sixteenth."""

Area = tuple[int, int, int, int]
"""Height, width, top and left of a part of the latents, in cells."""


class Hint:
    """One control net before a variable, showing it one parent: a copy of the net for each net that it stands behind and
    each area that a prompt is for."""

    def __init__(self, control: Control):
        self.control = control
        self.nets: dict[tuple[int, Area | None], Any] = {}
        self.step = -1  # at which the picture was last replaced
        self.size: tuple[int, int] = (0, 0)
        self.image: torch.Tensor | None = None

    @property
    def parent(self) -> str:
        return self.control.parent

    def behind(self, previous, area: Area | None = None, size: tuple[int, int] = (0, 0)):
        """The net to put into a conditioning whose net so far is `previous` (or None).

        area: the part of the latents, height x width `size`, that the conditioning is evaluated for; None: all.
        """
        key = (id(previous), area)
        if key not in self.nets:
            net = self.control.net.copy()
            net.set_cond_hint(None, self.control.strength, (self.control.start, self.control.end))
            net.set_previous_controlnet(previous)
            self.nets[key] = net
        self.size = size
        return self.nets[key]

    def acts(self, sigma: float) -> bool:
        """Whether any of its nets does anything at a noise level, by the range that core worked out for this run."""
        level = torch.tensor(sigma, dtype=torch.float32)  # as core compares
        ranges = [net.timestep_range for net in self.nets.values()]
        return any(one is None or not (level > one[0] or level < one[1]) for one in ranges)

    def show(self, image: torch.Tensor) -> None:
        """image: B x H x W x 3, as it is to be seen; for the nets that stand in a conditioning by now."""
        self.image = image
        for (_, area), net in self.nets.items():
            net.cond_hint_original = _part(image.movedim(-1, 1), area, self.size, net)
            net.cond_hint = None

    def forget(self) -> None:
        """Let go of all pictures, after a run."""
        self.step, self.image = -1, None
        for net in self.nets.values():
            net.cond_hint_original = net.cond_hint = None


@dataclass
class _Seen:
    """The picture of a variable at one step, and how it is shown in each way that was asked for."""

    step: int
    picture: torch.Tensor
    shown: dict[Shown, torch.Tensor] = field(default_factory=dict)


class Pictures:
    """The pictures of all variables in one run: each is decoded once a step and painted once a step and way of showing it.

    in_the_making: whether sampled variables are shown before they are finished; maps are then read coarsely.
    """

    def __init__(self, graph: Graph, vae, in_the_making: bool):
        self.graph, self.vae, self.in_the_making = graph, vae, in_the_making
        self.seen: dict[str, _Seen] = {}

    def show(self, hint: Hint, latent: Callable[[], torch.Tensor] | None = None, step: int = 0) -> None:
        """Show a hint its parent. latent: gives the latent of a sampled one, as a LATENT has it; None for a given one."""
        if not hint.nets:
            return
        node = self.graph[hint.parent]
        if hint.parent not in self.seen or self.seen[hint.parent].step != step:
            picture = given_picture(node, self.vae) if latent is None else self.vae.decode(latent())[..., :3]
            self.seen[hint.parent] = _Seen(step, picture)
        seen, way = self.seen[hint.parent], hint.control.shown
        if way not in seen.shown:
            coarse = self.in_the_making and latent is not None
            seen.shown[way] = (
                _painted_coarsely(seen.picture, node, way) if coarse else _painted(seen.picture, node, way)
            )
        hint.show(seen.shown[way])


def check_colours(graph: Graph) -> None:
    """GraphError for a link that is to show colours which the maps of its parent cannot be painted in.

    Tables of the user's own are read again here, once a run, and not at every picture that is shown.
    """
    library = own.library()
    for node in graph.sampled():
        for control in node.controls:
            if control.shown is not Shown.ADE20K:
                continue
            try:
                library.table(reader_of(_factor_of(graph[control.parent])).with_classes(), Colours.ADE20K)
            except (PaletteError, VariableError) as error:
                raise GraphError(
                    f"variable {node.name!r} is to see {control.parent!r} in the colours of ADE20K, but {error}"
                ) from None


def _painted(image: torch.Tensor, parent: Node, shown: Shown) -> torch.Tensor:
    """A picture of the parent as the link shows it. What no factor draws is clean already, whatever it is."""
    factor = _factor_of(parent)
    if shown is Shown.AS_DRAWN or (shown is Shown.CLEAN and factor is None):
        return image
    reader = reader_by_looks(image, own.latest()) if factor is None else reader_of(factor)
    table = own.latest().table(reader.with_classes(), Colours.ADE20K) if shown is Shown.ADE20K else None
    painted = reader.show(image, shown, table)
    return image if painted is image else to_image(painted)


def _painted_coarsely(image: torch.Tensor, parent: Node, shown: Shown) -> torch.Tensor:
    """The same at no more than MAKING_SIDE pixels a side, as large as the picture again. Maps without classes as they are:
    they may have thin lines."""
    height, width = image.shape[1:3]
    stride = -(-max(height, width) // MAKING_SIDE)
    factor = _factor_of(parent)
    if stride == 1 or factor is None or factor.info.palette is None:
        return _painted(image, parent, shown)
    rows, columns = ((torch.arange(n) // stride * stride + stride // 2).clamp(max=n - 1) for n in (height, width))
    few = image[:, rows[::stride]][:, :, columns[::stride]]
    painted = _painted(few, parent, shown)
    if painted is few:
        return image
    return painted.repeat_interleave(stride, 1).repeat_interleave(stride, 2)[:, :height, :width]


def _factor_of(node: Node) -> Factor | None:
    return node.factor if isinstance(node, Sampled) else None


def with_hints(conditioning, hints: Sequence[Hint], size: tuple[int, int]):
    """The conditioning with the nets of all hints in one chain, behind any control net it has.

    size: height and width of the latents, in cells. Each entry sees of a picture what belongs to the area that it is
    evaluated for. Nets of strength 0 are left out, as in core's Apply ControlNet.
    """
    acting = [hint for hint in hints if hint.control.strength != 0]
    out = []
    for embedding, options in conditioning:
        options = options.copy()
        for hint in acting:
            options["control"] = hint.behind(options.get("control"), _area(options, size), size)
            options["control_apply_to_uncond"] = False
        out.append([embedding, options])
    return out


def _area(options: dict, size: tuple[int, int]) -> Area | None:
    """The part of the latents that a prompt is evaluated for, as core resolves it (its own area, or bounds of its mask)."""
    own = {key: options[key] for key in ("area", "mask", "set_area_to_bounds") if key in options}
    resolved = [own]
    comfy.samplers.resolve_areas_and_cond_masks_multidim(resolved, torch.Size(size), "cpu")
    if (area := resolved[0].get("area")) is None:
        return None
    top, left = area[2:4]
    height, width = (min(length, whole - start) for length, whole, start in zip(area, size, (top, left)))
    return None if (height, width) == tuple(size) else (height, width, top, left)


def _part(image: torch.Tensor, area: Area | None, size: tuple[int, int], net) -> torch.Tensor:
    """Of a picture B x C x H x W what belongs to an area, scaled as the net would scale the whole."""
    if area is None:
        return image
    ratio = net.compression_ratio
    whole = comfy.utils.common_upscale(image, size[1] * ratio, size[0] * ratio, net.upscale_algorithm, "center")
    height, width, top, left = (cells * ratio for cells in area)
    return whole[:, :, top : top + height, left : left + width]


def given_latent(node: Given, vae) -> torch.Tensor:
    """The latent of a given variable, encoded if only its picture is known."""
    return node.samples if node.samples is not None else vae.encode(node.image[..., :3])


def given_picture(node: Given, vae) -> torch.Tensor:
    """The picture of a given variable without alpha, decoded if only its latent is known."""
    return (node.image if node.image is not None else vae.decode(node.samples))[..., :3]
