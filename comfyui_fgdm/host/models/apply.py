"""Applying a condition factor to a MODEL gives a MODEL: core samplers, LoRAs and previews then just work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import comfy.model_sampling
import comfy.patcher_extension
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...factors.files import AdapterKind
from ...factors.unet import UNetConfig
from . import lowrank
from .factor import Factor
from .features import KEY, PARENTS, FactorWrapper, note_whole
from .own_network import OwnNetworkWrapper

__all__ = ["KEY", "PARENTS", "FactorMismatchError", "FactorWrapper", "apply_factor", "check_fit", "name_parents"]

TEXT_WIDTHS = {"sd15": 768, "iconworld": 128}
"""Width of the encoded prompt by base family. Stable Diffusion 2.x differs from 1.x in nothing else that an adapter meets."""


class FactorMismatchError(ValueError):
    """The factor was trained for another kind of base model."""


def apply_factor(
    model,
    factor: Factor,
    strength: float = 1.0,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    parents: Mapping[str, torch.Tensor] | None = None,
    on_the_fly: bool = False,
):
    """A clone of ``model`` whose UNet carries the factor; ``model`` itself is left as it is.

    strength:  multiplies the features and the low-rank deltas; 0 gives the plain model bit for bit. A factor with a network of
        its own takes the UNet's place, and takes 1 or 0 alone.
    start_percent, end_percent:  part of the noise schedule in which the features are added, 0..1
        as in core's ControlNet nodes, read from the model's schedule now. Low-rank deltas,
        where a file has them, hold for all steps.
    parents:  latents (B, C, h, w) of the variables the factor is conditioned on, by name, as a LATENT has them
        (not scaled); a sampled graph gives them itself.
    on_the_fly:  add low-rank deltas at every call instead of to the loaded weights, for runs in which other
        variables use the same loaded weights without them.
    Raises FactorMismatchError if the factor belongs to another base family, or is applied to ``model`` already.
    """
    if not math.isfinite(strength):
        raise ValueError(f"strength: {strength} is no finite number; give one from 0 to 2, 1 as trained.")
    if not 0.0 <= start_percent <= end_percent <= 1.0:
        raise ValueError(
            f"start_percent {start_percent:g} and end_percent {end_percent:g}: give 0 <= start <= end <= 1, "
            "for example 0 and 1 for all steps."
        )
    own = isinstance(factor.spec, UNetConfig)
    if own and strength not in (0.0, 1.0):
        raise ValueError(
            f"strength: {strength:g}, but {factor.name!r} has a network of its own, which takes the model's place: give 1 or 0."
        )
    blocks = check_fit(model, factor)
    if any(applied.name == factor.name for applied in applied_to(model)):
        raise FactorMismatchError(
            f"model: {factor.name!r} is applied to it already, and acting twice it ruins the maps. Connect the model from "
            "before Apply Factor; to make a factor act more or less, change its strength."
        )
    patched = model.clone()
    if strength == 0.0:
        return patched

    if wrong := lowrank.misfit(model.model.diffusion_model.state_dict() if factor.lora else {}, factor.lora):
        raise FactorMismatchError(
            f"factor: {factor.name!r} holds {wrong}. Load a checkpoint of the family {factor.info.base_family}."
        )
    factor = factor.in_precision(model.model.get_dtype_inference())
    sigma_range = None
    if (start_percent, end_percent) != (0.0, 1.0):
        sampling = model.get_model_object("model_sampling")
        sigma_range = (sampling.percent_to_sigma(start_percent), sampling.percent_to_sigma(end_percent))
    process = model.model.process_latent_in
    values = {name: process(value) for name, value in (parents or {}).items()}
    if own:
        wrapper = OwnNetworkWrapper(factor, sigma_range, values)
    else:
        wrapper = FactorWrapper(factor, blocks, strength, sigma_range, values, on_the_fly)
    kinds = comfy.patcher_extension.WrappersMP
    patched.add_wrapper_with_key(kinds.DIFFUSION_MODEL, KEY, wrapper)
    if not patched.get_wrappers(kinds.CALC_COND_BATCH, KEY):
        patched.add_wrapper_with_key(kinds.CALC_COND_BATCH, KEY, note_whole)
    patched.add_callback_with_key(comfy.patcher_extension.CallbacksMP.ON_CLEANUP, KEY, lambda _model: wrapper.forget())

    others = [m for m in patched.get_additional_models_with_key(KEY) if not m.is_clone(factor.patcher)]
    patched.set_additional_models(KEY, [*others, factor.patcher])
    if factor.lora and not on_the_fly:
        lowrank.patch(patched, factor.lora, strength)
    return patched


def applied_to(model) -> list[Factor]:
    """The factors that a MODEL carries."""
    wrappers = model.get_wrappers(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, KEY)
    return [wrapper.factor for wrapper in wrappers]


def check_plain(model, where: str) -> None:
    """FactorMismatchError for a MODEL that carries a factor, where one is applied inside. where: who applies it."""
    if applied := applied_to(model):
        raise FactorMismatchError(
            f"model: {applied[-1].name!r} is applied to it already, and {where} applies its factor itself: two at once ruin "
            "the maps. Connect the model from before Apply Factor."
        )


def name_parents(factor: Factor, latents: Sequence[dict | None]) -> dict[str, torch.Tensor]:
    """LATENTs, in the order of the factor's parents (None: not connected), by the parents' names.

    Raises FactorMismatchError for a parent without a latent, and for a latent that no parent takes.
    """
    names = factor.info.parents
    connected = [latent for latent in latents if latent is not None]
    if len(connected) != len(names) or None in latents[: len(names)]:
        needs = f"depends on {' and '.join(names)}, in this order" if names else "depends on the prompt alone"
        raise FactorMismatchError(
            f"parent: the factor {factor.name!r} {needs}, but {len(connected)} latents are connected. "
            f"Connect {len(names) or 'none'}."
        )
    return {name: latent["samples"] for name, latent in zip(names, connected)}


def check_fit(model, factor: Factor) -> list[int]:
    """Ids of the input blocks that take the features, one a level; none for a factor with a network of its own. Raises
    FactorMismatchError."""
    unet = model.get_model_object("diffusion_model")
    family = factor.info.base_family
    what = f"factor: {factor.name!r} was trained on {family}"
    if not isinstance(unet, UNetModel):
        raise FactorMismatchError(
            f"{what}, a Stable-Diffusion-shaped UNet, but 'model' is a {type(unet).__name__}. "
            f"Load a checkpoint of the family {family}."
        )
    spec, blocks, widths, wrong = factor.spec, *level_ends(unet), []
    width, own = TEXT_WIDTHS.get(family), model.model.model_config.unet_config.get("context_dim")
    if isinstance(spec, UNetConfig):
        blocks, width = [], spec.context
        if spec.latent != unet.in_channels:
            wrong.append(f"{spec.latent} latent channels against {unet.in_channels} of the model")
    else:
        if tuple(spec.widths) != widths:
            wrong.append(f"level widths {list(spec.widths)} against {list(widths)} of the model")
        count = len(factor.info.parents)
        readable = [n * unet.in_channels for n in ((count, count + 1) if count else (1,))]
        if spec.in_channels not in readable:
            wrong.append(f"{spec.in_channels} latent channels against {unet.in_channels} of the model")
        if spec.kind is AdapterKind.TIME and spec.emb_channels != 4 * unet.model_channels:
            wrong.append(f"a time embedding of {spec.emb_channels} against {4 * unet.model_channels} of the model")
    if width and own and width != own:
        wrong.append(f"a text of width {width} against {own} of the model")
    expected, found = factor.info.prediction_type, prediction_type(model)
    if expected and found and expected != found:
        wrong.append(f"{expected} prediction against {found} prediction of the model")
    if wrong:
        raise FactorMismatchError(
            f"{what} and does not fit 'model': {'; '.join(wrong)}. "
            f"Load a checkpoint of the family {family}, or a factor made for this model."
        )
    return blocks


def level_ends(unet: UNetModel) -> tuple[list[int], tuple[int, ...]]:
    """Id of the last input block of each level, and the widths there ([2, 5, 8, 11] for SD 1.5)."""
    ends, last = [], -1
    for blocks in unet.num_res_blocks:
        last += blocks + 1  # block 0 is the stem, and a down-sampler opens each later level
        ends.append(last)
    return ends, tuple(mult * unet.model_channels for mult in unet.channel_mult)


def prediction_type(model) -> str | None:
    """'eps' or 'v' as the model samples now (a patch may have changed it), None for any other."""
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.V_PREDICTION):
        return "v"
    if isinstance(sampling, comfy.model_sampling.EPS) and not isinstance(sampling, comfy.model_sampling.X0):
        return "eps"
    return None
