"""What a frozen base model has to be able to do so that factors can be trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from .attention import AttentionMaps


@dataclass(frozen=True)
class BaseFacts:
    """Of a base model. family: as in factor files, e.g. "sd15" or "iconworld". prediction: "eps" or "v". channels: of its
    latents. widths: channels of the adapter's features, one a level of the UNet. embedding: width of the timestep's.
    cell: pixels along the edge of a latent cell. fingerprint: changes with the weights that encode pictures and prompts
    (of cached latents and prompts)."""

    family: str
    prediction: str
    channels: int
    widths: tuple[int, ...]
    embedding: int
    cell: int
    fingerprint: str


Residuals = tuple[Sequence[Tensor], Tensor]
"""What a ControlNet adds: to the skip connection of each input block, and to the output of the middle block."""


@dataclass(frozen=True)
class Control:
    """An image factor's network for a base, still without weights of its own.

    module: (x, hint B x 3 x H x W in 0..1, t, prompts) -> ``Residuals``. names: of its weights in files, as a ControlNet of
    Stable Diffusion has them -> in the module; those it shares with the base are called as in ``Backbone.weights``.
    """

    module: nn.Module
    names: Mapping[str, str]


class Backbone(Protocol):
    """A frozen diffusion model. None of its parameters asks for a gradient; all tensors live on ``device``.

    weights: those of its UNet by name, which ``changed`` in ``predict`` may replace.
    """

    facts: BaseFacts

    @property
    def weights(self) -> Mapping[str, Tensor]: ...

    def prompts(self, texts: Sequence[str]) -> Tensor:
        """Encoded prompts, B x tokens x width, without gradient."""
        ...

    def rest(self) -> None:
        """What only encodes and decodes may leave the device until it is used again."""
        ...

    def lengths(self, words: Sequence[str]) -> list[int]:
        """How many tokens of an encoded prompt each of its words takes, a prompt being split at blanks."""
        ...

    def encode(self, pictures: Tensor) -> Tensor:
        """B x 3 x H x W in 0..1 -> latents B x channels x H / cell x W / cell as the UNet reads them (scaled)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """The reverse of ``encode``: B x 3 x H x W in 0..1. The gradient passes, where one is asked for."""
        ...

    def embed(self, t: Tensor) -> Tensor:
        """Timesteps B in 0..999 -> what the adapter is told of them, B x embedding."""
        ...

    def predict(
        self,
        x: Tensor,
        t: Tensor,
        prompts: Tensor,
        features: Sequence[Tensor] = (),
        attention: AttentionMaps | None = None,
        changed: Mapping[str, Tensor] | None = None,
        control: Residuals | None = None,
    ) -> Tensor:
        """The UNet's output for noisy latents x at timesteps t, in its own prediction type.

        features: added to the output of each level's last input block, one a level. attention: filled with the maps of
        those layers that the features can reach. changed: weights used in place of the UNet's, by name. control: what an
        image factor adds.
        """
        ...

    def control(self) -> Control:
        """A new network for an image factor on this base; its weights may be anything."""
        ...
