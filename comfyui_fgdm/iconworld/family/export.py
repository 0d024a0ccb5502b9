"""Write the trained parts as the files that the host loads: half precision safetensors with metadata."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...factors import files as factor_files
from ...maps import kinds
from ...training import loop
from . import build, parts
from .autoencoder import Autoencoder
from .autoencoder import export as export_autoencoder
from .judge import Judge
from .networks import TextEncoder, UNet
from .recipes import Recipe, control_part

WEIGHTS = Path(__file__).parents[2] / "data" / "weights"


@dataclass(frozen=True)
class Files:
    """Where a family's files lie below a folder."""

    root: Path

    @property
    def base(self) -> Path:
        return self.root / "checkpoints" / "fgdm-iconworld.safetensors"

    def reader(self, part: str) -> Path:
        """Of the judge or the selector."""
        return self.root / "judge" / f"fgdm-iconworld-{part}.safetensors"

    def factor(self, variable: str) -> Path:
        return self.root / "fgdm_factors" / f"fgdm-iconworld-{variable}.safetensors"

    def control(self, variable: str) -> Path:
        """Of a variable's image factor."""
        part = control_part(variable).replace("_", "-")
        return self.root / "controlnet" / f"fgdm-iconworld-{part}.safetensors"

    def factors(self) -> list[Path]:
        """The factor files that are there, in the order of their names."""
        return sorted((self.root / "fgdm_factors").glob("fgdm-iconworld-*.safetensors"))


def files(root: Path = WEIGHTS) -> Files:
    """The files of the family below a folder; by default the shipped ones."""
    return Files(root)


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
            "icons": ", ".join(recipe.world.styles),
            "base_family": "iconworld",
        }

    autoencoder, base = trained("autoencoder", Autoencoder()), trained("base", parts.Base(recipe.unet))
    write(out.base, base_state(autoencoder, base.text, base.unet), about("base"))
    for name in ("judge", "selector"):
        if (folder / f"{name}.pt").exists():
            classes = recipe.world.classes
            state = trained(name, Judge(len(classes))).state_dict()
            write(out.reader(name), state, {"classes": list(classes), **about(name)})
    for one in recipe.maps:
        palette = kinds.get(one.name).palette
        if (folder / f"{one.name}.pt").exists():
            factor = trained(one.name, build.factor(base, one))
            info = factor_files.FactorInfo(
                variable=one.name,
                base_family="iconworld",
                kind="time_adapter",
                trained_size=recipe.size,
                latent_channels=factor.adapter.spec.in_channels,
                prediction_type="v",
                palette=palette,
                classes=recipe.world.classes if palette else (),
                parents=one.parents,
                null_condition=bool(one.parents),
                licence="Apache-2.0",
                training=about(one.name),
                blocks=factor.adapter.spec.blocks,
            )
            path = out.factor(one.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            pairs = factor.lora.pairs() if factor.lora else None
            factor_files.save(path, factor.adapter, info, pairs, dtype=torch.float16)
        if (folder / f"{one.control}.pt").exists():
            write(out.control(one.name), trained(one.control, build.control(base, one)).state(), about(one.control))
    write_sums(root)
