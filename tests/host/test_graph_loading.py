"""Models of a joint run are loaded once, before its first step; nothing is moved between steps."""

from __future__ import annotations

import pytest

from tools.bench_sd15 import LoadCount


@pytest.fixture
def count(tiny, monkeypatch):
    """Starts with nothing loaded; counts what the host loads for runs of its MODEL."""
    import comfy.model_management as management

    monkeypatch.setattr(management, "load_models_gpu", management.load_models_gpu)  # is put back after the test
    return LoadCount(tiny.model)


@pytest.fixture
def graph(setup, factor, depth, net, count):
    return setup.graph(
        setup.variable("segmentation", model=count.model, factor=factor),
        setup.variable("depth", model=count.model, factor=depth),
        setup.variable("image", model=count.model, controls=(setup.graphs.Control(net, "segmentation"),)),
    )


def test_a_joint_run_loads_before_its_first_step_and_moves_nothing_after_it(setup, graph, count):
    setup.run(graph)
    assert count.moves[0] >= 5, "the model, two adapters, the control net and the VAE"
    assert count.moves[1] == 0


def test_the_same_graph_one_after_another_loads_on_the_way(setup, graph, count):
    """So the count of moves above can be other than 0."""
    setup.run(graph, "sequential")
    assert 0 < count.moves[0] < 5 and count.moves[1] > 0
