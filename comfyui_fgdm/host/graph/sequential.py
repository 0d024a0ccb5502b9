"""The guider that samples the variables of a factor graph one after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import comfy.samplers
import torch

from ...sampling.graph import GraphError
from ..models.apply import apply_factor
from ..progress import GraphProgress
from .hints import Hint, Pictures, given_latent, with_hints
from .starts import Start, start_of, unmoved
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
        latents, noises = unpack(latent_image), unpack(noise)
        masks = unpack(denoise_mask) if denoise_mask is not None else [None] * len(latents)
        schedules = [sigmas if node.sigmas is None else node.sigmas for node in self.nodes]
        starts = [start_of(*each) for each in zip(self.nodes, schedules, noises, latents, strict=True)]
        self._check_finished(starts)
        total = sum(max(0, len(start.sigmas) - 1) for start in starts)
        progress = GraphProgress([node.model for node in self.nodes], callback)
        values: dict[str, torch.Tensor] = {}
        pictures = Pictures(self.graph, self.vae, in_the_making=False)
        # What core is told of each variable so far, as its model scales latents: where it starts, then its last x0.
        shown = [_scaled_in(node, start.latent) for node, start in zip(self.nodes, starts, strict=True)]
        before = 0
        for k, (node, start) in enumerate(zip(self.nodes, starts, strict=True)):
            if len(start.sigmas) < 2:
                values[node.name] = unmoved(node, start, float(schedules[k][-1]))
                continue
            guider = comfy.samplers.CFGGuider(self._model(node, values))
            hints = [Hint(control) for control in node.controls]
            size = tuple(start.latent.shape[-2:])
            guider.set_conds(with_hints(node.positive, hints, size), with_hints(node.negative, hints, size))
            for hint in hints:
                pictures.show(hint, partial(values.get, hint.parent) if hint.parent in values else None)
            guider.set_cfg(node.cfg)

            def step(number, x0, x, _total, k=k, before=before):
                shown[k] = x0
                progress.step(before + number, pack([part.to(x0.device) for part in shown]), x, total)

            values[node.name] = guider.sample(
                start.noise, start.latent, node.sampler or sampler, start.sigmas, masks[k], step, disable_pbar, node.seed
            ).to(latents[k].dtype)  # fmt: skip
            before += len(start.sigmas) - 1
        return pack(list(values.values()))

    def _check_finished(self, starts: Sequence[Start]) -> None:
        """GraphError for a variable that is to be shown to another one, but is not sampled to its end in this run."""
        ends = {node.name: start.sigmas for node, start in zip(self.nodes, starts, strict=True)}
        for node in self.nodes:
            for parent in node.parents:
                if len(ends.get(parent, ())) and float(ends[parent][-1]) > 0:
                    raise GraphError(
                        f"variable {parent!r} would be shown half done to {node.name!r}, as the schedule ends at a noise level "
                        f"of {float(ends[parent][-1]):.3g}: give the whole schedule, not a part of it, or choose the mode joint"
                    )

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
