"""What a model file or folder is, told before anything large is read: a whole Stable Diffusion 1.x, or what else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...factors import filekinds

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
"""How the names of the parts of a checkpoint begin."""

CHANNELS, WIDTH = 4, 768
"""Latent channels that the UNet reads, and width of an encoded prompt."""

EXPECTED = (
    "give a whole checkpoint of Stable Diffusion 1.x (UNet, VAE and text encoder in one .safetensors or .ckpt file, as in "
    "models/checkpoints), or its diffusers folder (unet, vae, text_encoder, tokenizer)"
)


class BaseModelError(ValueError):
    """A base that cannot be trained on: which file or folder, what it is, and what is expected."""


def refuse_other_file(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """BaseModelError for a file that is no whole Stable Diffusion 1.x, by the names and shapes of its tensors."""
    stem = shapes.get(f"{UNET}input_blocks.0.0.weight", ())
    keys = shapes.get(f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", ())
    if "conditioner.embedders." not in "\n".join(shapes) and len(stem) == 4 and len(keys) == 2:
        if other := _other(stem[1], keys[1]):
            raise BaseModelError(f"base: {path} is {other}; {EXPECTED}")
        lacks = [
            what
            for prefix, what in ((VAE, "VAE"), (TEXT, "text encoder"))
            if not any(name.startswith(prefix) for name in shapes)
        ]
        if lacks:
            raise BaseModelError(
                f"base: {path} is a UNet of Stable Diffusion 1.x without {' and '.join(lacks)}; {EXPECTED}"
            )
        return
    seems = filekinds.describe_names(shapes).partition(";")[0]
    raise BaseModelError(f"base: {path} seems to be {seems}; {EXPECTED}")


def refuse_other_folder(folder: Path) -> None:
    """BaseModelError for a folder that is no diffusers folder of Stable Diffusion 1.x, by its config files."""
    if lacks := [part for part in ("unet", "vae", "text_encoder") if not (folder / part / "config.json").is_file()]:
        index = folder / "model_index.json"
        what = f"a {_read(index).get('_class_name', 'pipeline')}" if index.is_file() else "no folder of diffusers"
        raise BaseModelError(
            f"base: {folder} is {what}: it holds no {', '.join(f'{part}/config.json' for part in lacks)}; {EXPECTED}"
        )
    config = _read(folder / "unet" / "config.json")
    if (kind := config.get("_class_name", "UNet2DConditionModel")) != "UNet2DConditionModel":
        raise BaseModelError(f"base: {folder / 'unet'} is a {kind}; {EXPECTED}")
    if other := _other(config.get("in_channels", CHANNELS), config.get("cross_attention_dim", WIDTH)):
        raise BaseModelError(f"base: {folder} is {other}; {EXPECTED}")


def prediction_of(folder: Path) -> str:
    """ "eps" or "v", as the scheduler of a diffusers folder says; "eps" without one."""
    file = folder / "scheduler" / "scheduler_config.json"
    said = _read(file).get("prediction_type", "epsilon") if file.is_file() else "epsilon"
    known = {"epsilon": "eps", "v_prediction": "v"}
    if said not in known:
        raise BaseModelError(f"base: {file} says that the UNet predicts {said!r}; expected {' or '.join(known)}")
    return known[said]


def _other(channels: int, width: object) -> str | None:
    """What a UNet is that reads so many channels and prompts of this width; None for Stable Diffusion 1.x."""
    families = {1024: "a Stable Diffusion 2.x", 2048: "a Stable Diffusion XL"}
    if width != WIDTH:
        return f"{families.get(width, 'another model') if isinstance(width, int) else 'another model'} (prompts of width {width}, expected {WIDTH})"
    if channels != CHANNELS:
        what = {9: "an inpainting model", 8: "an image-editing model"}.get(channels, "another model")
        return f"{what} of Stable Diffusion 1.x (its UNet reads {channels} channels, expected {CHANNELS})"
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BaseModelError(f"base: {file} cannot be read as JSON ({error})") from None
    if not isinstance(found, dict):
        raise BaseModelError(f"base: {file} holds no JSON object")
    return found
