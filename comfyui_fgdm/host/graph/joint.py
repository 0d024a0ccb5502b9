"""The guider that samples all variables of a factor graph together, step by step; and which guider a graph gets."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from typing import Any

import comfy.hooks
import comfy.model_management
import comfy.samplers
import torch

from ...sampling.graph import GraphError, Mode, View
from ..models.apply import apply_factor
from ..progress import GraphProgress
from .halves import of_graph, take
from .hints import check_colours
from .run import JointRun
from .sequential import SequentialGuider
from .variables import Given, Graph, Sampled, checked, pack, unpack

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GraphSettings:
    """view: what a factor sees of a parent in the making (joint runs). refresh: a control net sees its parent's predicted
    x0, decoded anew every so many steps (joint runs)."""

    view: View = View.NEXT
    refresh: int = 1


class GraphGuider(comfy.samplers.CFGGuider):
    """GUIDER that samples all variables of a graph in one run of any sampler.

    Each variable is sampled by a run of core's own guider, with the MODEL it was given (its patches, wrappers, hooks and
    sampling), its mask and its seed; these runs advance in turn, so that every evaluation of a variable finds what its
    parents have just become (`run.JointRun`). A variable without parents is therefore what KSampler makes of it.
    """

    def __init__(self, graph: Graph, vae, settings: GraphSettings = GraphSettings()):
        self.graph, self.vae, self.settings = graph, vae, settings
        self.nodes = graph.sampled()
        _check_weights(self.nodes)
        self.models = _with_factors(self.nodes)
        super().__init__(self.models[self.nodes[0].name])
        self.cfg = self.nodes[-1].cfg

    def sample(
        self, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None
    ):  # fmt: skip
        """Latents of all variables, parents first, packed as core packs several; seed is not used: each has its own."""
        if len(sigmas) == 0:
            return latent_image
        noise = checked(self.nodes, latent_image, noise)
        progress = GraphProgress([node.model for node in self.nodes], callback)
        try:
            return self._run(noise, latent_image, sampler, sigmas, denoise_mask, progress.step, disable_pbar)
        except Exception as error:
            batch = len(unpack(latent_image)[0])
            if batch == 1 or not comfy.model_management.is_oom(error):
                raise
        # Outside the handler, whose exception keeps the tensors of the failed try alive.
        comfy.model_management.soft_empty_cache()
        log.warning("FGDM: no memory for a graph of batch %d; going on with two halves.", batch)
        halves = [slice(None, batch // 2), slice(batch // 2, None)]
        parts = [
            GraphGuider(of_graph(self.graph, half, batch), self.vae, self.settings).sample(
                take(noise, half, batch), take(latent_image, half, batch), sampler, sigmas,
                None if denoise_mask is None else take(denoise_mask, half, batch), callback, disable_pbar, seed,
            )
            for half in halves
        ]  # fmt: skip
        return pack([torch.cat(both) for both in zip(*map(unpack, parts), strict=True)])

    def _run(self, noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar):
        masks = unpack(denoise_mask) if denoise_mask is not None else [None] * len(self.nodes)
        run = JointRun(self.graph, self.nodes, self.models, self.vae, self.settings.view, self.settings.refresh, sigmas)
        return pack(run.sample(unpack(noise), unpack(latent_image), masks, sampler, callback, disable_pbar))


def _check_weights(nodes: tuple[Sampled, ...]) -> None:
    """GraphError for variables that share one base and want it with different weights at the same time."""
    ways = "load the checkpoint a second time, or sample sequentially"
    for one, other in itertools.combinations(nodes, 2):
        if one.model.model is not other.model.model:
            continue
        if one.model.patches_uuid != other.model.patches_uuid or (
            one.model.weight_wrapper_patches != other.model.weight_wrapper_patches
        ):
            raise GraphError(
                f"variables {one.name!r} and {other.name!r} use one base model with different LoRAs, which cannot be "
                f"loaded at once: connect both to the same LoRAs (the very same nodes), {ways}"
            )
        for node in (one, other):
            if _weight_hooks(node):
                raise GraphError(
                    f"variable {node.name!r} has a prompt with hooks that change the weights over the steps, and shares its "
                    f"base model with {(other if node is one else one).name!r}: take the hooks off, {ways}"
                )


def _weight_hooks(node: Sampled) -> bool:
    found = (options.get("hooks") for conditioning in (node.positive, node.negative) for _, options in conditioning)
    return any(hooks is not None and hooks.get_type(comfy.hooks.EnumHookType.Weight) for hooks in found)


def _with_factors(nodes: tuple[Sampled, ...]) -> dict[str, Any]:
    """A clone of each variable's MODEL, with its factor. Low-rank changes of a base that others use, too, are added at
    each call, not to the loaded weights."""
    shared = [sum(other.model.model is node.model.model for other in nodes) > 1 for node in nodes]
    return {
        node.name: node.model.clone()
        if node.factor is None
        else apply_factor(node.model, node.factor, node.strength, on_the_fly=on_the_fly)
        for node, on_the_fly in zip(nodes, shared, strict=True)
    }


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
