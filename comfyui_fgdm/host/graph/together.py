"""Variables of a graph that do not depend on each other, evaluated in one call of the UNet where they allow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import comfy.model_patcher
import comfy.patcher_extension
import comfy.samplers
import torch

from ..models.features import KEY, PARENTS, SHARED, FactorWrapper, note_whole, with_features
from .variables import Sampled

_SPECIAL = ("area", "mask", "control", "gligen", "hooks", "timestep_start", "timestep_end", "default")


@dataclass(frozen=True)
class Part:
    """One variable at one step. prompts: its processed conditioning, {'positive', 'negative'}; seen: values of its parents;
    wrapper: of its factor, None without one; guided: whether the negative prompt is needed."""

    node: Sampled
    x: torch.Tensor
    seen: Mapping[str, torch.Tensor]
    prompts: Mapping[str, list[dict]]
    wrapper: FactorWrapper | None
    guided: bool


def factor_wrapper(model) -> FactorWrapper | None:
    """The wrapper of the factor that was applied to a MODEL last."""
    found = model.get_wrappers(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, KEY)
    return found[-1] if found else None


def groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Those that may share a call, at least two in each group: of one MODEL and latent shape, without control nets, regions
    or weights of their own, with memory for all at once."""
    found: list[list[Part]] = []
    for part in filter(_plain, parts):
        for group in found:
            if _alike(group[0], part) and _has_memory([*group, part]):
                group.append(part)
                break
        else:
            found.append([part])
    return [group for group in found if len(group) > 1]


class Shared(NamedTuple):
    """x0 of one variable with the prompt, and without it (zeros where no variable of the call is guided)."""

    positive: torch.Tensor
    negative: torch.Tensor


def can_share(voice) -> bool:
    """Whether nothing acts on a variable but its factor. Patches, wrappers and functions of other packs may keep state, call
    the model again or look at the batch, which is another one in a shared call: with any of them there is none."""
    plain = voice.node.model
    options = plain.model_options
    inner = options.get("transformer_options", {})
    attached = (
        *(value for key, value in options.items() if key != "transformer_options"),
        *inner.values(), plain.object_patches, plain.injections, plain.attachments, plain.forced_hooks,
        plain.additional_models, *plain.wrappers.values(), *plain.callbacks.values(),
    )  # fmt: skip
    return all(value is None or value is False or (isinstance(value, (dict, list)) and not value) for value in attached)


def predict(group: Sequence[Part], timestep: torch.Tensor, sigmas: torch.Tensor) -> dict[str, Shared]:
    """By variable, what one call of the model gives for it. timestep: B; sigmas: of the run."""
    x = torch.cat([part.x for part in group])
    options = comfy.model_patcher.create_model_options_clone(group[0].node.model.model_options)
    options.setdefault("transformer_options", {})["sample_sigmas"] = sigmas
    wrapper = _Stack([part.wrapper for part in group], [part.seen for part in group])
    kinds = comfy.patcher_extension.WrappersMP
    for kind, key, added in ((kinds.CALC_COND_BATCH, KEY, note_whole), (kinds.DIFFUSION_MODEL, SHARED, wrapper)):
        comfy.patcher_extension.add_wrapper_with_key(kind, key, added, options, is_model_options=True)
    sides = ("positive", "negative") if group[0].guided else ("positive",)
    conds: list = [[_joined(group, side)] for side in sides]
    out = comfy.samplers.calc_cond_batch(
        group[0].node.model.model, conds + [None] * (2 - len(conds)), x, timestep.repeat(len(group)), options
    )
    pairs = zip(*(value.chunk(len(group)) for value in out), strict=True)
    return {part.node.name: Shared(*pair) for part, pair in zip(group, pairs, strict=True)}


def _plain(part: Part) -> bool:
    entries = [entry for kind in ("positive", "negative") for entry in part.prompts[kind]]
    return (
        len(entries) == 2
        and all(entry.get(key) is None for entry in entries for key in _SPECIAL)
        and all(entry.get("strength", 1.0) == 1.0 for entry in entries)
        and not (part.wrapper is not None and (part.wrapper.low_rank or part.wrapper.own))
    )


def _alike(one: Part, other: Part) -> bool:
    if one.node.model is not other.node.model or one.x.shape != other.x.shape or one.guided != other.guided:
        return False
    for kind in ("positive", "negative"):
        mine, theirs = (part.prompts[kind][0]["model_conds"] for part in (one, other))
        if mine.keys() != theirs.keys():
            return False
        batch = {"batch_size": len(one.x), "area": None}
        pairs = [(mine[key].process_cond(**batch), theirs[key].process_cond(**batch)) for key in mine]
        if not all(a.can_concat(b) for a, b in pairs):
            return False
    return True


def _has_memory(group: Sequence[Part]) -> bool:
    model, shape = group[0].node.model.model, list(group[0].x.shape)
    needed = model.memory_required([len(group) * shape[0], *shape[1:]])
    return needed * 1.5 < model.current_patcher.get_free_memory(group[0].x.device)


def _joined(group: Sequence[Part], kind: str) -> dict:
    """One conditioning whose rows are the batches of all parts, one after another."""
    entries = [part.prompts[kind][0] for part in group]
    joined = {}
    for key in entries[0]["model_conds"]:
        first, *rest = (
            entry["model_conds"][key].process_cond(batch_size=len(part.x), area=None)
            for entry, part in zip(entries, group, strict=True)
        )
        joined[key] = type(first)(first.concat(rest))
    return {**entries[0], "model_conds": joined}


class _Stack:
    """Adds to each variable's rows of the UNet's batch what its own factor gives for them."""

    def __init__(self, wrappers: Sequence[FactorWrapper | None], seen: Sequence[Mapping[str, torch.Tensor]]):
        self.wrappers, self.seen = wrappers, seen

    def __call__(self, executor, x, timesteps, context=None, y=None, control=None, transformer_options=None, **kwargs):
        options = {} if transformer_options is None else transformer_options
        chunks = len(options.get("cond_or_uncond") or (0,))

        def split(value: torch.Tensor) -> torch.Tensor:  # chunks (with and without the prompt) x variables x batch
            return value.unflatten(0, (chunks, len(self.wrappers), -1))

        features: dict[int, torch.Tensor] = {}
        for k, (wrapper, seen) in enumerate(zip(self.wrappers, self.seen, strict=True)):
            if wrapper is None:
                continue
            own = [None if value is None else split(value)[:, k].flatten(0, 1) for value in (x, timesteps, y)]
            found = wrapper.features(executor.class_obj, *own, {**options, PARENTS: seen})
            for block, feature in found.items():
                whole = features.setdefault(block, feature.new_zeros(len(x), *feature.shape[1:]))
                split(whole)[:, k] = feature.unflatten(0, (chunks, -1))
        return executor(x, timesteps, context, y, control, with_features(options, features), **kwargs)
