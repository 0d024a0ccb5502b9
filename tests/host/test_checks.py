"""What does not belong into a socket is refused by name, in every node, before anything runs."""

from __future__ import annotations

import pytest
import torch

LINKS = {"FGDM_FACTOR", "FGDM_OBJECTS", "FGDM_GRAPH", "MODEL", "VAE", "CONDITIONING", "LATENT", "IMAGE", "CONTROL_NET",
         "SAMPLER", "SIGMAS", "CLIP"}  # fmt: skip


@pytest.fixture(scope="module")
def sockets(comfy_host):
    """(node id, its inputs) of every node of the pack."""
    ours = {name: cls for name, cls in comfy_host.nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("FGDM_")}
    return [(name, cls.GET_SCHEMA().inputs) for name, cls in ours.items()]


def refusal(host, node, **values):
    """The text of a node's refusal when it gets these inputs alone."""
    with pytest.raises(ValueError) as error:
        host.call(node, **values)
    return str(error.value)


@pytest.mark.parametrize("literal", ["text", 5, 0.5, ["3", 0, 1], {"samples": 3}, True])
def test_a_literal_in_place_of_a_link_is_refused_by_name(comfy_host, sockets, literal):
    seen = set()
    for node, inputs in sockets:
        for one in inputs:
            if one.get_io_type() in LINKS:
                seen.add(one.get_io_type())
                text = refusal(comfy_host, node, **{one.id: literal})
                assert text.startswith(f"{one.id}: expected a link that carries {one.get_io_type()}, got the"), node
                assert "Connect the output of a node" in text
    assert seen >= LINKS - {"CLIP"}


def test_numbers_that_are_none_or_out_of_range_are_refused_by_name(comfy_host, sockets):
    """A link brings any number: the host checks what is typed in only, and NaN passes that as well."""
    count = 0
    for node, inputs in sockets:
        for one in inputs:
            if one.get_io_type() not in ("INT", "FLOAT"):
                continue
            count += 1
            for value in (float("nan"), float("inf"), float("-inf")):
                assert refusal(comfy_host, node, **{one.id: value}).startswith(f"{one.id}: {value} is no finite")
            for value in (one.min - 1, one.max + 1):
                text = refusal(comfy_host, node, **{one.id: value})
                assert text.startswith(f"{one.id}: ") and "out of range; give a number from" in text
    assert count > 20


def test_a_pack_of_latents_is_refused_where_one_is_taken(comfy_host, sockets):
    import comfy.nested_tensor

    pack = {"samples": comfy.nested_tensor.NestedTensor([torch.zeros(1, 12, 8, 8), torch.zeros(1, 12, 8, 8)])}
    flat = {"samples": torch.zeros(12, 8, 8)}
    for node, inputs in sockets:
        for one in inputs:
            if one.get_io_type() == "LATENT":
                assert refusal(comfy_host, node, **{one.id: flat}).startswith(f"{one.id}: expected latents of pic")
                if node != "FGDM_GraphResult":
                    text = refusal(comfy_host, node, **{one.id: pack})
                    assert text.startswith(f"{one.id}: this latent packs 2 variables") and "Graph Result" in text
