"""Attention of a diffusers UNet, read while it runs: for one call its processors are ours, then again what they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ...sampling.attention_maps import written_out
from ..attention import AttentionMaps

UNREACHED = "down_blocks.0."
"""Layers that no feature of an adapter can reach: the first feature is added behind them."""


@contextmanager
def captured(unet: Any, maps: AttentionMaps | None) -> Iterator[None]:
    """Within it, calls of the UNet put the maps of all layers that features can reach into ``maps``, in their order."""
    if maps is None:
        yield
        return
    before = dict(unet.attn_processors)
    within = {
        name: old if name.startswith(UNREACHED) or (".attn1." in name and maps.own is None) else _Capture(maps)
        for name, old in before.items()
    }
    unet.set_attn_processor(within)
    try:
        yield
    finally:
        unet.set_attn_processor(before)


class _Capture:
    """Attention written out, whose weights go to ``AttentionMaps``: softmax in single precision, mean of the heads."""

    def __init__(self, maps: AttentionMaps) -> None:
        self.maps = maps

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        out, seen = written_out(attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context), attn.heads)
        kept = self.maps.own if encoder_hidden_states is None else self.maps.cross
        if kept is not None:
            kept.append(seen)
        return attn.to_out[0](out)
