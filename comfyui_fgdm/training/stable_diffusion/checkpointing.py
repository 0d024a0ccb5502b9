"""Gradient checkpointing of a network of diffusers, some of whose weights may be replaced for one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

WHICH = ("none", "outer", "all")
"""Which blocks run again in the backward pass: those of the finest grid hold most of what is kept, at an eighth of the work."""


class Checkpointing:
    """What a network of diffusers calls in place of its blocks: they keep their inputs alone and run again in the backward
    pass.

    By then ``torch.func.functional_call`` has put the network's own weights back, so each block runs again with the weights
    that it had in the forward pass. Transformer blocks whose attention maps are wanted are not checkpointed: run
    again, they would give their maps a second time.
    """

    def __init__(self, network: Any, which: str = "all") -> None:
        """which: "all" blocks, or the "outer" ones, first and last, of the finest grid."""
        self.attention = {id(module) for name, module in network.named_modules() if ".attentions." in name}
        self.read = False
        network.enable_gradient_checkpointing(self._call)
        if which == "outer":
            inner = [*network.down_blocks[1:], network.mid_block, *getattr(network, "up_blocks", ())[:-1]]
            for module in (module for block in inner for module in block.modules()):
                if hasattr(module, "gradient_checkpointing"):
                    module.gradient_checkpointing = False

    @contextmanager
    def reading(self, attention: bool) -> Iterator[None]:
        """For one call of the network: whether attention maps are read."""
        self.read = attention
        try:
            yield
        finally:
            self.read = False

    def _call(self, module: nn.Module, *inputs: Any) -> Any:
        if self.read and id(module) in self.attention:
            return module(*inputs)
        now: dict[str, Tensor] = dict(module.named_parameters())
        return checkpoint(
            lambda *again: torch.func.functional_call(module, now, again),
            *inputs,
            use_reentrant=False,
            preserve_rng_state=False,
        )
