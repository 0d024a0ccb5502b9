"""Names of the weights of a Stable Diffusion 1.x UNet: those of checkpoints and factor files, and those of diffusers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def modules(attention: Sequence[bool], blocks: int = 2) -> dict[str, str]:
    """Modules of diffusers -> those of a checkpoint. attention: whether the blocks of each level, from the top, have one."""
    found, number, deepest = dict(OUTER), 1, len(attention) - 1
    for level in range(len(attention)):
        for block in range(blocks):
            found[f"down_blocks.{level}.resnets.{block}"] = f"input_blocks.{number}.0"
            found[f"down_blocks.{level}.attentions.{block}"] = f"input_blocks.{number}.1"
            number += 1
        found[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    for up in range(len(attention)):
        for block in range(blocks + 1):
            place = f"output_blocks.{up * (blocks + 1) + block}"
            found[f"up_blocks.{up}.resnets.{block}"] = f"{place}.0"
            found[f"up_blocks.{up}.attentions.{block}"] = f"{place}.1"
        last = f"output_blocks.{up * (blocks + 1) + blocks}"
        found[f"up_blocks.{up}.upsamplers.0.conv"] = f"{last}.{2 if attention[deepest - up] else 1}.conv"
    return found


def to_checkpoint(
    names: Iterable[str], attention: Sequence[bool], blocks: int = 2, others: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Names in a checkpoint (without its prefix) -> names in diffusers, of these weights of a UNet, in the same order.

    attention: whether the blocks of each level, from the top, have one. blocks: a level. others: modules beside those of a
    UNet, such as a ControlNet has. ValueError for a weight of a module that is known to neither.
    """
    places, found = {**modules(attention, blocks), **(others or {})}, {}
    for name in names:
        module = next((m for m in _parents(name) if m in places), None)
        if module is None:
            raise ValueError(f"{name} is no weight of a UNet of Stable Diffusion 1.x")
        inner = name.removeprefix(f"{module}.")
        if ".resnets." in f".{module}":
            part, _, leaf = inner.partition(".")
            inner = f"{RESNET.get(part, part)}.{leaf}"
        found[f"{places[module]}.{inner}"] = name
    return found


def _parents(name: str) -> Iterable[str]:
    """All modules that a weight lies in, the innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
