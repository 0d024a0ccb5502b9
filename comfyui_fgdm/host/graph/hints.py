"""What control nets of a graph see: pictures of parent variables, replaced while these are sampled."""

from __future__ import annotations

from typing import Any

import torch

from ...maps.conversion import Colours, Shown
from ...maps.reader import PaletteError, VariableError
from ...sampling.graph import GraphError
from .. import own
from ..models.factor import Factor
from ..reading import reader_of, to_image
from .variables import Control, Given, Graph, Node, Sampled


class Hint:
    """One control net before a variable, showing it one parent: a copy of the net for each net that it stands behind."""

    def __init__(self, control: Control):
        self.control = control
        self.nets: dict[int, Any] = {}
        self.step = -1  # at which the picture was last replaced
        self.image: torch.Tensor | None = None

    @property
    def parent(self) -> str:
        return self.control.parent

    def behind(self, previous):
        """The net to put into a conditioning whose net so far is `previous` (or None)."""
        if id(previous) not in self.nets:
            net = self.control.net.copy()
            net.set_cond_hint(None, self.control.strength, (self.control.start, self.control.end))
            net.set_previous_controlnet(previous)
            self.nets[id(previous)] = net
        return self.nets[id(previous)]

    def show(self, image: torch.Tensor, parent: Node) -> None:
        """image: B x H x W x 3, a picture of the parent; for the nets that stand in a conditioning by now."""
        self.image = _painted(image, parent, self.control.shown)
        for net in self.nets.values():
            net.cond_hint_original = self.image.movedim(-1, 1)
            net.cond_hint = None


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
    reader = reader_of(factor)
    table = own.latest().table(reader.with_classes(), Colours.ADE20K) if shown is Shown.ADE20K else None
    painted = reader.show(image, shown, table)
    return image if painted is image else to_image(painted)


def _factor_of(node: Node) -> Factor | None:
    return node.factor if isinstance(node, Sampled) else None


def with_hints(conditioning, hints: list[Hint]):
    """The conditioning with the nets of all hints in one chain, behind any control net it has."""
    out = []
    for embedding, options in conditioning:
        options = options.copy()
        for hint in hints:
            options["control"] = hint.behind(options.get("control"))
            options["control_apply_to_uncond"] = False
        out.append([embedding, options])
    return out


def given_latent(node: Given, vae) -> torch.Tensor:
    """The latent of a given variable, encoded if only its picture is known."""
    return node.samples if node.samples is not None else vae.encode(node.image[..., :3])


def given_picture(node: Given, vae) -> torch.Tensor:
    """The picture of a given variable, decoded if only its latent is known."""
    return node.image if node.image is not None else vae.decode(node.samples)
