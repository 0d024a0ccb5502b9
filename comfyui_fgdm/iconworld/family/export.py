"""Write the trained parts as the files that the host loads: half precision safetensors with metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...factors import files as factor_files
from ...training import loop
from ..world import icons
from . import depth, parts
from .autoencoder import Autoencoder
from .autoencoder import export as export_autoencoder
from .judge import Judge
from .networks import ControlNet, TextEncoder, UNet
from .recipes import Recipe

WEIGHTS = Path(__file__).parents[2] / "data" / "weights"


class Files(NamedTuple):
    base: Path
    factor: Path
    image: Path
    judge: Path
    selector: Path
    depth: Path
    depth_image: Path


def files(root: Path = WEIGHTS) -> Files:
    """Where the family's files lie below a folder; by default the shipped ones."""
    return Files(
        root / "checkpoints" / "fgdm-iconworld.safetensors",
        root / "fgdm_factors" / "fgdm-iconworld-segmentation.safetensors",
        root / "controlnet" / "fgdm-iconworld-image.safetensors",
        root / "judge" / "fgdm-iconworld-judge.safetensors",
        root / "judge" / "fgdm-iconworld-selector.safetensors",
        root / "fgdm_factors" / "fgdm-iconworld-depth.safetensors",
        root / "controlnet" / "fgdm-iconworld-depth-image.safetensors",
    )


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key: value.detach().to(torch.float16).contiguous() if value.is_floating_point() else value.contiguous()
        for key, value in state.items()
    }


def write(path: Path, state: dict[str, Tensor], about: dict) -> None:
    """One file; `about` (a flat description: recipe, seeds, data licences) becomes its metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(half(state), path, metadata={"fgdm_iconworld": json.dumps(about, sort_keys=True)})


def base_state(autoencoder: Autoencoder, text: TextEncoder, unet: UNet) -> dict[str, Tensor]:
    """Stable Diffusion 1.x checkpoint keys: model.diffusion_model.*, first_stage_model.*, cond_stage_model.*"""
    state = {f"model.diffusion_model.{key}": value for key, value in unet.state_dict().items()}
    state |= {f"first_stage_model.{key}": value for key, value in export_autoencoder(autoencoder).items()}
    state |= {f"cond_stage_model.transformer.text_model.{key}": value for key, value in text.state_dict().items()}
    return state


def write_sums(folder: Path = WEIGHTS) -> None:
    """SHA256SUMS over every .safetensors below the folder, in the format of sha256sum."""
    found = sorted(folder.rglob("*.safetensors"))
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n" for file in found
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def write_all(folder: Path, recipe: Recipe, root: Path = WEIGHTS) -> None:
    """The family's files below `root` from the trained parts in `folder`; parts that are not trained yet are left out."""
    out = files(root)

    def trained(name: str, module: loop.Model) -> loop.Model:
        return loop.load_ema(module, folder / f"{name}.pt")

    def about(name: str) -> dict:
        steps, seconds = loop.spent(folder / f"{name}.pt")
        return {
            "part": name,
            "recipe": recipe.name,
            "samples": steps * recipe.budgets[name].batch,
            "seconds": round(seconds, 1),
            "seed": recipe.seed,
            "licence": "Apache-2.0",
            "icons": ", ".join(icons.TRAIN_STYLES),
            "base_family": "iconworld",
        }

    autoencoder, base = trained("autoencoder", Autoencoder()), trained("base", parts.Base(recipe.unet))
    write(out.base, base_state(autoencoder, base.text, base.unet), about("base"))
    for name, path in (("judge", out.judge), ("selector", out.selector)):
        if (folder / f"{name}.pt").exists():
            classes = recipe.world.classes
            write(path, trained(name, Judge(len(classes))).state_dict(), {"classes": list(classes), **about(name)})

    def write_factor(path: Path, factor: parts.Factor, variable: str, **fields) -> None:
        info = factor_files.FactorInfo(
            variable=variable,
            base_family="iconworld",
            kind="time_adapter",
            trained_size=recipe.size,
            latent_channels=base.unet.config.latent,
            prediction_type="v",
            licence="Apache-2.0",
            training=about(variable),
            blocks=factor.adapter.spec.blocks,
            **fields,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        factor_files.save(path, factor.adapter, info, factor.lora.pairs() if factor.lora else None, dtype=torch.float16)

    if (folder / "segmentation.pt").exists():
        factor = trained("segmentation", parts.Factor(base, recipe.rank))
        write_factor(out.factor, factor, "segmentation", classes=recipe.world.classes)
    if (folder / "image.pt").exists():
        write(out.image, trained("image", parts.Image(base)).control.state_dict(), about("image"))
    if (folder / "depth.pt").exists():
        factor = trained("depth", depth.factor(base, recipe.depth_rank))
        write_factor(out.depth, factor, "depth", palette=None, parents=("segmentation",), null_condition=True)
    if (folder / "depth_image.pt").exists():
        control = trained("depth_image", depth.Image(base, ControlNet(recipe.unet), recipe.control_rank))
        write(out.depth_image, control.state(), about("depth_image"))
    write_sums(root)
