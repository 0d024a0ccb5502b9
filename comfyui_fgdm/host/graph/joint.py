"""Guiders for factor graphs: all variables advance together, step by step, or one after another."""

from __future__ import annotations

import itertools
import logging
import math
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sampler_helpers
import comfy.samplers
import comfy.utils
import torch

from ...sampling.graph import GraphError, Mode, Variable, View, evaluate
from ..models.apply import PARENTS, apply_factor
from ..progress import GraphProgress
from . import together
from .hints import Hint, Pictures, check_colours, given_latent, with_hints
from .sequential import SequentialGuider
from .variables import Given, Graph, Sampled, checked, pack, unpack

log = logging.getLogger(__name__)

OTHERS = "fgdm_graph"


@dataclass(frozen=True)
class GraphSettings:
    """view: what a factor sees of a parent in the making (joint runs). refresh: a control net sees its parent's predicted
    x0, decoded anew every so many steps (joint runs)."""

    view: View = View.NEXT
    refresh: int = 1


class GraphGuider(comfy.samplers.CFGGuider):
    """GUIDER that samples all variables of a graph in one run of any sampler.

    The sampler sees one long latent, core's pack of several: its history is kept value by value, so each variable has its
    own. In every call the variables are evaluated parents first (`graph.evaluate`), those that do not depend on each other in
    one call of the UNet where they allow it (`together`). Models are loaded once, before the first step.
    """

    def __init__(self, graph: Graph, vae, settings: GraphSettings = GraphSettings()):
        self.graph, self.vae, self.settings = graph, vae, settings
        self.nodes = graph.sampled()
        self.given = {node.name: node for node in graph.nodes if isinstance(node, Given)}
        self.plan = [Variable(node.name, node.reads, after=node.parents) for node in self.nodes]
        self._check_weights()
        self.alone = len(self.nodes) == 1
        self.models = {node.name: self._with_factor(node) for node in self.nodes}
        self.wrappers = {
            node.name: together.factor_wrapper(self.models[node.name]) if node.factor and node.strength else None
            for node in self.nodes
        }
        super().__init__(self._loaded_together())
        self.hints: dict[str, list[Hint]] = {}
        for node in self.nodes:
            self.hints[node.name] = [Hint(control) for control in node.controls]
            for kind, conditioning in (("positive", node.positive), ("negative", node.negative)):
                hinted = with_hints(conditioning, self.hints[node.name], tuple(node.samples.shape[-2:]))
                self.inner_set_conds({f"{node.name}/{kind}": hinted})
        self.cfg = self.nodes[-1].cfg

    def _check_weights(self) -> None:
        for one, other in itertools.combinations(self.nodes, 2):
            if one.model.model is other.model.model and one.model.patches_uuid != other.model.patches_uuid:
                raise GraphError(
                    f"variables {one.name!r} and {other.name!r} use one base model with different LoRAs, which cannot be "
                    "loaded at once: give both the same LoRAs, load the checkpoint a second time, or sample sequentially"
                )

    def _with_factor(self, node: Sampled):
        if node.factor is None:
            return node.model
        return apply_factor(node.model, node.factor, node.strength, on_the_fly=not self.alone)

    def _loaded_together(self):
        """A clone of the first model that brings along all adapters, the other models and the VAE."""
        main = (self.models[self.nodes[0].name] if self.alone else self.nodes[0].model).clone()
        others: list[Any] = [] if self.alone else [one.factor.patcher for one in self.wrappers.values() if one]
        others += [node.model for node in self.nodes if node.model.model is not main.model]
        if self.vae is not None and any(node.controls for node in self.nodes):
            others.append(self.vae.patcher)
        unique = {id(model.model): model for model in others}
        main.set_additional_models(OTHERS, list(unique.values()))
        return main

    def inner_sample(
        self, noise, latent_image, device, sampler, sigmas, denoise_mask, callback, disable_pbar, seed, latent_shapes=None
    ):  # fmt: skip
        self.shapes = latent_shapes
        self.sigmas = [float(sigma) for sigma in sigmas]
        starts = [
            node.model.model.process_latent_in(part) if torch.count_nonzero(part) else part
            for node, part in zip(self.nodes, self._split(latent_image), strict=True)
        ]
        noises = self._split(noise)
        masks = self._split(denoise_mask) if denoise_mask is not None else [None] * len(self.nodes)
        self.starts = dict(zip((node.name for node in self.nodes), starts, strict=True))
        self.options, self.shared, self.prompts, self.levels, self.found = {}, {}, {}, {}, {}
        self.apart = self.alone
        for node, start, own_noise, mask in zip(self.nodes, starts, noises, masks, strict=True):
            model = self.models[node.name]
            self.options[node.name] = _options_of(model, sigmas, device)
            self.shared[node.name] = (
                self.options[node.name] if model is node.model else _options_of(node.model, sigmas, device)
            )
            prompts = {kind: self.conds[f"{node.name}/{kind}"] for kind in ("positive", "negative")}
            self.prompts[node.name] = comfy.samplers.process_conds(
                model.model, own_noise, prompts, device, start, mask, node.seed
            )
            sampling = model.get_model_object("model_sampling")
            self.levels[node.name] = sampling.percent_to_sigma(1.0 - node.denoise) if node.denoise < 1 else None
        process = self.nodes[0].model.model.process_latent_in
        self.known = {name: process(given_latent(self.graph[name], self.vae).to(device)) for name in self._wanted()}
        self.pictures = Pictures(self.graph, self.vae, in_the_making=True)
        self._show_given()
        latent_image = self._join(starts)
        extra_args = {"model_options": comfy.model_patcher.create_model_options_clone(self.model_options), "seed": seed}
        extra_args["model_options"].setdefault("transformer_options", {})["sample_sigmas"] = sigmas
        bases = {id(node.model.model) for node in self.nodes}
        others = [m for m in self.model_patcher.get_additional_models_with_key(OTHERS) if id(m.model) in bases]
        for model in others:
            model.pre_run()
        try:
            executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(
                sampler.sample,
                sampler,
                comfy.patcher_extension.get_all_wrappers(
                    comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE,
                    extra_args["model_options"],
                    is_model_options=True,
                ),
            )
            samples = executor.execute(
                self, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar
            )
        finally:
            self.pictures = None
            for hint in itertools.chain(*self.hints.values()):
                hint.forget()
            for model in others:
                model.cleanup()
            for wrapper in filter(None, self.wrappers.values()):
                wrapper.forget()
        parts = [
            node.model.model.process_latent_out(part.to(torch.float32))
            for node, part in zip(self.nodes, self._split(samples), strict=True)
        ]
        return self._join(parts)

    def _wanted(self) -> set[str]:
        """Given variables that a factor reads as latents."""
        return {name for v in self.plan for name in v.parents if name in self.given}

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 (core's signature)
        sigma = float(timestep[0])
        lower = [s for s in self.sigmas if s < sigma * (1 - 1e-5)]
        names = [node.name for node in self.nodes]
        self.found, self.unguided = {}, {}
        x0 = evaluate(
            self.plan,
            {node.name: self._denoiser(node, seed, model_options) for node in self.nodes},
            dict(zip(names, self._split(x), strict=True)),
            self.known,
            timestep,
            max(lower, default=0.0),
            self.settings.view,
            None if self.apart else lambda jobs, sigma: self._together(jobs, sigma, model_options),
        )
        if self.alone:
            return x0[names[0]]
        return self._watched(self._join([x0[name] for name in names]), x, timestep, model_options)

    def _watched(self, packed, x, timestep, model_options: dict):
        """What a sampler's own functions after the guidance (CFG++) make of the whole pack."""
        for function in self._watchers(model_options):
            unguided = self._join([self.unguided[node.name] for node in self.nodes])
            packed = function(
                {
                    "denoised": packed, "cond": None, "uncond": None, "model": self.inner_model, "sigma": timestep,
                    "uncond_denoised": unguided, "cond_denoised": packed, "model_options": model_options, "input": x,
                    "cond_scale": self.cfg,
                }
            )  # fmt: skip
        return packed

    def _watchers(self, model_options: dict) -> list:
        own = len(self.model_options.get("sampler_post_cfg_function", ()))
        return model_options.get("sampler_post_cfg_function", [])[own:]

    def _denoiser(self, node: Sampled, seed, model_options):
        def denoise(x, timestep, seen):
            comfy.model_management.throw_exception_if_processing_interrupted()
            if self._waits(node, timestep):
                self.found[node.name] = self.starts[node.name].expand_as(x)  # x stays on its start's own path
                self.unguided[node.name] = self.found[node.name]
                return self.found[node.name]
            self._refresh(node, float(timestep[0]))
            options = self._options_alone(model_options) if self.alone else self._watched_options(node, model_options)
            options = {**options, "transformer_options": {**options["transformer_options"], PARENTS: seen}}
            prompts = self.prompts[node.name]
            self.found[node.name] = comfy.samplers.sampling_function(
                node.model.model, x, timestep, prompts["negative"], prompts["positive"], node.cfg, options, seed
            )
            return self.found[node.name]

        return denoise

    def _waits(self, node: Sampled, timestep) -> bool:
        """Whether the noise is still above the level at which the variable starts (its denoise)."""
        level = self.levels[node.name]
        return level is not None and float(timestep[0]) > level * (1 + 1e-5)

    def _together(self, jobs, timestep, model_options: dict) -> dict[str, torch.Tensor]:
        """x0 of those variables that can share calls of the UNet; tried no more in this run once memory was short."""
        nodes = [
            self.graph[name] for name in jobs if not self.hints[name] and not self._waits(self.graph[name], timestep)
        ]
        watched = bool(self._watchers(model_options))
        parts = [
            together.Part(
                node, *jobs[node.name], self.prompts[node.name], self.wrappers[node.name],
                watched or not math.isclose(node.cfg, 1.0),
            )
            for node in nodes
        ]  # fmt: skip
        done: dict[str, torch.Tensor] = {}
        for group in together.groups(parts):
            comfy.model_management.throw_exception_if_processing_interrupted()
            pairs = None
            try:
                pairs = together.predict(group, timestep, self.shared[group[0].node.name])
            except Exception as error:
                if not comfy.model_management.is_oom(error):
                    raise
            if pairs is None:
                self.apart = True
                comfy.model_management.soft_empty_cache()
                log.warning("FGDM: no memory for %d variables at once; going on one by one.", len(group))
                break
            for part, (positive, negative) in zip(group, pairs, strict=True):
                node = part.node
                done[node.name] = self.found[node.name] = comfy.samplers.cfg_function(
                    node.model.model, positive, negative, node.cfg, part.x, timestep,
                    self._watched_options(node, model_options), part.prompts["positive"], part.prompts["negative"],
                )  # fmt: skip
        return done

    def _watched_options(self, node: Sampled, model_options: dict) -> dict:
        """The model options of a variable, with an eye on its unguided x0 where the sampler wants to know it."""
        options = self.options[node.name]
        if not self._watchers(model_options):
            return options
        return comfy.model_patcher.set_model_options_post_cfg_function(
            {**options}, lambda said: self._keep_unguided(node.name, said), disable_cfg1_optimization=True
        )

    def _keep_unguided(self, name: str, said: dict):
        self.unguided[name] = said["uncond_denoised"]
        return said["denoised"]

    def _options_alone(self, model_options: dict) -> dict:
        """The sampler's own model options (it may watch the guidance) with what the factor adds."""
        inner = model_options.get("transformer_options", {})
        wrappers = self.options[self.nodes[0].name]["transformer_options"]["wrappers"]
        return {**model_options, "transformer_options": {**inner, "wrappers": wrappers}}

    def _refresh(self, node: Sampled, sigma: float) -> None:
        step = sum(s > sigma * (1 + 1e-5) for s in self.sigmas)
        for hint in self.hints[node.name]:
            if hint.parent in self.given or step == hint.step or not hint.acts(sigma):
                continue
            if hint.step < 0 or step % self.settings.refresh == 0:
                hint.step = step
                self.pictures.show(hint, lambda name=hint.parent: self._latent_of(name), step)

    def _latent_of(self, name: str) -> torch.Tensor:
        """The x0 of a sampled variable in this call, as a LATENT has it."""
        return self.graph[name].model.model.process_latent_out(self.found[name].float())

    def _show_given(self) -> None:
        for hint in itertools.chain(*self.hints.values()):
            hint.forget()
            if hint.parent in self.given:
                self.pictures.show(hint)

    def _given_batch(self) -> int:
        known = [value for node in self.given.values() for value in (node.samples, node.image) if value is not None]
        return max(map(len, known), default=1)

    def _split(self, value: torch.Tensor) -> list[torch.Tensor]:
        """The latents of the variables out of the one that the sampler sees."""
        return comfy.utils.unpack_latents(value, self.shapes)

    def _join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """The reverse of `_split`."""
        return parts[0] if self.alone else comfy.utils.pack_latents(parts)[0]

    def sample(
        self, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None
    ):  # fmt: skip
        noise = checked(self.nodes, latent_image, noise)
        progress = GraphProgress([node.model for node in self.nodes], callback)
        try:
            return super().sample(
                noise, latent_image, sampler, sigmas, denoise_mask, progress.step, disable_pbar, seed
            )  # fmt: skip
        except Exception as error:
            batch = len(unpack(latent_image)[0])
            if batch == 1 or self._given_batch() > 1 or not comfy.model_management.is_oom(error):
                raise
        # Outside the handler, whose exception keeps the tensors of the failed try alive.
        comfy.model_management.soft_empty_cache()
        log.warning("FGDM: no memory for a graph of batch %d; going on with two halves.", batch)
        halves = [slice(None, batch // 2), slice(batch // 2, None)]
        parts = [
            self.sample(
                take(noise, half), take(latent_image, half), sampler, sigmas,
                None if denoise_mask is None else take(denoise_mask, half, batch), callback, disable_pbar, seed,
            )
            for half in halves
        ]  # fmt: skip
        return pack([torch.cat(both) for both in zip(*map(unpack, parts), strict=True)])


def _options_of(model, sigmas: torch.Tensor, device) -> dict:
    """The model options of a MODEL, prepared as core does for a run."""
    options = comfy.model_patcher.create_model_options_clone(model.model_options)
    inner = options.setdefault("transformer_options", {})
    inner["sample_sigmas"] = sigmas
    for kind in ("wrappers", "callbacks"):
        comfy.patcher_extension.merge_nested_dicts(inner.setdefault(kind, {}), getattr(model, kind), copy_dict1=False)
    comfy.samplers.cast_to_load_options(options, device=device, dtype=model.model_dtype())
    return options


def take(value, part: slice, batch: int = 0):
    """A part of the batch of every tensor in a pack; with `batch`, tensors of another batch (masks for all) stay whole."""
    return pack([one[part] if batch in (0, len(one)) else one for one in unpack(value)])


def _given_without(graph: Graph, name: str, field: str) -> bool:
    node = graph[name]
    return isinstance(node, Given) and getattr(node, field) is None


def make_guider(graph: Graph, vae, mode: Mode, settings: GraphSettings):
    """The GUIDER of a graph. GraphError for what is no graph, or cannot be sampled in this mode."""
    check_colours(graph)
    for node in graph.sampled() if vae is None else ():
        encoded = [name for name in node.reads if _given_without(graph, name, "samples")]
        decoded = [
            control.parent
            for control in node.controls
            if isinstance(graph[control.parent], Sampled) or _given_without(graph, control.parent, "image")
        ]
        if blind := [*encoded, *decoded]:
            raise GraphError(f"variable {node.name!r} is to see {blind[0]!r}, which needs a VAE: connect one")
    return GraphGuider(graph, vae, settings) if mode is Mode.JOINT else SequentialGuider(graph, vae)
