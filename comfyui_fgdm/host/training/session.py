"""Training from a node: progress with samples as previews, interruption within a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from PIL import Image

from ...objects import charts
from ...training import recipe, run
from .. import datafolders, own
from .base import HostBackbone

PREVIEW_SIDE = 512


@dataclass(frozen=True)
class Trained:
    """What a training gave. files: by its kind. steps: so many were trained. plot, samples: IMAGE (1, H, W, 3)."""

    files: Mapping[recipe.Trains, Path]
    steps: int
    plot: torch.Tensor
    samples: torch.Tensor

    @property
    def factor(self) -> Path:
        """The file of the factor."""
        return self.files[recipe.Trains.FACTOR]

    @property
    def image_factor(self) -> Path:
        """The file of the image factor."""
        return self.files[recipe.Trains.IMAGE]


def train(model, clip, vae, folder: str, sections: Mapping[str, Any], fresh: bool = False) -> Trained:
    """Train on a MODEL, or go on with an earlier run of the same settings.

    folder: name of a training folder; sections: of a recipe, as its file would have them, but for that folder.

    Shows progress, and each sheet of samples as a preview. It can be interrupted within a step: a checkpoint is written, and
    the same call goes on from it. Errors are those of recipe, folder and loop, each naming what is wrong.
    """
    place = datafolders.path_of(folder)
    wanted = recipe.parse({**sections, "data": {**sections["data"], "folder": str(place)}})
    wanted = dataclasses.replace(wanted, output=datafolders.output() / folder)
    with torch.inference_mode(False), torch.enable_grad():
        base = HostBackbone(model, clip, vae)
        bar = comfy.utils.ProgressBar(wanted.training.steps)
        last: list[Image.Image] = []

        def prepared(done: int, total: int) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            bar.update_absolute(done, total)

        def step(number: int, total: int) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            bar.update_absolute(number, total, _preview(last))

        def sheet(_step: int, picture: Image.Image) -> None:
            last[:] = [picture]

        place = run.run_folder(wanted, fresh)
        reports = run.Reports(prepared=prepared, step=step, sheet=sheet)
        current = run.Run(wanted, base, place, reports, str(base.device), own.library())
        for _record in current.records():
            comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(wanted.training.steps, wanted.training.steps, _preview(last))
    sheets = sorted(place.glob("samples-*.png"))
    pictures = [Image.open(place / "loss.png"), Image.open(sheets[-1]) if sheets else Image.new("RGB", (64, 64))]
    return Trained(
        current.files,
        wanted.training.steps,
        *(charts.to_tensor(np.array(picture.convert("RGB"))) for picture in pictures),
    )


def _preview(pictures: Sequence[Image.Image]):
    return ("PNG", pictures[0], PREVIEW_SIDE) if pictures else None
