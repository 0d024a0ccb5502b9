"""The guider that samples the variables of a factor graph one after another."""

from __future__ import annotations

from functools import partial

import comfy.samplers
import torch

from ..models.apply import apply_factor
from ..progress import GraphProgress
from .hints import Hint, Pictures, given_latent, with_hints
from .variables import Graph, Sampled, checked, pack, unpack


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
        noise = checked(self.nodes, latent_image, noise)
        starts, noises = unpack(latent_image), unpack(noise)
        masks = unpack(denoise_mask) if denoise_mask is not None else [None] * len(starts)
        schedules = [self._schedule(node, sigmas) for node in self.nodes]
        total = sum(max(0, len(schedule) - 1) for schedule in schedules)
        progress = GraphProgress([node.model for node in self.nodes], callback)
        values: dict[str, torch.Tensor] = {}
        pictures = Pictures(self.graph, self.vae, in_the_making=False)
        # What core is told of each variable so far, as its model scales latents: where it starts, then its last x0.
        shown = [_scaled_in(node, start) for node, start in zip(self.nodes, starts, strict=True)]
        before = 0
        for k, node in enumerate(self.nodes):
            guider = comfy.samplers.CFGGuider(self._model(node, values))
            hints = [Hint(control) for control in node.controls]
            size = tuple(starts[k].shape[-2:])
            guider.set_conds(with_hints(node.positive, hints, size), with_hints(node.negative, hints, size))
            for hint in hints:
                pictures.show(hint, partial(values.get, hint.parent) if hint.parent in values else None)
            guider.set_cfg(node.cfg)

            def step(number, x0, x, _total, k=k, before=before):
                shown[k] = x0
                progress.step(before + number, pack([part.to(x0.device) for part in shown]), x, total)

            values[node.name] = guider.sample(
                noises[k], starts[k], node.sampler or sampler, schedules[k], masks[k], step, disable_pbar, node.seed
            ).to(starts[k].dtype)  # fmt: skip
            before += max(0, len(schedules[k]) - 1)
        return pack(list(values.values()))

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
            name: values[name] if name in values else given_latent(self.graph[name], self.vae) for name in node.reads
        }
        return apply_factor(node.model, node.factor, node.strength, parents=parents)


def _scaled_in(node: Sampled, start: torch.Tensor) -> torch.Tensor:
    """A start as the model scales latents; an empty one stays empty, as in core."""
    return node.model.model.process_latent_in(start) if torch.count_nonzero(start) else start
