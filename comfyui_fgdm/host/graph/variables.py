"""Factor graphs as the nodes build them: which model, prompt, seed and start each variable has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.nested_tensor
import comfy.sample
import torch

from ...maps.conversion import Shown
from ...sampling.graph import GraphError, Variable, order
from ..models.apply import FactorMismatchError, check_fit, check_plain
from ..models.factor import Factor


@dataclass(frozen=True)
class Control:
    """A control net on a variable: it shows the variable `parent` (or what is given for it) to the model. shown: in which
    colours, for maps with classes."""

    net: Any
    parent: str
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    shown: Shown = Shown.AS_DRAWN


@dataclass(frozen=True)
class Sampled:
    """A variable that is sampled.

    model: the plain MODEL; factor: of a condition, None for the image. latent: where it starts, a LATENT with its size,
    batch and perhaps a mask; denoise: 1 from noise alone, less keeps that much of the latent (0..1). sampler, sigmas: of
    this variable alone, in sequential runs; None: those of the run.
    """

    name: str
    model: Any
    positive: Any
    negative: Any
    cfg: float
    latent: dict
    seed: int
    factor: Factor | None = None
    strength: float = 1.0
    controls: tuple[Control, ...] = ()
    denoise: float = 1.0
    sampler: Any = None
    sigmas: torch.Tensor | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Variables whose latents its factor reads."""
        return self.factor.info.parents if self.factor else ()

    @property
    def parents(self) -> tuple[str, ...]:
        """Variables that it depends on: those it reads, and those that control nets show it."""
        return tuple(dict.fromkeys((*self.reads, *(control.parent for control in self.controls))))

    @property
    def samples(self) -> torch.Tensor:
        """Where it starts, B x C x h x w; an empty latent gets the model's channels."""
        latent = self.latent
        return comfy.sample.fix_empty_latent_channels(
            self.model, latent["samples"], latent.get("downscale_ratio_spacial"), latent.get("downscale_ratio_temporal")
        )


@dataclass(frozen=True)
class Given:
    """A variable that is known: as LATENT samples (for factors), as IMAGE (for control nets), or both."""

    name: str
    samples: torch.Tensor | None = None
    image: torch.Tensor | None = None
    parents = ()


Node = Sampled | Given


@dataclass(frozen=True)
class Graph:
    """Variables in the order they were added. Graphs are values: adding one gives another graph."""

    nodes: tuple[Node, ...] = ()

    def add(self, node: Node) -> Graph:
        return replace(self, nodes=(*self.nodes, node))

    def change(self, name: str, **fields) -> Graph:
        """The graph with other fields of one sampled variable. GraphError if there is none of that name."""
        if isinstance(self[name], Given):
            raise GraphError(f"variable {name!r} is given, not sampled: nothing acts on it")
        return replace(self, nodes=tuple(replace(n, **fields) if n.name == name else n for n in self.nodes))

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(repr(node.name) for node in self.nodes) or "none"
        raise GraphError(f"there is no variable {name!r} in the graph; it has: {known}")

    def ordered(self) -> tuple[Node, ...]:
        """All variables, parents first. GraphError for what is no graph or cannot be sampled as one."""
        variables = [Variable(n.name, n.parents, isinstance(n, Given)) for n in self.nodes]
        nodes = tuple(self[name] for name in order(variables))
        sampled = [n for n in nodes if isinstance(n, Sampled)]
        if not sampled:
            raise GraphError("the graph samples nothing: add a variable that is not given")
        for node in sampled:
            if node.factor is not None:
                _check_factor(node)
        batches = {n.name: len(n.samples) for n in sampled}
        if len(set(batches.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in batches.items())
            raise GraphError(f"the variables of a graph have different batch sizes ({said}): give all the same")
        return nodes

    def sampled(self) -> tuple[Sampled, ...]:
        return tuple(node for node in self.ordered() if isinstance(node, Sampled))


def _check_factor(node: Sampled) -> None:
    try:
        check_plain(node.model, "a variable of a graph")
        check_fit(node.model, node.factor)
    except FactorMismatchError as error:
        raise GraphError(f"variable {node.name!r}: {error}") from None


def pack(parts: Sequence[torch.Tensor]) -> Any:
    """Tensors of several variables as core keeps them together; one alone stays as it is."""
    return parts[0] if len(parts) == 1 else comfy.nested_tensor.NestedTensor(parts)


def unpack(value: Any) -> list[torch.Tensor]:
    return list(value.unbind()) if value.is_nested else [value]


def start_latent(graph: Graph) -> dict:
    """LATENT with the starts (and masks) of all sampled variables, parents first."""
    nodes = graph.sampled()
    latent = {"samples": pack([node.samples for node in nodes])}
    if any("noise_mask" in node.latent for node in nodes):
        latent["noise_mask"] = pack([node.latent.get("noise_mask", torch.ones(1, 1, 8, 8)) for node in nodes])
    return latent


class GraphNoise:
    """NOISE for a graph: each variable has the noise that core's KSampler makes of its own seed."""

    def __init__(self, graph: Graph):
        self.nodes = graph.sampled()
        self.seed = self.nodes[-1].seed

    def generate_noise(self, _latent: dict) -> Any:
        return pack([comfy.sample.prepare_noise(n.samples, n.seed, n.latent.get("batch_index")) for n in self.nodes])


def result(latent: dict, graph: Graph, name: str) -> dict:
    """LATENT of one variable out of the LATENT that a run of the graph gave."""
    node = graph[name]
    if isinstance(node, Given):
        if node.samples is None:
            raise GraphError(f"variable {name!r} was given as a picture and has no latent")
        return {"samples": node.samples}
    names = [n.name for n in graph.sampled()]
    parts = unpack(latent["samples"])
    if len(parts) != len(names):
        raise GraphError(f"the latent holds {len(parts)} variables, the graph samples {len(names)}: {', '.join(names)}")
    return {"samples": parts[names.index(name)]}
