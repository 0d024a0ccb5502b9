"""Joint runs: schedules in parts, prompts that act in a part of the schedule or of the picture, steps of a sampler's own."""

from __future__ import annotations

import pytest
import torch

STEPS = 4


def split(setup, comfy_host, graph, at, mode, steps=6):
    """A run whose schedule is cut in two: noise in the first part only, the second goes on from what it left."""
    tiny = setup.tiny
    sigmas = comfy_host.call("BasicScheduler", model=tiny.model, scheduler="normal", steps=steps, denoise=1.0)[0]
    high, low = comfy_host.call("SplitSigmas", sigmas=sigmas, step=at)
    latent, noise = setup.graphs.start_latent(graph), setup.graphs.GraphNoise(graph)
    for part in (high, low):
        guider = setup.joint.make_guider(graph, tiny.vae, setup.joint.Mode(mode), setup.joint.GraphSettings())
        latent = comfy_host.call(
            "SamplerCustomAdvanced", noise=noise, guider=guider, sigmas=part, latent_image=latent,
            sampler=comfy_host.call("KSamplerSelect", sampler_name="euler")[0],
        )[0]  # fmt: skip
        (noise,) = comfy_host.call("DisableNoise")
    return {node.name: setup.graphs.result(latent, graph, node.name)["samples"] for node in graph.sampled()}


@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_a_schedule_in_two_parts_is_that_schedule(setup, comfy_host, mode, at):
    start = {"samples": 0.5 * torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(1))}
    graph = setup.graph(
        setup.variable("a", latent=dict(start), seed=1), setup.variable("b", latent=dict(start), seed=2, denoise=0.5)
    )
    whole = setup.run(graph, mode=mode, steps=6)
    parts = split(setup, comfy_host, graph, at, mode)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=2e-4, rtol=1e-3, msg=name)


def test_a_half_done_parent_is_shown_to_nobody(setup, comfy_host, factor, net):
    graph = setup.graph(
        setup.variable("segmentation", factor=factor),
        setup.variable("image", controls=(setup.graphs.Control(net, "segmentation"),)),
    )
    with pytest.raises(Exception, match="'segmentation' would be shown half done to 'image'.*joint"):
        split(setup, comfy_host, graph, 3, "sequential")


def start_latent():
    return {"samples": 0.5 * torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(1))}


def in_time(host, prompt):
    return host.call("ConditioningSetTimestepRange", conditioning=prompt, start=0.0, end=0.5)[0]


def in_an_area(host, prompt):
    return host.call("ConditioningSetArea", conditioning=prompt, width=32, height=64, x=0, y=0, strength=1.0)[0]


def under_a_mask(host, prompt):
    mask = torch.zeros(1, 64, 64)
    mask[:, :, :40] = 1
    return host.call("ConditioningSetMask", conditioning=prompt, mask=mask, strength=1.0, set_cond_area="default")[0]


@pytest.mark.parametrize("limited", [in_time, in_an_area, under_a_mask], ids=lambda limit: limit.__name__)
def test_a_prompt_acts_where_and_when_it_is_meant_to(setup, tiny, comfy_host, limited):
    """Two prompts, one of them limited: in a joint run the variable is what KSampler makes of them, bit for bit."""
    both = comfy_host.call(
        "ConditioningCombine",
        conditioning_1=limited(comfy_host, tiny.encode("a dog")), conditioning_2=tiny.encode("the grass"),
    )[0]  # fmt: skip
    node = setup.variable("a", latent=start_latent(), seed=1)
    node = type(node)(**{**vars(node), "positive": both})
    found = setup.run(setup.graph(setup.variable("b", seed=2), node), steps=STEPS)["a"]

    def core(positive):
        return comfy_host.call(
            "KSampler", model=tiny.model, seed=1, steps=STEPS, cfg=3.0, sampler_name="euler", scheduler="normal",
            positive=positive, negative=tiny.encode(""), latent_image=start_latent(), denoise=1.0,
        )[0]["samples"]  # fmt: skip

    assert torch.equal(found, core(both))
    everywhere = comfy_host.call(
        "ConditioningCombine", conditioning_1=tiny.encode("a dog"), conditioning_2=tiny.encode("the grass")
    )[0]
    assert not torch.equal(found, core(everywhere)), "the limit does something"


def test_a_sampler_that_chooses_its_steps_leaves_a_root_as_it_is_alone(setup, tiny, factor, make_factor):
    """dpm_adaptive: the parent is what it is without the child; the child's last steps see the finished parent."""
    below = tiny.load(
        make_factor("adaptive.safetensors", "time_adapter", variable="depth", parents=["segmentation"], palette=None)
    )
    parent = setup.variable("segmentation", factor=factor, latent=start_latent(), seed=1)
    child = setup.variable("depth", factor=below, latent=start_latent(), seed=2)
    alone = setup.run(setup.graph(parent), sampler="dpm_adaptive")
    both = setup.run(setup.graph(parent, child), sampler="dpm_adaptive")
    torch.testing.assert_close(both["segmentation"], alone["segmentation"], atol=1e-5, rtol=1e-4)
    assert both["depth"].isfinite().all()
    other = setup.run(
        setup.graph(setup.variable("segmentation", factor=factor, latent=start_latent(), seed=9), child),
        sampler="dpm_adaptive",
    )
    assert not torch.equal(other["depth"], both["depth"]), "the child sees its parent"


def test_a_factor_that_is_applied_already_is_refused_by_name(setup, tiny, comfy_host, factor):
    (applied,) = comfy_host.call(
        "FGDM_ApplyFactor", model=tiny.model, factor=factor, strength=1.0, start_percent=0.0, end_percent=1.0
    )
    with pytest.raises(Exception, match="'segmentation'.*Apply Factor"):
        setup.run(setup.graph(setup.variable("segmentation", model=applied, factor=factor)))
