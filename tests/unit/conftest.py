"""One thread for the engine's tests: their tensors are small, and threads of several processes only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tools import mend

mend.install()  # transformers and diffusers import torchvision


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _pairs(names: list[str]) -> list[str]:
    return [f"{name}.{end}" for name in names for end in ("weight", "bias")]


def _unet_names() -> list[str]:
    """The 686 names of the UNet of Stable Diffusion 1.x in its original layout."""

    def block(name: str, skip: bool) -> list[str]:
        parts = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
        return _pairs([f"{name}.{part}" for part in parts + (["skip_connection"] if skip else [])])

    def attention(name: str) -> list[str]:
        inner = f"{name}.transformer_blocks.0"
        parts = ["attn1.to_out.0", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"]
        plain = [f"{inner}.attn{k}.to_{which}.weight" for k in (1, 2) for which in "qkv"]
        outer = [f"{name}.{part}" for part in ("norm", "proj_in", "proj_out")]
        return plain + _pairs(outer + [f"{inner}.{part}" for part in parts])

    names = _pairs(["time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2"])
    names += _pairs([f"input_blocks.{n}.0.op" for n in (3, 6, 9)])
    for n in (1, 2, 4, 5, 7, 8, 10, 11):
        names += block(f"input_blocks.{n}.0", skip=n in (4, 7))
        names += attention(f"input_blocks.{n}.1") if n < 9 else []
    names += block("middle_block.0", False) + attention("middle_block.1") + block("middle_block.2", False)
    for n in range(12):
        names += block(f"output_blocks.{n}.0", skip=True) + (attention(f"output_blocks.{n}.1") if n > 2 else [])
    return names + _pairs(["output_blocks.2.1.conv", "output_blocks.5.2.conv", "output_blocks.8.2.conv"])


def _autoencoder_names() -> list[str]:
    """The 248 names of its autoencoder."""

    def block(name: str, shortcut: bool = False) -> list[str]:
        return [f"{name}.{p}" for p in ("norm1", "conv1", "norm2", "conv2") + (("nin_shortcut",) if shortcut else ())]

    names = ["quant_conv", "post_quant_conv"]
    sides = (("encoder", "down", "downsample", (1, 2)), ("decoder", "up", "upsample", (0, 1)))
    for side, step, resample, widened in sides:
        names += [f"{side}.{part}" for part in ("conv_in", "norm_out", "conv_out")]
        names += [f"{side}.mid.attn_1.{part}" for part in ("norm", "q", "k", "v", "proj_out")]
        names += block(f"{side}.mid.block_1") + block(f"{side}.mid.block_2")
        for level in range(4):
            for n in range(2 if side == "encoder" else 3):
                names += block(f"{side}.{step}.{level}.block.{n}", shortcut=n == 0 and level in widened)
        names += [f"{side}.{step}.{level}.{resample}.conv" for level in ((0, 1, 2) if side == "encoder" else (1, 2, 3))]
    return _pairs(names)


def _text_names() -> list[str]:
    """The 197 names of its text encoder."""
    names = ["embeddings.token_embedding.weight", "embeddings.position_embedding.weight", "embeddings.position_ids"]
    parts = [
        "layer_norm1",
        "layer_norm2",
        "mlp.fc1",
        "mlp.fc2",
        *(f"self_attn.{p}_proj" for p in ("q", "k", "v", "out")),
    ]
    layers = [f"encoder.layers.{n}.{part}" for n in range(12) for part in parts]
    return names + _pairs([*layers, "final_layer_norm"])


_BUFFERS = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
    *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"),
    *("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
)


def stable_diffusion_names() -> list[str]:
    """The 1143 names of a whole Stable Diffusion 1.x model as the LDM code base saves it."""
    text = "cond_stage_model.transformer.text_model."
    groups = {"model.diffusion_model.": _unet_names(), "first_stage_model.": _autoencoder_names(), text: _text_names()}
    return [*_BUFFERS, *(prefix + name for prefix, names in groups.items() for name in names)]


@pytest.fixture(scope="session")
def sd_state() -> dict[str, torch.Tensor]:
    """A whole Stable Diffusion 1.x model by name, in which one stored zero serves every tensor."""
    zero = torch.zeros(1)
    return {name: zero.expand(1000) for name in stable_diffusion_names()}
