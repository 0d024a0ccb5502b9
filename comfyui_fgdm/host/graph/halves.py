"""Parts of the batch of a graph, for a device that has no memory for all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.utils
import torch

from .variables import Given, Graph, Node, pack, unpack


def take(value: Any, part: slice, batch: int) -> Any:
    """A part of the batch of every tensor in a pack. What there is one of for all items (a mask) stays whole, what there is
    another number of is repeated first, as core repeats it."""
    return pack([_rows(one, part, batch) for one in unpack(value)])


def of_graph(graph: Graph, part: slice, batch: int) -> Graph:
    """The graph of a part of its batch: latents, masks, prompts, their control nets' pictures, given values and numbers of
    noise of each item stay with it."""
    return Graph(tuple(_of_node(node, part, batch) for node in graph.nodes))


def _of_node(node: Node, part: slice, batch: int) -> Node:
    if isinstance(node, Given):
        return replace(node, samples=_rows(node.samples, part, batch), image=_rows(node.image, part, batch))
    latent = {
        **node.latent,
        "samples": node.latent["samples"][part],
        "batch_index": list(node.latent.get("batch_index", range(batch)))[part],
    }
    if "noise_mask" in latent:
        latent["noise_mask"] = _rows(latent["noise_mask"], part, batch)
    nets: dict[int, Any] = {}
    positive, negative = (_prompts(prompt, part, batch, nets) for prompt in (node.positive, node.negative))
    return replace(node, latent=latent, positive=positive, negative=negative)


def _prompts(conditioning: list, part: slice, batch: int, nets: dict[int, Any]) -> list:
    out = []
    for embedding, options in conditioning:
        # Entries of other packs may mean anything: only what there is exactly one of an item is taken apart.
        options = {
            key: value[part] if isinstance(value, torch.Tensor) and value.ndim > 1 and len(value) == batch else value
            for key, value in options.items()
        }
        if options.get("control"):
            options["control"] = _net(options["control"], part, batch, nets)
        out.append([_rows(embedding, part, batch), options])
    return out


def _net(net: Any, part: slice, batch: int, made: dict[int, Any]) -> Any:
    """A copy of a control net, and of those before it, with the pictures of these items. made: copies so far."""
    if net is None:
        return None
    if id(net) not in made:
        copy = made[id(net)] = net.copy()
        copy.cond_hint_original = _rows(net.cond_hint_original, part, batch)
        copy.set_previous_controlnet(_net(net.previous_controlnet, part, batch, made))
    return made[id(net)]


def _rows(value: Any, part: slice, batch: int) -> Any:
    if value is None or value.ndim < 3 or len(value) == 1:  # a mask of height x width is one for all
        return value
    return comfy.utils.repeat_to_batch_size(value, batch)[part]
