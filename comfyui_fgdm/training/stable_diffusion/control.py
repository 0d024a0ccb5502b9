"""An image factor's network for a UNet of diffusers: its ControlNet, under the names of a ControlNet's file."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..backbone import Control, Residuals
from . import libraries, names
from .checkpointing import Checkpointing

HINT = "controlnet_cond_embedding"


def of(unet: Any, checkpointing: str = "none") -> Control:
    """A new one, in single precision; its weights are those of a network that has learned nothing. checkpointing: see
    ``checkpointing.WHICH``."""
    diffusers, _ = libraries.load()
    net = diffusers.ControlNetModel.from_unet(unet, load_weights_from_unet=False).float().eval()
    if checkpointing != "none":
        Checkpointing(net, checkpointing)
    blocks, attention = unet.config.layers_per_block, ["CrossAttn" in kind for kind in unet.config.down_block_types]
    convolutions = [
        f"{HINT}.conv_in",
        *(f"{HINT}.blocks.{n}" for n in range(len(net.controlnet_cond_embedding.blocks))),
    ]
    own = {module: f"input_hint_block.{2 * n}" for n, module in enumerate([*convolutions, f"{HINT}.conv_out"])}
    own |= {f"controlnet_down_blocks.{n}": f"zero_convs.{n}.0" for n in range(len(net.controlnet_down_blocks))}
    own["controlnet_mid_block"] = "middle_block_out.0"
    found = names.to_checkpoint([name for name, _ in net.named_parameters()], attention, blocks, own)
    return Control(_Hinted(net), {name: f"net.{theirs}" for name, theirs in found.items()})


class _Hinted(nn.Module):
    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, hint: Tensor, t: Tensor, prompts: Tensor) -> Residuals:
        return self.net(x, t, prompts, hint, return_dict=False)
