"""Inverting a LATENT under a MODEL, and the object that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import comfy.samplers
import latent_preview
import torch

from ...sampling.inversion import Inversion, InversionError, Order, auxiliary_noise, invert
from . import fingerprint
from .guider import BASE, Conditions, Walk, check_model, run

SOURCE = "source"


@dataclass(frozen=True)
class Inverted:
    """An inversion in the host: tensors on the CPU, latents as the model scales them.

    model: the fingerprint of the MODEL, see ``fingerprint.of_model``. exact: that a replay without a prompt gives the source;
    not so if a source prompt guided the inversion.
    """

    inversion: Inversion
    model: Mapping[str, str]
    exact: bool

    def check(self, model) -> None:
        """InversionError for a MODEL other than that of the inversion."""
        if other := fingerprint.differences(self.model, fingerprint.of_model(model)):
            raise InversionError(
                f"inversion: it was made with another model than the one connected (other {', '.join(other)}), under which its "
                "noise means nothing. Connect the model of the inversion, with the same factor and LoRAs, or invert anew."
            )


@dataclass(frozen=True)
class InvertSettings:
    """steps: those that are walked; skip: share, 0 to below 1, of the schedule above them that is left out; cfg: guidance of
    the source prompt."""

    steps: int
    scheduler: str
    skip: float
    order: Order
    seed: int
    cfg: float


def schedule(model, settings: InvertSettings) -> torch.Tensor:
    """steps + 1 noise levels that begin below the skipped share, as core's BasicScheduler has them for denoise = 1 - skip."""
    if not 0.0 <= settings.skip < 1.0:
        raise InversionError(f"skip: {settings.skip:g} is out of range; give a share from 0 to below 1, such as 0.15.")
    total = int(settings.steps / (1.0 - settings.skip))
    sampling = model.get_model_object("model_sampling")
    levels = comfy.samplers.calculate_sigmas(sampling, settings.scheduler, total).cpu()[-(settings.steps + 1) :]
    falling = torch.cat(
        [levels[:1], levels[1:][levels[1:] < levels[:-1]]]
    )  # some schedulers repeat a level when steps are many
    return falling.float()


def invert_latent(
    model,
    negative,
    latent: Mapping[str, Any],
    settings: InvertSettings,
    positive=None,
    sigmas: torch.Tensor | None = None,
) -> Inverted:
    """The inversion of a LATENT, one call of the model a step (two with a source prompt). Shows progress.

    negative: CONDITIONING that edits will build on, usually of the empty prompt, with ControlNets where wanted.
    positive: that of a prompt which describes the latent; not exact then. sigmas: a schedule instead of that of the settings.
    """
    check_model(model)
    samples = latent["samples"].float()
    levels = schedule(model, settings) if sigmas is None else sigmas.cpu().float()
    auxiliary = auxiliary_noise(settings.seed, len(levels) - 1, samples.shape)
    conditions = {BASE: negative} if positive is None else {BASE: negative, SOURCE: positive}

    def start(guider: Conditions, x0: torch.Tensor, options: dict):
        def denoise(x, sigma):
            found = guider.predictions(x, sigma, [SOURCE] if positive is not None else [], options)
            if positive is None:
                return found[BASE]
            return found[BASE] + settings.cfg * (found[SOURCE] - found[BASE])

        return invert(denoise, x0, levels.to(x0.device), settings.order, auxiliary.to(x0.device))

    walk = Walk(start, lambda made: made.source)
    preview = latent_preview.prepare_callback(model, len(levels) - 1)
    run(
        Conditions(model, conditions),
        walk,
        samples,
        levels,
        lambda step, state, x, total: preview(step, state.x0, x, total),
    )
    made: Inversion = walk.result
    return Inverted(placed(made, lambda t: t.cpu()), fingerprint.of_model(model), positive is None)


def placed(made: Inversion, to: Callable[[torch.Tensor], torch.Tensor]) -> Inversion:
    """An inversion with all tensors moved."""
    tensors = {name: to(getattr(made, name)) for name in ("sigmas", "source", "path", "noises")}
    return replace(made, **tensors)
