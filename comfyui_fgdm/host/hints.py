"""What control nets of a graph see: pictures of parent variables, replaced while these are sampled."""

from __future__ import annotations

import torch

from .graphs import Control, Given


class Hint:
    """One control net before a variable, showing it one parent: a copy of the net for each net that it stands behind."""

    def __init__(self, control: Control, image: torch.Tensor | None = None):
        self.control = control
        self.nets: dict[int, object] = {}
        self.step = -1  # at which the picture was last replaced
        self.image = image

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
            if self.image is not None:
                self.show(self.image)
        return self.nets[id(previous)]

    def show(self, image: torch.Tensor) -> None:
        """image: B x H x W x 3."""
        self.image = image
        for net in self.nets.values():
            net.cond_hint_original = image.movedim(-1, 1)
            net.cond_hint = None


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
