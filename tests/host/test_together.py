"""Variables that do not depend on each other share calls of the UNet where they allow it, and are then what they are alone."""

from __future__ import annotations

import pytest
import torch

STEPS = 2


@pytest.fixture(scope="module")
def factors(tiny, make_factor):
    """Factors with random weights and no low-rank changes: of both kinds, without parents and below the segmentation."""

    def make(variable, kind, parents=(), **fields):
        name = make_factor(f"{variable}-{kind}.safetensors", kind, variable=variable, parents=list(parents), **fields)
        return tiny.load(name)

    return {
        "segmentation": make("segmentation", "adapter"),
        "sketch": make("sketch", "time_adapter", palette=None),
        "depth": make("depth", "time_adapter", ["segmentation"], palette=None, null_condition=True),
        "normal": make("normal", "adapter", ["segmentation"], palette=None),
    }


@pytest.fixture
def watch(tiny):
    """(a MODEL, the batch sizes of its UNet calls): seen from inside the UNet, so that nothing is attached to the MODEL."""
    sizes: list[int] = []
    hook = tiny.unet.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    yield tiny.model, lambda: list(sizes)
    hook.remove()


def close(a, b):
    torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("cfg", [(1.0, 1.0), (3.0, 5.0), (1.0, 4.0)])
def test_two_variables_of_one_model_take_one_call_a_step(factors, setup, watch, batch, cfg):
    model, sizes = watch
    nodes = [
        setup.variable(name, factor=factors[name], model=model, seed=k, batch=batch, text=text, cfg=scale)
        for k, (name, text, scale) in enumerate(zip(factors, ("a dog on the grass", "two red cars"), cfg))
    ]
    alone = {node.name: setup.run(setup.graph(node), steps=STEPS)[node.name] for node in nodes}
    before = len(sizes())
    found = setup.run(setup.graph(*nodes), steps=STEPS)
    for name, value in alone.items():
        close(found[name], value)
    guided = [scale != 1.0 for scale in cfg]
    rows = [batch * (1 + g) for g in guided]
    assert sizes()[before:] == ([sum(rows)] if guided[0] == guided[1] else rows) * STEPS


@pytest.mark.parametrize("view", ["next latent", "predicted x0"])
def test_two_children_see_their_parent_and_the_picture_joins_them(factors, setup, watch, comfy_host, view):
    view = comfy_host.engine("comfyui_fgdm.sampling.graph").View(view)
    model, sizes = watch
    parent = setup.variable("segmentation", factor=factors["segmentation"], model=model, seed=1)
    depth = setup.variable("depth", factor=factors["depth"], model=model, seed=2, text="a car")
    normal = setup.variable("normal", factor=factors["normal"], model=model, seed=3, strength=0.5)
    image = setup.variable("image", model=model, seed=4)
    pairs = [setup.run(setup.graph(parent, child), steps=STEPS, view=view) for child in (depth, normal)]
    plain = setup.run(setup.graph(image), steps=STEPS)
    before = len(sizes())
    found = setup.run(setup.graph(parent, depth, normal, image), steps=STEPS, view=view)
    close(found["depth"], pairs[0]["depth"])
    close(found["normal"], pairs[1]["normal"])
    close(found["image"], plain["image"])
    assert sizes()[before:] == [4, 4] * STEPS, "map and picture first, as neither sees the other, then both children"


def test_a_sampler_that_watches_the_guidance_sees_every_variable(factors, setup, watch):
    nodes = [setup.variable(n, factor=factors[n], model=watch[0], seed=7) for n in ("segmentation", "sketch")]
    found = setup.run(setup.graph(*nodes), steps=STEPS, sampler="euler_cfg_pp")
    for node in nodes:
        close(found[node.name], setup.run(setup.graph(node), steps=STEPS, sampler="euler_cfg_pp")[node.name])


def region(tiny, host):
    return host.call(
        "ConditioningSetArea", conditioning=tiny.encode("a dog"), width=32, height=64, x=0, y=0, strength=1.0
    )[0]


APART = {
    "another size": lambda s, t, h, f: {"size": 96},
    "another MODEL": lambda s, t, h, f: {"model": t.model.clone()},
    "a region": lambda s, t, h, f: {"positive": region(t, h)},
    "low-rank changes": lambda s, t, h, f: {"factor": f},
    "a later start": lambda s, t, h, f: {"denoise": 0.3},
}


@pytest.mark.parametrize("why", APART)
def test_variables_that_differ_are_evaluated_apart(tiny, factor, factors, setup, watch, comfy_host, why):
    from dataclasses import replace

    model, sizes = watch
    first = setup.variable("segmentation", factor=factors["segmentation"], model=model)
    fields = {"model": model, "factor": factors["sketch"], **APART[why](setup, tiny, comfy_host, factor)}
    positive = fields.pop("positive", None)
    second = setup.variable("other", **fields)
    second = replace(second, positive=positive) if positive is not None else second
    before = len(sizes())
    setup.run(setup.graph(first, second), steps=1)
    assert max(sizes()[before:]) == 2, "with the prompt and without, never more"


def test_short_memory_takes_them_apart_for_the_rest_of_the_run(factors, setup, watch, comfy_host, monkeypatch, caplog):
    together = comfy_host.engine("comfyui_fgdm.host.graph.together")
    tried = []

    def short(*arguments):
        tried.append(arguments)
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(together, "predict", short)
    nodes = [setup.variable(n, factor=factors[n], model=watch[0], seed=7) for n in ("segmentation", "sketch")]
    found = setup.run(setup.graph(*nodes), steps=STEPS)
    assert len(tried) == 1 and "one by one" in caplog.text
    for node in nodes:
        close(found[node.name], setup.run(setup.graph(node), steps=STEPS)[node.name])


def test_no_more_than_fits_the_memory_share_a_call(factors, setup, watch, comfy_host, monkeypatch):
    model, sizes = watch
    patcher = type(model)
    needed = model.model.memory_required([1, 12, 8, 8])
    monkeypatch.setattr(patcher, "get_free_memory", lambda self, device: needed * 1.2)
    nodes = [setup.variable(n, factor=factors[n], model=model, seed=7, cfg=1.0) for n in ("segmentation", "sketch")]
    setup.run(setup.graph(*nodes), steps=1)
    assert sizes() == [1, 1]
