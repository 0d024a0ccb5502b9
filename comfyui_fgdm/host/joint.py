"""Guiders for factor graphs: all variables advance together, step by step, or one after another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sampler_helpers
import comfy.samplers
import comfy.utils
import torch

from ..graph import GraphError, Variable, View, evaluate
from .apply import PARENTS, apply_factor
from .graphs import Control, Given, Graph, Sampled, pack, unpack
from .progress import GraphProgress

OTHERS = "fgdm_graph"


class Mode(str, Enum):
    """How the variables of a graph are sampled."""

    JOINT = "joint"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True)
class GraphSettings:
    """view: what a factor sees of a parent in the making (joint runs). refresh: a control net sees its parent's predicted
    x0, decoded anew every so many steps (joint runs)."""

    view: View = View.NEXT
    refresh: int = 1


class Hint:
    """The picture of a parent variable before the control nets of a child, replaced while the parent changes."""

    def __init__(self, control: Control, image: torch.Tensor):
        self.parent = control.parent
        self.net = control.net.copy()
        self.net.set_cond_hint(image.movedim(-1, 1), control.strength, (control.start, control.end))
        self.step = -1

    def show(self, image: torch.Tensor) -> None:
        """image: B x H x W x 3."""
        self.net.cond_hint_original = image.movedim(-1, 1)
        self.net.cond_hint = None


def with_hints(conditioning, hints: list[Hint]):
    """The conditioning with the nets of all hints in one chain, behind any control net it has."""
    out = []
    for embedding, options in conditioning:
        options = options.copy()
        for hint in hints:
            hint.net.set_previous_controlnet(options.get("control"))
            options["control"] = hint.net
            options["control_apply_to_uncond"] = False
        out.append([embedding, options])
    return out


class GraphGuider(comfy.samplers.CFGGuider):
    """GUIDER that samples all variables of a graph in one run of any sampler.

    The sampler sees one long latent, core's pack of several: its history is kept value by value, so each variable has its
    own. In every call the variables are evaluated parents first (`graph.evaluate`). Models are loaded once, before the
    first step.
    """

    def __init__(self, graph: Graph, vae, settings: GraphSettings = GraphSettings()):
        self.graph, self.vae, self.settings = graph, vae, settings
        self.nodes = graph.sampled()
        self.given = {node.name: node for node in graph.ordered() if isinstance(node, Given)}
        self.plan = [Variable(n.name, n.factor.info.parents if n.factor else ()) for n in self.nodes]
        self._check_weights()
        self.alone = len(self.nodes) == 1
        self.models = {node.name: self._with_factor(node) for node in self.nodes}
        super().__init__(self._loaded_together())
        self.hints: dict[str, list[Hint]] = {}
        for node in self.nodes:
            blank = torch.zeros(1, 8 * node.samples.shape[2], 8 * node.samples.shape[3], 3)
            self.hints[node.name] = [Hint(control, blank) for control in node.controls]
            for kind, conditioning in (("positive", node.positive), ("negative", node.negative)):
                self.inner_set_conds({f"{node.name}/{kind}": with_hints(conditioning, self.hints[node.name])})
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
        others: list[Any] = [] if self.alone else [node.factor.patcher for node in self.nodes if node.factor]
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
        self.sigmas = sigmas
        starts = [
            node.model.model.process_latent_in(part) if torch.count_nonzero(part) else part
            for node, part in zip(self.nodes, self._split(latent_image), strict=True)
        ]
        noises = self._split(noise)
        masks = self._split(denoise_mask) if denoise_mask is not None else [None] * len(self.nodes)
        self.starts = dict(zip((node.name for node in self.nodes), starts, strict=True))
        self.options, self.prompts, self.levels, self.found = {}, {}, {}, {}
        for node, start, own_noise, mask in zip(self.nodes, starts, noises, masks, strict=True):
            model = self.models[node.name]
            options = comfy.model_patcher.create_model_options_clone(model.model_options)
            inner = options.setdefault("transformer_options", {})
            inner["sample_sigmas"] = sigmas
            for kind in ("wrappers", "callbacks"):
                comfy.patcher_extension.merge_nested_dicts(
                    inner.setdefault(kind, {}), getattr(model, kind), copy_dict1=False
                )
            comfy.samplers.cast_to_load_options(options, device=device, dtype=model.model_dtype())
            self.options[node.name] = options
            prompts = {kind: self.conds[f"{node.name}/{kind}"] for kind in ("positive", "negative")}
            self.prompts[node.name] = comfy.samplers.process_conds(
                model.model, own_noise, prompts, device, start, mask, node.seed
            )
            sampling = model.get_model_object("model_sampling")
            self.levels[node.name] = sampling.percent_to_sigma(1.0 - node.denoise) if node.denoise < 1 else None
        process = self.nodes[0].model.model.process_latent_in
        self.known = {name: process(given_latent(self.graph[name], self.vae).to(device)) for name in self._wanted()}
        self._show_given()
        latent_image = comfy.utils.pack_latents(starts)[0] if len(starts) > 1 else starts[0]
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
            for model in others:
                model.cleanup()
        parts = [
            node.model.model.process_latent_out(part.to(torch.float32))
            for node, part in zip(self.nodes, self._split(samples), strict=True)
        ]
        return comfy.utils.pack_latents(parts)[0] if len(parts) > 1 else parts[0]

    def _wanted(self) -> set[str]:
        """Given variables that a factor reads as latents."""
        return {name for v in self.plan for name in v.parents if name in self.given}

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 (core's signature)
        if not self.alone and model_options.get("sampler_post_cfg_function"):
            raise GraphError(
                "CFG++ samplers cannot run several variables jointly: choose another sampler, or sequential"
            )
        sigma = float(timestep[0])
        lower = [float(s) for s in self.sigmas if float(s) < sigma * (1 - 1e-5)]
        names = [node.name for node in self.nodes]
        self.found = {}
        x0 = evaluate(
            self.plan,
            {node.name: self._denoiser(node, seed, model_options) for node in self.nodes},
            dict(zip(names, self._split(x), strict=True)),
            self.known,
            timestep,
            max(lower, default=0.0),
            self.settings.view,
        )
        parts = [x0[name] for name in names]
        return comfy.utils.pack_latents(parts)[0] if len(parts) > 1 else parts[0]

    def _denoiser(self, node: Sampled, seed, model_options):
        def denoise(x, timestep, seen):
            comfy.model_management.throw_exception_if_processing_interrupted()
            level = self.levels[node.name]
            if level is not None and float(timestep[0]) > level * (1 + 1e-5):
                self.found[node.name] = self.starts[node.name].expand_as(x)  # x stays on its start's own path
                return self.found[node.name]
            self._refresh(node, float(timestep[0]))
            options = self._options_alone(model_options) if self.alone else self.options[node.name]
            options = {**options, "transformer_options": {**options["transformer_options"], PARENTS: seen}}
            prompts = self.prompts[node.name]
            self.found[node.name] = comfy.samplers.sampling_function(
                node.model.model, x, timestep, prompts["negative"], prompts["positive"], node.cfg, options, seed
            )
            return self.found[node.name]

        return denoise

    def _options_alone(self, model_options: dict) -> dict:
        """The sampler's own model options (it may watch the guidance) with what the factor adds."""
        inner = model_options.get("transformer_options", {})
        wrappers = self.options[self.nodes[0].name]["transformer_options"]["wrappers"]
        return {**model_options, "transformer_options": {**inner, "wrappers": wrappers}}

    def _refresh(self, node: Sampled, sigma: float) -> None:
        step = sum(float(s) > sigma * (1 + 1e-5) for s in self.sigmas)
        for hint in self.hints[node.name]:
            if hint.parent in self.given or step == hint.step or (hint.step >= 0 and step % self.settings.refresh):
                continue
            hint.step = step
            parent = self.graph[hint.parent].model.model
            hint.show(self.vae.decode(parent.process_latent_out(self.found[hint.parent].float())))

    def _show_given(self) -> None:
        for hints in self.hints.values():
            for hint in hints:
                hint.step = -1
                if hint.parent in self.given:
                    hint.show(given_picture(self.graph[hint.parent], self.vae))

    def _split(self, value: torch.Tensor) -> list[torch.Tensor]:
        return comfy.utils.unpack_latents(value, self.shapes)

    def sample(
        self, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None
    ):  # fmt: skip
        progress = GraphProgress(self.nodes[0].model, callback)
        return super().sample(
            noise, latent_image, sampler, sigmas, denoise_mask, progress.step, disable_pbar, seed
        )  # fmt: skip


class SequentialGuider(comfy.samplers.CFGGuider):
    """GUIDER that samples the variables of a graph one after another, each by a run of its own.

    A variable may have a sampler and sigmas of its own; the others use those of the run.
    """

    def __init__(self, graph: Graph, vae):
        self.graph, self.vae, self.nodes = graph, vae, graph.sampled()
        super().__init__(self.nodes[0].model)
        self.cfg = self.nodes[-1].cfg

    def sample(
        self, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None
    ):  # fmt: skip
        starts, noises = unpack(latent_image), unpack(noise)
        masks = unpack(denoise_mask) if denoise_mask is not None else [None] * len(starts)
        schedules = [self._schedule(node, sigmas) for node in self.nodes]
        total = sum(max(0, len(schedule) - 1) for schedule in schedules)
        progress = GraphProgress(self.nodes[0].model, callback)
        values: dict[str, torch.Tensor] = {}
        done: list[torch.Tensor] = [torch.zeros_like(start) for start in starts]
        before = 0
        for k, node in enumerate(self.nodes):
            guider = comfy.samplers.CFGGuider(self._model(node, values))
            hints = [Hint(control, self._picture(control.parent, values)) for control in node.controls]
            guider.set_conds(with_hints(node.positive, hints), with_hints(node.negative, hints))
            guider.set_cfg(node.cfg)

            def step(number, x0, x, _total, k=k, before=before):
                progress.step(before + number, pack([*done[:k], x0, *done[k + 1 :]]), x, total)

            done[k] = guider.sample(
                noises[k], starts[k], node.sampler or sampler, schedules[k], masks[k], step, disable_pbar, node.seed
            ).to(starts[k].dtype)  # fmt: skip
            values[node.name] = done[k]
            before += max(0, len(schedules[k]) - 1)
        return pack(done)

    def _schedule(self, node: Sampled, sigmas: torch.Tensor) -> torch.Tensor:
        own = sigmas if node.sigmas is None else node.sigmas
        if node.denoise >= 1.0:
            return own
        level = node.model.get_model_object("model_sampling").percent_to_sigma(1.0 - node.denoise)
        return own[own <= level * (1 + 1e-5)]

    def _model(self, node: Sampled, values: dict[str, torch.Tensor]):
        if node.factor is None:
            return node.model
        parents = {
            name: values[name] if name in values else given_latent(self.graph[name], self.vae)
            for name in node.factor.info.parents
        }
        return apply_factor(node.model, node.factor, node.strength, parents=parents)

    def _picture(self, name: str, values: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.vae.decode(values[name]) if name in values else given_picture(self.graph[name], self.vae)


def given_latent(node, vae) -> torch.Tensor:
    return node.samples if node.samples is not None else vae.encode(node.image[..., :3])


def given_picture(node, vae) -> torch.Tensor:
    return node.image if node.image is not None else vae.decode(node.samples)


def make_guider(graph: Graph, vae, mode: Mode, settings: GraphSettings):
    """The GUIDER of a graph. GraphError for what is no graph, or cannot be sampled in this mode."""
    if vae is None:
        for node in graph.sampled():
            shown = {control.parent for control in node.controls}
            read = set(node.parents) - shown
            for name in node.parents:
                parent = graph[name]
                known = isinstance(parent, Given)
                if (name in shown and not (known and parent.image is not None)) or (
                    name in read and known and parent.samples is None
                ):
                    raise GraphError(f"variable {node.name!r} is to see {name!r}, which needs a VAE: connect one")
    return GraphGuider(graph, vae, settings) if mode is Mode.JOINT else SequentialGuider(graph, vae)
