"""The tiny family's networks in plain torch, in the key layout of Stable Diffusion 1.x checkpoints.

The host builds its own UNet and text encoder from the checkpoint; a test holds that both give the same numbers.
Sizes: `UNetConfig` and `TextConfig`. Pictures are latents of about unit variance at most, an eighth of the pixels wide.
The UNet is that of `factors.unet`, the text encoder in `text_encoder`; their public names are importable from here as well.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...factors.unet import UNet, UNetConfig, input_blocks, middle_block, time_embed
from ...factors.unet_layers import timestep_embedding, zeroed
from .text_encoder import TEXT, TextConfig, TextEncoder

__all__ = ["TEXT", "UNET", "ControlNet", "TextConfig", "TextEncoder", "UNet", "UNetConfig"]

UNET = UNetConfig()


class ControlNet(nn.Module):
    """The image factor: a trainable copy of the UNet's input half with zero convolutions (the cldm key layout).

    (x_t, guided, t, context) -> control for `UNet.forward`; guided: `input_hint_block` of the condition picture
    B x 3 x 8h x 8w in 0..1. Its last convolution does not start at zero; the zero convolutions behind it keep the base as it
    is at the start, and a hint that can be read from the first step on is followed sooner.
    """

    def __init__(self, config: UNetConfig = UNET) -> None:
        super().__init__()
        self.config = config
        self.time_embed = time_embed(config)
        self.input_blocks, widths, _ = input_blocks(config)
        self.middle_block = middle_block(config)
        self.zero_convs = nn.ModuleList(nn.Sequential(zeroed(nn.Conv2d(w, w, 1))) for w in widths)
        self.middle_block_out = nn.Sequential(zeroed(nn.Conv2d(config.widths[-1], config.widths[-1], 1)))
        plan = ((3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 96, 2), (96, 96, 1), (96, 256, 2))
        layers: list[nn.Module] = []
        for n_in, n_out, stride in plan:
            layers += [nn.Conv2d(n_in, n_out, 3, stride, 1), nn.SiLU()]
        layers.append(nn.Conv2d(256, config.channels, 3, padding=1))
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.input_hint_block = nn.Sequential(*layers)

    def start_from(self, unet: UNet) -> None:
        """Copy the weights of the frozen base, as ControlNet training begins."""
        for part in ("time_embed", "input_blocks", "middle_block"):
            getattr(self, part).load_state_dict(getattr(unet, part).state_dict())

    def forward(self, x: Tensor, guided: Tensor, t: Tensor, context: Tensor) -> tuple[list[Tensor], Tensor]:
        emb = self.time_embed(timestep_embedding(t, self.config.channels))
        h, outs = x, []
        for number, (stage, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            h = stage(h, emb, context, None)
            if number == 0:
                h = h + guided
            outs.append(zero(h))
        return outs, self.middle_block_out(self.middle_block(h, emb, context, None))
