"""Applying a condition factor to a MODEL gives a MODEL: core samplers, LoRAs and previews then just work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import comfy.lora
import comfy.model_sampling
import comfy.patcher_extension
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding

from ...factors.conditions import adapter_input, resized
from ...factors.files import AdapterKind, LoraPair
from .factor import Factor

KEY = "fgdm_factor"
PARENTS = "fgdm_parents"
"""Entry of the transformer options that holds the current values of variables, by name, while a graph is sampled."""


TEXT_WIDTHS = {"sd15": 768, "iconworld": 128}
"""Width of the encoded prompt by base family. Stable Diffusion 2.x differs from 1.x in nothing else that an adapter meets."""


class FactorMismatchError(ValueError):
    """The factor was trained for another kind of base model."""


class FactorWrapper:
    """Runs the adapter on what the UNet sees and adds its features inside the UNet.

    Feature l is added to the output of the last input block of level l, before that output
    is stored for the skip connection, so the way down and the skip both carry it
    (blocks 2, 5, 8, 11 of Stable Diffusion 1.5).

    All state of a call lives in that call: nothing is written to the model.
    """

    def __init__(
        self,
        factor: Factor,
        blocks: list[int],
        strength: float,
        sigma_range: tuple[float, float] | None,
        values: Mapping[str, torch.Tensor],
        on_the_fly: bool,
    ):
        self.factor = factor
        self.low_rank = factor.lora if on_the_fly else {}  # added at each call, where others share the loaded weights
        self.values = values  # latents of the parents, scaled as the model's own
        self.blocks = blocks
        self.strength = strength
        self.sigma_range = sigma_range  # (high, low), or None for every step

    def __call__(self, executor, x, timesteps, context=None, y=None, control=None, transformer_options=None, **kwargs):
        options = {} if transformer_options is None else transformer_options
        if self._active(options):
            options = with_features(options, self.features(executor.class_obj, x, timesteps, y, options))
        with low_rank_weights(executor.class_obj, self.low_rank, self.strength):
            return executor(x, timesteps, context, y, control, options, **kwargs)

    def _active(self, options) -> bool:
        if self.sigma_range is None:
            return True
        high, low = self.sigma_range
        return low <= float(options["sigmas"][0]) <= high

    def features(self, unet: UNetModel, x, timesteps, y, options: dict) -> dict[int, torch.Tensor]:
        """{input block: what is added to its output} for these inputs of the UNet."""
        spec, info, emb = self.factor.spec, self.factor.info, None
        if spec.kind is AdapterKind.TIME:
            emb = unet_embedding(unet, x, timesteps, y, options)
        values = {**self.values, **options.get(PARENTS, {})}
        chunks = options.get("cond_or_uncond") or (0,)
        source = adapter_input(x, info.parents, values, spec.in_channels, chunks, info.null_condition)
        found = shared_rows(self.factor.patcher.model, source, emb, len(chunks))
        return {b: f if self.strength == 1.0 else self.strength * f for b, f in zip(self.blocks, found, strict=True)}


def shared_rows(network, source: torch.Tensor, emb: torch.Tensor | None, chunks: int) -> list[torch.Tensor]:
    """The adapter's features, computed once where all chunks of the batch (with the prompt, without it) are alike."""

    def alike(value: torch.Tensor | None) -> bool:
        return value is None or all(
            torch.equal(value[: len(value) // chunks], part) for part in value.chunk(chunks)[1:]
        )

    rows = len(source) // chunks
    if chunks == 1 or not (alike(source) and alike(emb)):
        return network(source, emb)
    return [f.repeat(chunks, 1, 1, 1) for f in network(source[:rows], None if emb is None else emb[:rows])]


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

    strength:  multiplies the features and the low-rank deltas; 0 gives the plain model bit for bit.
    start_percent, end_percent:  part of the noise schedule in which the features are added, 0..1
        as in core's ControlNet nodes, read from the model's schedule now. Low-rank deltas,
        where a file has them, hold for all steps.
    parents:  latents (B, C, h, w) of the variables the factor is conditioned on, by name, as a LATENT has them
        (not scaled); a sampled graph gives them itself.
    on_the_fly:  add low-rank deltas at every call instead of to the loaded weights, for runs in which other
        variables use the same loaded weights without them.
    Raises FactorMismatchError if the factor belongs to another base family, or is applied to ``model`` already.
    """
    if not 0.0 <= start_percent <= end_percent <= 1.0:
        raise ValueError(
            f"start_percent {start_percent:g} and end_percent {end_percent:g}: give 0 <= start <= end <= 1, "
            "for example 0 and 1 for all steps."
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

    sigma_range = None
    if (start_percent, end_percent) != (0.0, 1.0):
        sampling = model.get_model_object("model_sampling")
        sigma_range = (sampling.percent_to_sigma(start_percent), sampling.percent_to_sigma(end_percent))
    process = model.model.process_latent_in
    values = {name: process(value) for name, value in (parents or {}).items()}
    wrapper = FactorWrapper(factor, blocks, strength, sigma_range, values, on_the_fly)
    patched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, KEY, wrapper)

    others = [m for m in patched.get_additional_models_with_key(KEY) if not m.is_clone(factor.patcher)]
    patched.set_additional_models(KEY, [*others, factor.patcher])
    if factor.lora and not on_the_fly:
        add_low_rank(patched, factor, strength)
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
    """Ids of the input blocks that take the features, one a level. Raises FactorMismatchError."""
    unet = model.get_model_object("diffusion_model")
    family = factor.info.base_family
    what = f"factor: {factor.name!r} was trained on {family}"
    if not isinstance(unet, UNetModel):
        raise FactorMismatchError(
            f"{what}, a Stable-Diffusion-shaped UNet, but 'model' is a {type(unet).__name__}. "
            f"Load a checkpoint of the family {family}."
        )
    spec, blocks, widths = factor.spec, *level_ends(unet)
    wrong = []
    if tuple(spec.widths) != widths:
        wrong.append(f"level widths {list(spec.widths)} against {list(widths)} of the model")
    count = len(factor.info.parents)
    readable = [n * unet.in_channels for n in ((count, count + 1) if count else (1,))]
    if spec.in_channels not in readable:
        wrong.append(f"{spec.in_channels} latent channels against {unet.in_channels} of the model")
    if spec.kind is AdapterKind.TIME and spec.emb_channels != 4 * unet.model_channels:
        wrong.append(f"a time embedding of {spec.emb_channels} against {4 * unet.model_channels} of the model")
    width, own = TEXT_WIDTHS.get(family), model.model.model_config.unet_config.get("context_dim")
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


def unet_embedding(unet: UNetModel, x, timesteps, y, options) -> torch.Tensor:
    """The embedding (B, 4 * model_channels) that the UNet's own blocks will see for this call."""
    emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels).to(x.dtype))
    for patch in options.get("patches", {}).get("emb_patch", ()):
        emb = patch(emb, unet.model_channels, options)
    if unet.num_classes is not None:
        emb = emb + unet.label_emb(y)
    return emb


@contextlib.contextmanager
def low_rank_weights(unet: UNetModel, pairs: Mapping[str, LoraPair], strength: float) -> Iterator[None]:
    """While this lasts, the UNet's layers use their weights with the low-rank deltas added; the weights stay as they are."""
    before = []
    try:
        for key, pair in pairs.items():
            layer = unet.get_submodule(key.removesuffix(".weight"))
            before.append((layer, layer.weight_function))
            layer.weight_function = [*layer.weight_function, _Delta(pair, strength)]
        yield
    finally:
        for layer, functions in before:
            layer.weight_function = functions


class _Delta:
    def __init__(self, pair: LoraPair, strength: float):
        self.pair, self.strength = pair, strength

    def __call__(self, weight: torch.Tensor) -> torch.Tensor:
        delta = self.pair.up.to(weight) @ self.pair.down.to(weight)
        return weight + self.strength * delta.reshape(weight.shape)


def with_features(options: dict, features: Mapping[int, torch.Tensor]) -> dict:
    """A copy of transformer_options by which the UNet adds these to the outputs of its input blocks, before the skip
    connections are stored. A block that another patch lets compute at another size gets them resized to that size."""

    def patch(h: torch.Tensor, now: dict) -> torch.Tensor:
        number = now["block"][1]
        return h + resized(features[number], h.shape[2:]) if number in features else h

    patches = dict(options.get("patches", {}))
    patches["input_block_patch"] = [*patches.get("input_block_patch", ()), patch]
    return {**options, "patches": patches}


def add_low_rank(model, factor: Factor, strength: float) -> None:
    """Add the file's low-rank deltas (up @ down) to the weights of the clone, as core does for a LoRA."""
    weights = model.model.state_dict()
    named: dict[str, torch.Tensor] = {}
    targets: dict[str, str] = {}
    for key, pair in factor.lora.items():
        target = "diffusion_model." + key
        shape = weights[target].shape if target in weights else None
        if shape is None or (pair.up.shape[0], pair.down.shape[1]) != (shape[0], shape[1:].numel()):
            raise FactorMismatchError(
                f"factor: {factor.name!r} holds a low-rank change of {key}, "
                f"{'which the model lacks' if shape is None else f'which is {list(shape)} in the model'}. "
                f"Load a checkpoint of the family {factor.info.base_family}."
            )
        targets[target] = target
        named[target + ".lora_up.weight"] = pair.up
        named[target + ".lora_down.weight"] = pair.down
    model.add_patches(comfy.lora.load_lora(named, targets), strength)
