"""Stable Diffusion 1.5 without its weights: files of the real layout and size, filled with random numbers.

For tests and benchmarks at full size. The numbers are of such a scale that signals keep theirs through the networks;
what such a model draws means nothing. Needs a booted host (`tools.inprocess.boot`), whose own modules give the shapes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

Shapes = Mapping[str, tuple[int, ...]]

UNET = "model.diffusion_model."
AUTOENCODER = "first_stage_model."
TEXT = "cond_stage_model.transformer.text_model."
PERIOD = 1_048_573  # of the noise; prime, so that the rows of a weight differ

LEVELS: dict[str, Any] = {
    "image_size": 32, "in_channels": 4, "model_channels": 320, "num_res_blocks": [2] * 4, "channel_mult": (1, 2, 4, 4),
    "use_spatial_transformer": True, "context_dim": 768, "num_heads": 8, "transformer_depth_middle": 1,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
}  # fmt: skip
PICTURE: dict[str, Any] = {
    "ch": 128, "ch_mult": (1, 2, 4, 4), "num_res_blocks": 2, "attn_resolutions": (), "resolution": 256,
    "in_channels": 3, "out_ch": 3, "z_channels": 4, "double_z": True,
}  # fmt: skip
WORDS: dict[str, Any] = {
    "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072,
    "max_position_embeddings": 77, "hidden_act": "quick_gelu", "eos_token_id": 49407,
}  # fmt: skip


def _named(prefix: str, module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}


def unet_shapes() -> dict[str, tuple[int, ...]]:
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    up = [1] * 9 + [0] * 3
    return _named(UNET, UNetModel(**LEVELS, out_channels=4, transformer_depth_output=up, device="meta"))


def controlnet_shapes() -> dict[str, tuple[int, ...]]:
    """Of a ControlNet for it, in a file of its own."""
    from comfy.cldm.cldm import ControlNet

    return _named("", ControlNet(**LEVELS, hint_channels=3, device="meta"))


def autoencoder_shapes() -> dict[str, tuple[int, ...]]:
    from comfy.ldm.models.autoencoder import AutoencoderKL

    with torch.device("meta"):
        return _named(AUTOENCODER, AutoencoderKL(ddconfig=PICTURE, embed_dim=4))


def text_shapes() -> dict[str, tuple[int, ...]]:
    import comfy.ops
    from comfy.clip_model import CLIPTextModel_

    return _named(TEXT, CLIPTextModel_(WORDS, torch.float16, "meta", comfy.ops.disable_weight_init))


def checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    """Of a whole checkpoint, as `CheckpointLoaderSimple` reads it."""
    return unet_shapes() | autoencoder_shapes() | text_shapes()


def random_tensors(shapes: Shapes, seed: int, dtype: torch.dtype = torch.float16) -> Iterator[tuple[str, torch.Tensor]]:
    """Each name with random values: weights by their fan-in, scales of norms near 1, biases near 0 but not all 0."""
    noise = torch.randn(PERIOD, generator=torch.Generator().manual_seed(seed))
    for number, (name, shape) in enumerate(shapes.items()):
        count = math.prod(shape)
        drawn = noise.roll(-7919 * number)[:count]
        if "embedding" in name:
            drawn = drawn * 0.02
        elif len(shape) > 1:
            drawn = drawn / math.sqrt(math.prod(shape[1:]))
        else:
            drawn = 1 + 0.1 * drawn if name.endswith("weight") else 0.02 * drawn
        # Converted before it is repeated, which is most of the work.
        yield name, drawn.to(dtype).repeat(-(-count // PERIOD))[:count].view(shape)


def write(path: Path, shapes: Shapes, seed: int, dtype: torch.dtype = torch.float16) -> None:
    """A safetensors file of random tensors, written one by one: it takes no memory to speak of."""
    code = {torch.float16: "F16", torch.float32: "F32"}[dtype]
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + dtype.itemsize * math.prod(shape)
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, value in random_tensors(shapes, seed, dtype):
            file.write(value.numpy().data)
