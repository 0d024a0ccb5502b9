"""Factor graphs that cannot be sampled are refused by name, before anything runs."""

from __future__ import annotations

import pytest
import torch

BAD = {
    "twice": (lambda s, f: s.graph(s.variable("a"), s.variable("a")), ["'a'", "twice"]),
    "nothing sampled": (lambda s, f: s.graph(s.graphs.Given("a", torch.zeros(1, 12, 8, 8))), ["samples nothing"]),
    "missing parent": (lambda s, f: s.graph(s.variable("depth", factor=f)), ["'depth'", "'segmentation'"]),
    "batches": (lambda s, f: s.graph(s.variable("a"), s.variable("b", batch=2)), ["a 1", "b 2"]),
    "loras": (
        lambda s, f: s.graph(s.variable("a"), s.variable("b", model=s.tiny.apply(s.tiny.load()))),
        ["'a'", "'b'", "different LoRAs"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_graphs_are_refused_by_name(setup, depth, name):
    build, words = BAD[name]
    with pytest.raises(ValueError) as error:
        setup.run(build(setup, depth))
    for word in words:
        assert word in str(error.value)


SEEN = {
    "a sampled map in a picture": ("sampled", "picture", True),
    "a given latent in a picture": ("latent", "picture", True),
    "a given image in a picture": ("image", "picture", False),
    "a given image in a factor": ("image", "factor", True),
    "a given latent in a factor": ("latent", "factor", False),
    "a sampled map in a factor": ("sampled", "factor", False),
    "a given image in both": ("image", "both", True),
}


@pytest.mark.parametrize("mode", ["joint", "sequential"])
@pytest.mark.parametrize("name", SEEN)
def test_a_vae_is_asked_for_where_one_is_needed(tiny, factor, depth, net, setup, mode, name):
    parent, child, needed = SEEN[name]
    given = {"latent": {"samples": torch.zeros(1, 12, 8, 8)}, "image": {"image": torch.zeros(1, 64, 64, 3)}}
    first = (
        setup.graphs.Given("segmentation", **given[parent])
        if parent in given
        else setup.variable("segmentation", factor=factor)
    )
    controls = () if child == "factor" else (setup.graphs.Control(net, "segmentation"),)
    second = setup.variable("depth", factor=None if child == "picture" else depth, controls=controls)

    def guider():
        return setup.joint.make_guider(
            setup.graph(first, second), None, setup.joint.Mode(mode), setup.joint.GraphSettings()
        )

    if needed:
        with pytest.raises(setup.joint.GraphError, match="'depth' is to see 'segmentation', which needs a VAE"):
            guider()
    else:
        guider()
