"""Parts of the batch of a graph, for a device that has no memory for all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from .variables import Given, Graph, Node, pack, unpack


def take(value: Any, part: slice, batch: int = 0) -> Any:
    """A part of the batch of every tensor in a pack; with `batch`, tensors of another batch (masks for all) stay whole."""
    return pack([one[part] if batch in (0, len(one)) else one for one in unpack(value)])


def of_graph(graph: Graph, part: slice, batch: int) -> Graph:
    """The graph of a part of its batch: latents, masks, prompts and given values of each item stay with it; what there is
    one of for all items stays whole."""
    return Graph(tuple(_of_node(node, part, batch) for node in graph.nodes))


def _of_node(node: Node, part: slice, batch: int) -> Node:
    if isinstance(node, Given):
        return replace(node, samples=_rows(node.samples, part, batch), image=_rows(node.image, part, batch))
    index = node.latent.get("batch_index")
    latent = {key: _rows(value, part, batch) for key, value in node.latent.items()}
    if index is not None:
        latent["batch_index"] = list(index)[part]
    return replace(
        node,
        latent=latent,
        positive=_prompts(node.positive, part, batch),
        negative=_prompts(node.negative, part, batch),
    )


def _prompts(conditioning: list, part: slice, batch: int) -> list:
    return [
        [_rows(embedding, part, batch), {key: _rows(value, part, batch) for key, value in options.items()}]
        for embedding, options in conditioning
    ]


def _rows(value: Any, part: slice, batch: int) -> Any:
    if isinstance(value, torch.Tensor) and value.ndim > 1 and len(value) == batch:
        return value[part]
    return value
