"""The networks of factors as the host runs them: with casting operations, so that weights may lie anywhere in any precision."""

from __future__ import annotations

import comfy.ops
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import nn

from ...factors import files
from ...factors.unet import UNetConfig


def network(spec: files.AdapterSpec | UNetConfig, dtype: torch.dtype) -> nn.Module:
    """An adapter, or a UNet of the factor's own, with any weights."""
    if isinstance(spec, UNetConfig):
        return _unet(spec, dtype)
    return files.build(spec, ops=comfy.ops.manual_cast, dtype=dtype)


def _unet(spec: UNetConfig, dtype: torch.dtype) -> UNetModel:
    """The host's own UNet of that shape."""
    levels = len(spec.mult)
    depth = [int(attends) for attends in spec.attention for _ in range(spec.blocks)]
    after = [int(attends) for attends in spec.attention for _ in range(spec.blocks + 1)]
    return UNetModel(
        image_size=32, in_channels=spec.in_channels, out_channels=spec.latent, model_channels=spec.channels,
        num_res_blocks=[spec.blocks] * levels, channel_mult=spec.mult, num_head_channels=spec.head, use_spatial_transformer=True,
        transformer_depth=depth, transformer_depth_output=after, transformer_depth_middle=1, context_dim=spec.context,
        legacy=False, dtype=dtype, operations=comfy.ops.manual_cast,
    )  # fmt: skip
