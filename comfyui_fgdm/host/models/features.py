"""A factor inside a run: its adapter is run on what the UNet sees, and its features are added inside the UNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import comfy.patcher_extension
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding

from ...factors.conditions import Area, adapter_input, resized
from ...factors.files import AdapterKind, AdapterSpec
from .factor import Factor
from .lowrank import LowRank
from .placed import Placed

KEY = "fgdm_factor"
SHARED = "fgdm_together"
"""Key of the wrapper that runs the factors of several variables in one call."""

PARENTS = "fgdm_parents"
"""Entry of the transformer options that holds the current values of variables, by name, while a graph is sampled."""

WHOLE = "fgdm_whole"
"""Entry of the transformer options that holds what core is about to cut into parts (a `Whole`)."""


@dataclass(frozen=True)
class Whole:
    """The latents that a MODEL is asked about, before core cuts them into the areas of prompts.

    shape: C x h x w. areas: of each prompt, by core's id of it; None for all of the latents. window: the part of yet larger
    latents that these are (core's context windows), or None. as_given: whether what core cuts out goes to the model as it is.
    """

    shape: tuple[int, ...]
    areas: Mapping[Any, Area | None]
    window: Any = None
    as_given: bool = True

    def areas_of(self, prompts: Sequence[Any], chunks: int) -> list[Area | None]:
        """Of each chunk of a batch. prompts: core's ids of them, if nobody made other chunks since."""
        known = prompts if len(prompts) == chunks else [None] * chunks
        return [self.areas.get(one) for one in known]


def note_whole(executor, model, conds, x_in, timestep, model_options):
    """Wrapper of core's evaluation of prompts: leaves a note of the whole in the transformer options of the call."""
    size = tuple(x_in.shape[2:])
    areas = {
        entry["uuid"]: _clipped(entry["area"], size) if entry.get("area") is not None else None
        for group in conds
        for entry in group or ()
    }
    options = model_options.get("transformer_options", {})
    plain = "model_function_wrapper" not in model_options
    whole = Whole(tuple(x_in.shape[1:]), areas, options.get("context_window"), plain)
    return executor(model, conds, x_in, timestep, {**model_options, "transformer_options": {**options, WHOLE: whole}})


def _clipped(area: Sequence[int], size: Sequence[int]) -> Area:
    """(height, width, top, left) of a prompt's area within latents of that size, as core cuts it out."""
    height, width, top, left = area
    return min(height, size[0] - top), min(width, size[1] - left), top, left


class Read(NamedTuple):
    """What a factor's network reads. source: x, or its parents (and x), B x C x h x w. chunks: what the equal parts of the batch
    are, 0 with the prompt and 1 without. whole, areas: what they are cut out of, and where."""

    source: torch.Tensor
    chunks: Sequence[int]
    whole: Whole | None
    areas: Sequence[Area | None]


class FactorWrapper:
    """Runs the adapter on what the UNet sees and adds its features inside the UNet.

    Feature l is added to the output of the last input block of level l, before that output
    is stored for the skip connection, so the way down and the skip both carry it
    (blocks 2, 5, 8, 11 of Stable Diffusion 1.5).

    All state of a call lives in that call, but for copies of parents and low-rank deltas on the device, kept for a run.
    """

    own = False
    """Whether the factor's network takes the UNet's place."""

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
        # Added at each call, where others share the loaded weights.
        self.low_rank = LowRank(factor.lora if on_the_fly else {}, strength)
        self.values = Placed(values)  # latents of the parents, scaled as the model's own
        self.blocks = blocks
        self.strength = strength
        self.sigma_range = sigma_range  # (high, low), or None for every step

    def __call__(self, executor, x, timesteps, context=None, y=None, control=None, transformer_options=None, **kwargs):
        options = {} if transformer_options is None else transformer_options
        if self._active(options):
            options = with_features(options, self.features(executor.class_obj, x, timesteps, y, options))
        with self.low_rank.added_to(executor.class_obj):
            return executor(x, timesteps, context, y, control, options, **kwargs)

    def forget(self) -> None:
        """Let go of copies on devices, after a run."""
        self.values.forget()
        self.low_rank.forget()

    def _active(self, options) -> bool:
        if self.sigma_range is None:
            return True
        high, low = self.sigma_range
        return low <= float(options["sigmas"][0]) <= high

    def features(self, unet: UNetModel, x, timesteps, y, options: dict) -> dict[int, torch.Tensor]:
        """{input block: what is added to its output} for these inputs of the UNet."""
        spec, info, emb = self.factor.spec, self.factor.info, None
        if isinstance(spec, AdapterSpec) and spec.kind is AdapterKind.TIME:
            emb = unet_embedding(unet, x, timesteps, y, options)
        seen = self.read(x, options)
        network = self.factor.network(x.device)
        chunks, split = seen.chunks, info.null_condition and info.parents and len(set(seen.chunks)) > 1
        once = not split and _alike(seen.whole, options, x, seen.areas)
        found = _shared(network, seen.source, emb, len(chunks)) if once else network(seen.source, emb)
        return {b: f if self.strength == 1.0 else self.strength * f for b, f in zip(self.blocks, found, strict=True)}

    def read(self, x, options: dict) -> Read:
        """What the factor's network reads for these inputs of the UNet."""
        spec, info = self.factor.spec, self.factor.info
        chunks = options.get("cond_or_uncond") or (0,)
        whole: Whole | None = options.get(WHOLE)
        areas = whole.areas_of(options.get("uuids", ()), len(chunks)) if whole else [None] * len(chunks)
        values = {**self.values.like(x), **options.get(PARENTS, {})}
        if whole and whole.window is not None:
            values = {name: _in_window(value, whole) for name, value in values.items()}
        size = whole.shape[1:] if whole else None
        source = adapter_input(x, info.parents, values, spec.in_channels, chunks, info.null_condition, size, areas)
        return Read(source, chunks, whole, areas)


def _in_window(value: torch.Tensor, whole: Whole) -> torch.Tensor:
    """Of a parent's latent what belongs to one of core's context windows, along the axis that is cut into windows."""
    window, size = whole.window, list(whole.shape[1:])
    if window.dim == 0:
        if len(value) == 1:
            return value
        value = value.repeat(-(-window.total_frames // len(value)), 1, 1, 1)[: window.total_frames]
    elif window.dim in (2, 3):
        size[window.dim - 2] = window.total_frames
        value = resized(value, size)
    return window.get_tensor(value, device=value.device, dim=window.dim)


def _alike(whole: Whole | None, options: dict, x: torch.Tensor, areas: Sequence[Area | None]) -> bool:
    """Whether all chunks of a batch (with the prompt, without it) are the same latents at the same noise level.

    Told by how core makes a batch, not by the numbers in it, since to look at them is to wait for the device: all chunks
    are cut out of one latent, so alike if their areas are, unless something between core and the UNet may have changed some.
    """
    if whole is None or not whole.as_given or len(set(areas)) > 1 or x.shape[1] != whole.shape[0]:
        return False
    kinds = comfy.patcher_extension.WrappersMP
    wrappers = options.get("wrappers", {})
    between = {key for kind in (kinds.APPLY_MODEL, kinds.DIFFUSION_MODEL) for key in wrappers.get(kind, {})}
    return between <= {KEY, SHARED} and not options.get("patches", {}).get("emb_patch")


def _shared(network, source: torch.Tensor, emb: torch.Tensor | None, chunks: int) -> list[torch.Tensor]:
    """The adapter's features of a batch of equal chunks, computed for one of them."""
    rows = len(source) // chunks
    return [f.repeat(chunks, 1, 1, 1) for f in network(source[:rows], None if emb is None else emb[:rows])]


def unet_embedding(unet: UNetModel, x, timesteps, y, options) -> torch.Tensor:
    """The embedding (B, 4 * model_channels) that the UNet's own blocks will see for this call."""
    emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels).to(x.dtype))
    for patch in options.get("patches", {}).get("emb_patch", ()):
        emb = patch(emb, unet.model_channels, options)
    if unet.num_classes is not None:
        emb = emb + unet.label_emb(y)
    return emb


def with_features(options: dict, features: Mapping[int, torch.Tensor]) -> dict:
    """A copy of transformer_options by which the UNet adds these to the outputs of its input blocks, before the skip
    connections are stored. A block that another patch lets compute at another size gets them resized to that size."""

    def patch(h: torch.Tensor, now: dict) -> torch.Tensor:
        number = now["block"][1]
        return h + resized(features[number], h.shape[2:]) if number in features else h

    patches = dict(options.get("patches", {}))
    patches["input_block_patch"] = [*patches.get("input_block_patch", ()), patch]
    return {**options, "patches": patches}
