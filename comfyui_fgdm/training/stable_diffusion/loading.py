"""Stable Diffusion 1.x from a checkpoint file or a diffusers folder: nothing is downloaded, no code in a file is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...factors import checkpoints
from . import libraries, names
from .backbone import DiffusersBackbone, Parts
from .halved import HALF, halve
from .kinds import EXPECTED, TEXT, UNET, VAE, BaseModelError, prediction_of, refuse_other_file, refuse_other_folder
from .text import Tokens, tokenizer_folder

CONFIGS = Path(__file__).resolve().parents[2] / "data" / "sd1"
"""What a checkpoint file does not say of its parts, in the layout of diffusers."""

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Held:
    """How a base is held. precision: of its UNet, see ``PRECISIONS``. halved: weights of the UNet in float16, whatever the
    precision of its arithmetic, see ``halved``. checkpointing: which blocks of the UNet run again in the
    backward pass, see ``checkpointing.WHICH``. prediction:
    "eps", "v", or "auto" (what a diffusers folder says, eps for a file). tokenizer: folder of its vocabulary, if it has to
    be named. near: other folders that may hold it, such as that of ComfyUI."""

    precision: str = "float32"
    halved: bool = False
    checkpointing: str = "none"
    prediction: str = "auto"
    tokenizer: Path | None = None
    near: tuple[Path, ...] = ()


def load(base: Path, held: Held = Held(), device: torch.device | str = "cpu") -> DiffusersBackbone:
    """The backbone of a checkpoint file or a diffusers folder.

    BaseModelError for what is no Stable Diffusion 1.x, from names and shapes, before its weights are read;
    VocabularyError without a vocabulary; CheckpointError for a damaged file; MissingPackageError without the extra.
    """
    look(base)
    place, here = base.resolve(), Path(__file__).resolve()
    near = [*([place] if base.is_dir() else []), *held.near, *place.parents, *here.parents]
    with libraries.quiet():
        parts = (_of_folder if base.is_dir() else _of_file)(base, held, near)
    return DiffusersBackbone(parts, device, held.checkpointing)


def look(base: Path) -> None:
    """Nothing for a base that may be trained on, as far as names and shapes tell; raises as ``load``. It takes no libraries."""
    if not base.exists():
        raise BaseModelError(f'base: there is no {base}; give "embedded", or {EXPECTED.removeprefix("give ")}')
    if base.is_dir():
        refuse_other_folder(base)
        return
    with checkpoints.open_file(base) as file:
        refuse_other_file(base, file.shapes)


def _of_file(path: Path, held: Held, near: Sequence[Path]) -> Parts:
    with checkpoints.open_file(path) as file:
        widths = _widths(file)
        _check_unet(file, widths)
        tokenizer = _tokenizer(held, near)
        unet = _unet(_tensors(file, UNET), held, widths)
    vae, encoder = _vae_of_file(path), _encoder_of_file(path)
    _check_filled(path, unet, vae, encoder)
    prediction = "eps" if held.prediction == "auto" else held.prediction
    again = partial(_vae_of_file, path), partial(_encoder_of_file, path)
    return Parts(unet, vae, encoder, Tokens(tokenizer), prediction, again)


def _unet(tensors: dict[str, torch.Tensor], held: Held, widths: Sequence[int]) -> Any:
    diffusers, _ = libraries.load()
    exact = held.halved and all(value.dtype is HALF for value in tensors.values())  # then it is never held in full
    unet = diffusers.UNet2DConditionModel.from_single_file(
        tensors,
        config=str(CONFIGS),
        local_files_only=True,
        subfolder="unet",
        torch_dtype=HALF if exact else PRECISIONS[held.precision],
        block_out_channels=widths,
    )
    if held.halved:
        halve(unet)
    return unet


def _vae_of_file(path: Path) -> Any:
    diffusers, _ = libraries.load()
    with checkpoints.open_file(path) as file, libraries.quiet():
        try:
            return diffusers.AutoencoderKL.from_single_file(
                _tensors(file, VAE),
                config=str(CONFIGS),
                local_files_only=True,
                subfolder="vae",
                torch_dtype=torch.float32,
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise BaseModelError(
                f"base: {path} has no whole VAE of Stable Diffusion 1.x ({libraries.short(error)})"
            ) from None


def _encoder_of_file(path: Path) -> Any:
    with checkpoints.open_file(path) as file, libraries.quiet():
        return _encoder(file)


def _of_folder(folder: Path, held: Held, near: Sequence[Path]) -> Parts:
    diffusers, transformers = libraries.load()
    prediction = prediction_of(folder) if held.prediction == "auto" else held.prediction
    tokenizer = _tokenizer(held, near)
    again = (
        partial(_part, diffusers.AutoencoderKL, folder, "vae", torch_dtype=torch.float32),
        partial(_part, transformers.CLIPTextModel, folder, "text_encoder"),
    )
    unet = _part(diffusers.UNet2DConditionModel, folder, "unet", torch_dtype=PRECISIONS[held.precision])
    if held.halved:
        halve(unet)
    vae, encoder = (load() for load in again)
    _check_filled(folder, unet, vae, encoder)
    return Parts(unet, vae, encoder, Tokens(tokenizer), prediction, again)


def _part(kind: Any, folder: Path, name: str, torch_dtype: torch.dtype = torch.float32) -> Any:
    """A part of a diffusers folder in this precision."""
    how = {} if name == "text_encoder" else {"torch_dtype": torch_dtype}
    files = [file.name for file in (folder / name).iterdir() if file.suffix in (".safetensors", ".bin")]
    variant = "fp16" if files and all(".fp16." in file for file in files) else None
    try:
        with libraries.quiet():
            part = kind.from_pretrained(str(folder / name), variant=variant, local_files_only=True, **how)
    except (OSError, RuntimeError, ValueError) as error:
        raise BaseModelError(f"base: {folder / name} cannot be loaded ({libraries.short(error)})") from None
    return part.to(torch_dtype)


def _tokenizer(held: Held, near: Sequence[Path]) -> Any:
    _, transformers = libraries.load()
    return transformers.CLIPTokenizer.from_pretrained(
        str(tokenizer_folder(held.tokenizer, near)), local_files_only=True
    )


def _tensors(file: checkpoints.Checkpoint, prefix: str) -> dict[str, torch.Tensor]:
    return {name: file.get(name) for name in file.shapes if name.startswith(prefix)}


def _widths(file: checkpoints.Checkpoint) -> tuple[int, ...]:
    """Channels of each level of the UNet: those of Stable Diffusion 1.x, or of a narrower one in its layout."""
    layers = [f"{UNET}input_blocks.{number}.0.out_layers.3.weight" for number in (1, 4, 7, 10)]
    return tuple(
        file.shapes.get(name, (width,))[0] for name, width in zip(layers, _unet_config()["block_out_channels"])
    )


def _unet_config() -> dict[str, Any]:
    return json.loads((CONFIGS / "unet" / "config.json").read_text(encoding="utf-8"))


def _check_unet(file: checkpoints.Checkpoint, widths: Sequence[int]) -> None:
    """BaseModelError for weights of the UNet that are not there, or of another shape."""
    unet, config = libraries.load()[0].UNet2DConditionModel, {**_unet_config(), "block_out_channels": widths}
    with torch.device("meta"):
        wanted = {name: tuple(p.shape) for name, p in unet.from_config(config).named_parameters()}
    attention = ["CrossAttn" in kind for kind in config["down_block_types"]]
    for ours, theirs in names.to_checkpoint(wanted, attention).items():
        found = file.shapes.get(UNET + ours)
        if found != wanted[theirs]:
            has = f"has the shape {found}" if found else "is missing"
            raise BaseModelError(
                f"base: {file.path} has no whole UNet of Stable Diffusion 1.x: {UNET}{ours} {has}, expected {wanted[theirs]}"
            )


def _encoder(file: checkpoints.Checkpoint) -> nn.Module:
    """The text encoder; between the prefix and its names there may be ``text_model.``, in the file as in transformers."""
    _, transformers = libraries.load()
    config = transformers.CLIPTextConfig.from_json_file(str(CONFIGS / "text_encoder" / "config.json"))
    with torch.device("meta"):
        empty = transformers.CLIPTextModel(config).state_dict()
    inner = "text_model."
    found = {name.removeprefix(TEXT).removeprefix(inner): name for name in file.shapes if name.startswith(TEXT)}
    state = {}
    for name, value in empty.items():
        stored = found.get(name.removeprefix(inner), "")
        if file.shapes.get(stored) != tuple(value.shape):
            has = f"has the shape {file.shapes[stored]}" if stored else "is missing"
            raise BaseModelError(
                f"base: {file.path} has no text encoder of Stable Diffusion 1.x: {TEXT}{name} {has}, expected "
                f"{tuple(value.shape)}"
            )
        state[name] = file.get(stored).float()
    return transformers.CLIPTextModel.from_pretrained(None, config=config, state_dict=state)


def _check_filled(path: Path, *parts: nn.Module) -> None:
    for part in parts:
        if empty := [name for name, value in part.named_parameters() if value.is_meta]:
            raise BaseModelError(f"base: {path} lacks weights of its {type(part).__name__}, such as {empty[0]}")
