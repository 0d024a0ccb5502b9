"""What a factor's adapter reads: the noisy latent itself, or the latents of its parents, at any batch and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Area = tuple[int, int, int, int]
"""Height, width, top and left of a part of a latent, in its cells."""


class MissingParentError(ValueError):
    """A factor that is conditioned on a variable runs without a value for it."""


def adapter_input(
    x: Tensor,
    names: Sequence[str],
    values: Mapping[str, Tensor],
    in_channels: int,
    chunks: Sequence[int] = (0,),
    null: bool = False,
    whole: Sequence[int] | None = None,
    areas: Sequence[Area | None] = (),
) -> Tensor:
    """The adapter's input B x in_channels x h x w for the UNet's input x, B x C x h x w.

    names: the factor's parents, in the order of its training; none: the adapter reads x. values: their latents (scaled
    like x, of any size and batch). With n parents the channels tell what was trained: n * C are the parents, (n + 1) * C
    are x and then the parents. chunks: what the equal parts of the batch are, 0 with the prompt and 1 without
    (guidance); null: parts of kind 1 see no parents (zeros), for factors that were trained so. whole: height and width of
    the latents that x is cut out of (None: x is all of them); areas: for each part what is cut out, None for the whole.
    MissingParentError names a parent without a value, ValueError a number of channels that fits neither way, or
    an x that is another part of the whole than its area.
    """
    if not names:
        return x
    missing = [name for name in names if name not in values]
    if missing:
        raise MissingParentError(
            f"the factor is conditioned on {', '.join(names)}, but there is no value for {' and '.join(missing)}: "
            "connect one, or add that variable to the graph"
        )
    part = len(x) // len(chunks)
    seen = torch.cat([_fit(values[name].to(x), whole or x.shape[2:], part) for name in names], 1)
    parts = [_cut(seen, area) for area in areas or [None] * len(chunks)]
    for cut in parts:
        if cut.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"the factor is conditioned on {', '.join(names)}, of which it has to see the part that is sampled, but "
                f"another patch of the model cuts out {list(x.shape[2:])} of {list(cut.shape[2:])} cells without saying "
                "where: remove that patch (one for tiles, as a rule), or sample without parents"
            )
    seen = torch.cat([torch.zeros_like(cut) if null and kind else cut for cut, kind in zip(parts, chunks, strict=True)])
    if seen.shape[1] == in_channels:
        return seen
    if seen.shape[1] + x.shape[1] == in_channels:
        return torch.cat([x, seen], 1)
    raise ValueError(
        f"the factor reads {in_channels} channels, which are neither the {seen.shape[1]} of {', '.join(names)} nor these "
        f"with the {x.shape[1]} of the latent: the values come from another kind of model"
    )


def _cut(value: Tensor, area: Area | None) -> Tensor:
    if area is None:
        return value
    height, width, top, left = area
    return value[:, :, top : top + height, left : left + width]


def _fit(value: Tensor, size: Sequence[int], batch: int) -> Tensor:
    """A latent resized to `size`, its batch repeated or cut to `batch`."""
    value = resized(value, size)
    if len(value) == batch:
        return value
    return value.repeat(-(-batch // len(value)), 1, 1, 1)[:batch]


def resized(value: Tensor, size: Sequence[int]) -> Tensor:
    """B x C x h x w at another size, bilinearly, smoothed where it shrinks; of its size already: the value itself."""
    if value.shape[2:] == torch.Size(size):
        return value
    wide = value if value.dtype in (torch.float32, torch.float64) else value.float()  # CPUs do it in these alone
    return F.interpolate(wide, size=tuple(size), mode="bilinear", antialias=True).to(value)
