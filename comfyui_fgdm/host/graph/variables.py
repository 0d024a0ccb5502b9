"""Factor graphs as the nodes build them: which model, prompt, seed and start each variable has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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

    def __post_init__(self) -> None:
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise GraphError(
                f"start_percent {self.start:g} and end_percent {self.end:g}: give 0 <= start <= end <= 1, for example 0 and 1 "
                "for all steps."
            )


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
    """A variable that is known: as LATENT samples (for factors), as IMAGE (for control nets), or both.

    latent: the whole LATENT that the samples come from, with its mask and whatever else it holds.
    """

    name: str
    samples: torch.Tensor | None = None
    image: torch.Tensor | None = None
    latent: Mapping[str, Any] = field(default_factory=dict)
    parents = ()

    def __post_init__(self) -> None:
        image = self.image
        if image is not None and (image.ndim != 4 or image.shape[-1] not in (3, 4)):
            raise GraphError(
                f"image: expected pictures in colour (batch, height, width, 3), got shape {list(image.shape)}. Connect an IMAGE "
                "such as Load Image gives; convert a MASK with Convert Mask to Image."
            )


Node = Sampled | Given


@dataclass(frozen=True)
class Graph:
    """Variables in the order they were added. Graphs are values: adding one gives another graph."""

    nodes: tuple[Node, ...] = ()

    def add(self, node: Node) -> Graph:
        return replace(self, nodes=(*self.nodes, node))

    def link(self, name: str, control: Control) -> Graph:
        """The graph with one more control net on a sampled variable. GraphError if there is none of that name."""
        node = self.find(name, "variable")
        if isinstance(node, Given):
            raise GraphError(
                f"variable: {name!r} is given, not sampled, so nothing acts on it. Write the name of a sampled variable here, "
                "and what it is shown in 'shows'."
            )
        linked = replace(node, controls=(*node.controls, control))
        return replace(self, nodes=tuple(linked if n is node else n for n in self.nodes))

    def __getitem__(self, name: str) -> Node:
        return self.find(name)

    def find(self, name: str, asked_by: str = "") -> Node:
        """The variable of that name. GraphError if there is none. asked_by: the input that the name comes from."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(repr(node.name) for node in self.nodes) or "none"
        where = f"{asked_by}: " if asked_by else ""
        raise GraphError(
            f"{where}there is no variable {name!r} in the graph; it has: {known}. Write one of these names."
        )

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
            starts = {node.name: node.samples, **{n.name: n.samples for n in nodes if n.name in node.reads}}
            for name, samples in starts.items():
                _check_channels(node, name, samples)
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


def _check_channels(node: Sampled, name: str, samples: torch.Tensor | None) -> None:
    channels = node.model.get_model_object("latent_format").latent_channels
    if samples is not None and samples.shape[1] != channels:
        raise GraphError(
            f"variable {name!r}: latent: it has {samples.shape[1]} channels, but the model of {node.name!r} samples {channels}. "
            "Encode it with the VAE of that model, or start from an Empty Latent Image."
        )


def pack(parts: Sequence[torch.Tensor]) -> Any:
    """Tensors of several variables as core keeps them together; one alone stays as it is."""
    return parts[0] if len(parts) == 1 else comfy.nested_tensor.NestedTensor(parts)


def unpack(value: Any) -> list[torch.Tensor]:
    return list(value.tensors) if value.is_nested else [value]


def start_latent(graph: Graph) -> dict:
    """LATENT with the starts (and masks) of all sampled variables, parents first."""
    nodes = graph.sampled()
    latent = {"samples": pack([node.samples for node in nodes])}
    if any("noise_mask" in node.latent for node in nodes):
        latent["noise_mask"] = pack([node.latent.get("noise_mask", torch.ones(1, 1, 8, 8)) for node in nodes])
    return latent


class _NoiseOfGraph(comfy.nested_tensor.NestedTensor):
    """The noise of several variables, which core's own guiders would take for that of one model with several outputs."""

    def unbind(self):
        raise GraphError(
            f"guider: this is the noise of a graph of {len(self.tensors)} variables, which another guider cannot use. Connect "
            "guider, noise and latent of one and the same Graph Guider to the sampler."
        )


class GraphNoise:
    """NOISE for a graph: each variable has the noise that core's KSampler makes of its own seed."""

    def __init__(self, graph: Graph):
        self.nodes = graph.sampled()
        self.seed = self.nodes[-1].seed

    def generate_noise(self, latent: dict) -> Any:
        checked(self.nodes, latent["samples"])
        parts = [comfy.sample.prepare_noise(n.samples, n.seed, n.latent.get("batch_index")) for n in self.nodes]
        return parts[0] if len(parts) == 1 else _NoiseOfGraph(parts)


def checked(nodes: Sequence[Sampled], latent: Any, noise: Any = None) -> Any:
    """The noise, as core packs it, if latent and noise that came to a sampler are for these variables; else GraphError."""
    expected = [tuple(node.samples.shape) for node in nodes]
    what = f"a graph that samples {', '.join(repr(node.name) for node in nodes)}"
    remedy = "Connect guider, noise and latent of one and the same Graph Guider to the sampler."
    found = [tuple(part.shape) for part in unpack(latent)]
    if len(found) != len(expected) or (noise is None and found != expected):
        raise GraphError(f"latent_image: {_shapes(found)} is not the latent of {what}, {_shapes(expected)}. {remedy}")
    if noise is not None and [tuple(part.shape) for part in unpack(noise)] != found:
        got = _shapes([tuple(part.shape) for part in unpack(noise)])
        raise GraphError(f"noise: {got} is not the noise of {what}, {_shapes(found)}. {remedy}")
    return None if noise is None else pack(unpack(noise))


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def needs_run(graph: Graph, name: str) -> bool:
    """Whether the latent of a variable is known only after a run. GraphError if there is none of that name."""
    return isinstance(graph.find(name, "variable"), Sampled)


def result(latent: dict | None, graph: Graph, name: str) -> dict:
    """LATENT of one variable out of the LATENT that a run of the graph gave: with the mask, batch numbers and all else that
    its start had, as core's samplers pass them on. latent: not needed for a given variable."""
    node = graph.find(name, "variable")
    if isinstance(node, Given):
        if node.samples is None:
            raise GraphError(
                f"variable: {name!r} was given as a picture and has no latent. Use the picture, or VAE Encode it."
            )
        return {**node.latent, "samples": node.samples}
    nodes = graph.sampled()
    names = [n.name for n in nodes]
    parts = [] if latent is None else unpack(latent["samples"])
    if len(parts) != len(names):
        raise GraphError(
            f"latent: it holds {len(parts)} variables, the graph samples {len(names)}: {', '.join(names)}. Connect the output "
            "of the sampler that ran this graph."
        )
    kept = {key: value for key, value in node.latent.items() if not key.startswith("downscale_ratio")}
    return {**kept, "samples": parts[names.index(name)]}
