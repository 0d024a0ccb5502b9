"""Gradient checkpointing of a frozen UNet, some of whose weights are replaced for one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Checkpointing:
    """What a diffusers UNet calls in place of its blocks: they keep their inputs alone and run again in the backward pass.

    By then ``torch.func.functional_call`` has put the UNet's own weights back, so each block is called with the weights
    that it had in the forward pass. Transformer blocks whose attention maps are wanted are not checkpointed: run
    again, they would give their maps a second time.
    """

    def __init__(self, unet: Any) -> None:
        self.names = {id(module): name for name, module in unet.named_modules()}
        self.changed: Mapping[str, Tensor] = {}
        self.attention = False
        unet.enable_gradient_checkpointing(self._call)

    @contextmanager
    def of(self, changed: Mapping[str, Tensor], attention: bool) -> Iterator[None]:
        """For one call of the UNet: the weights replaced in it, and whether attention maps are read."""
        self.changed, self.attention = changed, attention
        try:
            yield
        finally:
            self.changed, self.attention = {}, False

    def _call(self, module: nn.Module, *inputs: Any) -> Any:
        if self.attention and ".attentions." in self.names[id(module)]:
            return module(*inputs)
        place = f"{self.names[id(module)]}."
        own = {name.removeprefix(place): value for name, value in self.changed.items() if name.startswith(place)}
        return checkpoint(
            lambda *again: torch.func.functional_call(module, own, again),
            *inputs,
            use_reentrant=False,
            preserve_rng_state=False,
        )
