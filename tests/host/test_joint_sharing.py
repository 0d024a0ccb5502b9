"""Joint runs in which variables share what core expects one run at a time to use: a base with injections, control nets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

STEPS = 3


def injected(model, amount):
    """A clone of a MODEL that, as long as it is injected, shifts what the UNet gives."""
    from comfy.model_patcher import PatcherInjection

    patched, hooks = model.clone(), []

    def inject(patcher):
        unet = patcher.model.diffusion_model
        hooks.append(unet.out.register_forward_hook(lambda _module, _inputs, out: out + amount))

    def eject(_patcher):
        hooks.pop().remove()

    patched.set_injections("a_test", [PatcherInjection(inject, eject)])
    return patched


@pytest.mark.parametrize("controlled", [False, True])
def test_injections_act_on_their_own_variable_and_are_taken_out(setup, tiny, net, controlled):
    """Also where a hint is decoded in between, which loads the models again."""
    controls = (setup.graphs.Control(net, "map"),) if controlled else ()
    parent = setup.variable("map", seed=9)
    one, two = injected(tiny.model, 0.3), injected(tiny.model, -0.2)
    models = {"a": one, "b": tiny.model, "c": two}
    nodes = {
        name: setup.variable(name, model=model, seed=seed, controls=controls)
        for seed, (name, model) in enumerate(models.items())
    }
    alone = {}
    for name, node in nodes.items():
        alone[name] = setup.run(setup.graph(parent, node) if controlled else setup.graph(node), steps=STEPS)[name]
    plain = setup.run(setup.graph(replace(nodes["a"], model=tiny.model, controls=())), steps=STEPS)["a"]
    assert not torch.equal(alone["a"], alone["c"])
    for order in ("abc", "cba"):
        found = setup.run(setup.graph(*([parent] if controlled else []), *map(nodes.get, order)), steps=STEPS)
        for name in order:
            assert torch.equal(found[name], alone[name]), (order, name)
        after = setup.run(setup.graph(replace(nodes["a"], model=tiny.model, controls=())), steps=STEPS)["a"]
        assert torch.equal(after, plain), "nothing is left in the base"
        assert not tiny.unet.out._forward_hooks


def test_two_variables_may_have_one_prompt_with_a_control_net(setup, tiny, net, comfy_host):
    """A net that acts in half of the steps, a variable that begins late: whichever ends first, each is what it is alone."""
    node = setup.variable("image")
    positive, negative = comfy_host.call(
        "ControlNetApplyAdvanced", positive=node.positive, negative=node.negative, control_net=net, strength=1.0,
        image=torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1)), start_percent=0.0, end_percent=0.5,
    )  # fmt: skip
    zero_snr = comfy_host.call("ModelSamplingDiscrete", model=tiny.model, sampling="v_prediction", zsnr=True)[0]
    nodes = [
        replace(setup.variable(name, seed=seed, size=size, model=model), positive=positive, negative=negative)
        for name, seed, size, model in (("a", 1, 64, tiny.model), ("b", 2, 96, zero_snr), ("c", 3, 64, tiny.model))
    ]
    found = setup.run(setup.graph(*nodes), steps=4)
    for node in nodes:
        assert torch.equal(found[node.name], setup.run(setup.graph(node), steps=4)[node.name]), node.name


def test_options_of_other_packs_may_be_tensors(setup, tiny, factor):
    model = tiny.model.clone()
    model.model_options["transformer_options"]["a_pack"] = torch.zeros(3)
    nodes = [setup.variable(name, model=model, seed=k) for k, name in enumerate("ab")]
    found = setup.run(setup.graph(*nodes), steps=1)
    for node in nodes:
        assert torch.equal(found[node.name], setup.run(setup.graph(node), steps=1)[node.name])
