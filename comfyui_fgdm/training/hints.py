"""Map pictures as image factors see them: clean, or as a sampled map comes out of the autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..maps import palettes

NOISE = 0.03
"""Standard deviation of an autoencoder's noise, in a picture in 0..1."""


def blurred(pictures: Tensor) -> Tensor:
    """B x C x H x W under a 3 x 3 box blur."""
    return F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)


def rough(soft: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures with the noise of an autoencoder, in 0..1."""
    return (soft + NOISE * torch.randn(soft.shape, generator=generator)).clamp(0, 1)


def voided(soft: Tensor, clean: Tensor, palette: palettes.Palette) -> Tensor:
    """Clean map pictures B x 3 x H x W with void where the blur leaves no colour of the palette near: decoded, painted again."""
    void = palettes.colours(palette, (palette.void,)).view(3, 1, 1) / 255
    far = (soft - clean).square().sum(1, keepdim=True).sqrt() > palettes.MARGIN / 255
    return torch.where(far, void, clean)


def worn(
    clean: Tensor, generator: torch.Generator, palette: palettes.Palette | None, share: float | None = None
) -> Tensor:
    """True map pictures B x 3 x H x W in 0..1 as sampled ones look.

    share of them, by default two thirds, are worn: blurred and noisy, as an autoencoder draws them; of maps with classes
    half of these clean with void at the borders instead, as a map that was decoded and painted again.
    """
    soft = blurred(clean)
    drawn = rough(soft, generator)
    if share is None:
        kind = torch.randint(3, (len(clean), 1, 1, 1), generator=generator)
    else:
        number = torch.rand(len(clean), 1, 1, 1, generator=generator)
        kind = torch.where(number >= share, 0, torch.where(number < share / 2, 1, 2))
    if palette is None:
        return torch.where(kind == 0, clean, drawn)
    return torch.where(kind == 0, clean, torch.where(kind == 1, drawn, voided(soft, clean, palette)))
