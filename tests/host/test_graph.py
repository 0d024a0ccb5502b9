"""Factor graphs in the host: joint runs against core's KSampler, against an Euler loop written out, and against fixed parents."""

from __future__ import annotations

import pytest
import torch

STEPS = 3  # of Setup.run


class Fixed:
    """NOISE that is what it was made with."""

    seed = 0

    def __init__(self, noise):
        self.noise = noise

    def generate_noise(self, _latent):
        return self.noise


def ksample(host, model, setup, node, sampler="euler", steps=STEPS, positive=None, negative=None):
    """What core makes of one variable: its KSampler, or for uni_pc, to which that gives other sigmas, its SamplerCustom."""
    prompts = {"positive": positive or node.positive, "negative": negative or node.negative}
    common = {"model": model, "cfg": node.cfg, "latent_image": node.latent, **prompts}
    if sampler == "uni_pc":
        sigmas = host.call("BasicScheduler", model=model, scheduler="normal", steps=steps, denoise=1.0)[0]
        chosen = host.call("KSamplerSelect", sampler_name=sampler)[0]
        out = host.call("SamplerCustom", add_noise=True, noise_seed=node.seed, sampler=chosen, sigmas=sigmas, **common)
    else:
        out = host.call(
            "KSampler", seed=node.seed, steps=steps, sampler_name=sampler, scheduler="normal", denoise=1.0, **common
        )
    return out[0]["samples"]


def same(a, b):
    torch.testing.assert_close(a, b, atol=0, rtol=0)


@pytest.mark.parametrize("mode", ["joint", "sequential"])
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m", "heun", "euler_cfg_pp", "uni_pc"])
def test_one_factor_is_the_ksampler_bit_for_bit(tiny, factor, setup, comfy_host, mode, sampler):
    node = setup.variable("segmentation", factor=factor, batch=2)
    found = setup.run(setup.graph(node), mode, sampler)
    same(found["segmentation"], ksample(comfy_host, tiny.apply(factor), setup, node, sampler))


def test_sequential_is_a_chain_of_ksamplers(tiny, factor, depth, net, setup, comfy_host):
    seg = setup.variable("segmentation", factor=factor, seed=3)
    deep = setup.variable("depth", factor=depth, seed=4, text="a horse", cfg=1.5)
    image = setup.variable("image", seed=9, controls=(setup.graphs.Control(net, "segmentation", 0.8, 0.0, 0.9),))
    found = setup.run(setup.graph(image, deep, seg), "sequential")
    same(found["segmentation"], ksample(comfy_host, tiny.apply(factor), setup, seg))
    apply = comfy_host.engine("comfyui_fgdm.host.models.apply").apply_factor
    model = apply(tiny.model, depth, parents={"segmentation": found["segmentation"]})
    same(found["depth"], ksample(comfy_host, model, setup, deep))
    positive, negative = comfy_host.call(
        "ControlNetApplyAdvanced", positive=image.positive, negative=image.negative, control_net=net,
        image=tiny.decode(found["segmentation"]), strength=0.8, start_percent=0.0, end_percent=0.9,
    )  # fmt: skip
    same(found["image"], ksample(comfy_host, tiny.model, setup, image, positive=positive, negative=negative))


@pytest.mark.parametrize(
    "sampler", ["euler", "dpmpp_2m", "heun", "lms", "uni_pc", "res_multistep", "ddim", "deis", "euler_cfg_pp"]
)
def test_independent_variables_do_not_disturb_each_other(tiny, setup, comfy_host, sampler):
    """Variables without links, run jointly at other sizes, prompts and guidance, are what KSampler makes of each alone."""
    one = setup.variable("one", seed=1, size=64, text="a red car", cfg=2.0)
    two = setup.variable("two", seed=2, size=96, text="a dog")
    found = setup.run(setup.graph(one, two), "joint", sampler)
    for node in (one, two):
        alone = ksample(comfy_host, tiny.model, setup, node, sampler)
        torch.testing.assert_close(found[node.name], alone, atol=2e-4, rtol=1e-4)


def test_a_given_parent_makes_joint_and_sequential_equal(tiny, factor, depth, net, setup):
    """Parents that are fixed: it does not matter when they are looked at."""
    seg = setup.run(setup.graph(setup.variable("segmentation", factor=factor)))["segmentation"]
    known = setup.graphs.Given("segmentation", seg)
    graph = setup.graph(
        known,
        setup.variable("depth", factor=depth),
        setup.variable("image", seed=8, controls=(setup.graphs.Control(net, "segmentation"),)),
    )
    together, in_turn = setup.run(graph, "joint"), setup.run(graph, "sequential")
    for name in ("depth", "image"):
        torch.testing.assert_close(together[name], in_turn[name], atol=2e-4, rtol=1e-4)
    other = setup.run(setup.graph(setup.graphs.Given("segmentation", -seg), *graph.nodes[1:]), "joint")
    assert (other["depth"] - together["depth"]).abs().max() > 1e-3, "the parent matters"


def test_every_step_goes_from_parents_to_children(tiny, factor, depth, net, setup):
    trace = []

    def spied(name, channels=None):
        model = tiny.model.clone()

        def spy(executor, x, timesteps, *args, **kwargs):
            trace.append((name, float(timesteps[0]), tuple(x.shape)))
            return executor(x, timesteps, *args, **kwargs)

        model.add_wrapper_with_key("diffusion_model", "a_test_spy", spy)
        return model

    graph = setup.graph(
        setup.variable("image", model=spied("image"), size=96, controls=(setup.graphs.Control(net, "segmentation"),)),
        setup.variable("depth", model=spied("depth"), factor=depth),
        setup.variable("segmentation", model=spied("segmentation"), factor=factor),
    )
    found = setup.run(graph)
    assert [name for name, _, _ in trace] == ["segmentation", "image", "depth"] * STEPS
    times = [t for _, t, _ in trace]
    assert all(times[3 * k] == times[3 * k + 1] == times[3 * k + 2] for k in range(STEPS))
    assert all(times[3 * k] > times[3 * k + 3] for k in range(STEPS - 1))
    assert {name: shape[-1] for name, _, shape in trace} == {"segmentation": 8, "image": 12, "depth": 8}
    assert {name: value.shape[-1] for name, value in found.items()} == {"segmentation": 8, "image": 12, "depth": 8}


@pytest.mark.parametrize("view", ["next latent", "predicted x0"])
def test_a_joint_run_is_the_euler_loop_written_out(tiny, factor, depth, setup, comfy_host, view):
    """Two variables by plain calls of the host's model: the child's adapter is fed what the parent just became."""
    View = comfy_host.engine("comfyui_fgdm.sampling.graph").View
    apply = comfy_host.engine("comfyui_fgdm.host.models.apply").apply_factor
    seg, deep = setup.variable("segmentation", factor=factor, cfg=1.0), setup.variable("depth", factor=depth, cfg=1.0)
    found = setup.run(setup.graph(seg, deep), view=View(view))
    sigmas = comfy_host.call("BasicScheduler", model=tiny.model, scheduler="normal", steps=STEPS, denoise=1.0)[0]

    sampling = tiny.model.get_model_object("model_sampling")

    def denoised(model, node, x, sigma):
        """One denoiser call through core: an Euler step to zero noise ends on x0. Core scales the noise it is given."""
        full = float(sigma) >= float(sampling.sigma_max) * (1 - 1e-5)
        out = comfy_host.call(
            "SamplerCustomAdvanced", noise=Fixed(x / ((1 + sigma**2) ** 0.5 if full else sigma)),
            guider=comfy_host.call("BasicGuider", model=model, conditioning=node.positive)[0],
            sampler=comfy_host.call("KSamplerSelect", sampler_name="euler")[0],
            sigmas=torch.tensor([float(sigma), 0.0]), latent_image=node.latent,
        )  # fmt: skip
        return out[0]["samples"]

    x = {}
    for node in (seg, deep):
        noise = torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(node.seed))
        x[node.name] = sampling.noise_scaling(sigmas[0], noise, torch.zeros_like(noise), True)
    for now, after in zip(sigmas[:-1], sigmas[1:]):
        x0_seg = denoised(apply(tiny.model, factor, on_the_fly=True), seg, x["segmentation"], now)
        next_seg = x0_seg + (x["segmentation"] - x0_seg) * (after / now)
        shown = x0_seg if view == "predicted x0" else next_seg / (1 + after**2) ** 0.5
        x0_deep = denoised(apply(tiny.model, depth, parents={"segmentation": shown}), deep, x["depth"], now)
        x["depth"] = x0_deep + (x["depth"] - x0_deep) * (after / now)
        x["segmentation"] = next_seg
    torch.testing.assert_close(found["segmentation"], x["segmentation"], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(found["depth"], x["depth"], atol=2e-3, rtol=1e-3)


def test_apply_factor_takes_parents_by_order_and_names_what_is_wrong(tiny, factor, depth, setup, comfy_host):
    node = setup.variable("depth")
    common = {"model": tiny.model, "strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    maps = [{"samples": torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(k))} for k in range(2)]
    first, again, other = (
        ksample(comfy_host, comfy_host.call("FGDM_ApplyFactor", factor=depth, parent=parent, **common)[0], setup, node)
        for parent in (maps[0], maps[0], maps[1])
    )
    same(first, again)
    assert (first - other).abs().max() > 1e-3
    with pytest.raises(ValueError, match="parent: .*depends on segmentation.*0 latents.*Connect 1"):
        comfy_host.call("FGDM_ApplyFactor", factor=depth, **common)
    with pytest.raises(ValueError, match="prompt alone.*1 latents.*Connect none"):
        comfy_host.call("FGDM_ApplyFactor", factor=factor, parent=maps[0], **common)


def test_low_rank_on_the_fly_is_low_rank_in_the_weights(tiny, factor, setup, comfy_host):
    apply = comfy_host.engine("comfyui_fgdm.host.models.apply").apply_factor
    node = setup.variable("segmentation")
    patched = ksample(comfy_host, apply(tiny.model, factor), setup, node)
    on_the_fly = ksample(comfy_host, apply(tiny.model, factor, on_the_fly=True), setup, node)
    torch.testing.assert_close(on_the_fly, patched, atol=2e-2, rtol=2e-2)
    plain = ksample(comfy_host, tiny.model, setup, node)
    assert (patched - plain).abs().max() > 0.1


def test_a_plain_run_after_a_joint_run_has_the_same_bytes(tiny, factor, net, setup, comfy_host):
    node = setup.variable("plain", seed=2)
    before = ksample(comfy_host, tiny.model, setup, node)
    setup.run(setup.graph(
        setup.variable("segmentation", factor=factor),
        setup.variable("image", controls=(setup.graphs.Control(net, "segmentation"),)),
    ))  # fmt: skip
    same(ksample(comfy_host, tiny.model, setup, node), before)


def test_a_joint_run_with_a_batch_guides_both_halves(factor, depth, setup):
    """Item k of a batch is what it is alone, child and parent."""

    def nodes(batch):
        return setup.graph(
            setup.variable("segmentation", factor=factor, batch=batch), setup.variable("depth", factor=depth, batch=batch)
        )  # fmt: skip

    three, one = setup.run(nodes(3)), setup.run(nodes(1))
    for name in three:
        torch.testing.assert_close(three[name][:1], one[name], atol=1e-3, rtol=1e-3)
        assert (three[name][1] - three[name][0]).abs().max() > 0.1


def test_a_start_and_a_mask_are_kept(factor, setup):
    kept = torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    graph = setup.graph(
        setup.variable("segmentation", factor=factor, latent={"samples": kept, "noise_mask": mask}),
        setup.variable("image", seed=7),
    )
    found = setup.run(graph)["segmentation"]
    torch.testing.assert_close(found[..., :3], kept[..., :3], atol=1e-4, rtol=1e-4)
    assert (found[..., 5:] - kept[..., 5:]).abs().max() > 0.3
    barely = setup.run(
        setup.graph(
            setup.variable("segmentation", factor=factor, latent={"samples": kept}, denoise=0.05),
            setup.variable("image"),
        ),
        steps=10,
    )
    much = setup.run(
        setup.graph(
            setup.variable("segmentation", factor=factor, latent={"samples": kept}, denoise=0.9),
            setup.variable("image"),
        ),
        steps=10,
    )
    assert (barely["segmentation"] - kept).abs().mean() < 0.5 * (much["segmentation"] - kept).abs().mean()


def test_hints_are_refreshed_every_n_steps(factor, net, setup, monkeypatch, comfy_host):
    hint = comfy_host.engine("comfyui_fgdm.host.graph.hints").Hint
    shown, real = [], hint.show

    def spy(self, image):
        shown.append(image)
        real(self, image)

    monkeypatch.setattr(hint, "show", spy)
    graph = setup.graph(
        setup.variable("segmentation", factor=factor),
        setup.variable("image", controls=(setup.graphs.Control(net, "segmentation"),)),
    )
    setup.run(graph, steps=6, refresh=1)
    assert len(shown) == 6
    shown.clear()
    setup.run(graph, steps=6, refresh=4)
    assert len(shown) == 2, "steps 0 and 4"


def test_a_batch_without_memory_is_halved_and_goes_on(factor, setup, monkeypatch, caplog):
    import comfy.samplers

    def graph(batch):
        return setup.graph(
            setup.variable("segmentation", factor=factor, batch=batch), setup.variable("image", batch=batch)
        )

    whole = setup.run(graph(3))
    real = comfy.samplers.sampling_function

    def cramped(model, x, *args, **kwargs):
        if len(x) > 2:
            raise torch.OutOfMemoryError("no memory for three")
        return real(model, x, *args, **kwargs)

    monkeypatch.setattr(comfy.samplers, "sampling_function", cramped)
    halved = setup.run(graph(3))
    assert "two halves" in caplog.text
    for name in whole:
        torch.testing.assert_close(halved[name], whole[name], atol=1e-3, rtol=1e-3)


def test_a_control_net_stands_behind_those_the_prompt_has(tiny, net, setup, comfy_host):
    """The net that the prompt brings and the net of the graph act together, as when core chains them."""
    own = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    given = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    node = setup.variable("image")

    def control(positive, negative, image, strength):
        return comfy_host.call(
            "ControlNetApplyAdvanced", positive=positive, negative=negative, control_net=net, image=image,
            strength=strength, start_percent=0.0, end_percent=1.0,
        )  # fmt: skip

    from dataclasses import replace

    positive, _ = control(node.positive, node.negative, own, 0.5)
    with_own = replace(node, positive=positive, controls=(setup.graphs.Control(net, "map"),))
    found = setup.run(setup.graph(setup.graphs.Given("map", image=given), with_own))["image"]
    both = control(positive, node.negative, given, 1.0)
    same(found, ksample(comfy_host, tiny.model, setup, node, positive=both[0], negative=both[1]))
