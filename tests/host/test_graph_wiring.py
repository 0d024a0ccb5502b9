"""Graph nodes wired as they are not meant to be: refused by the name of the input, as early as it can be known."""

from __future__ import annotations

import json
import re

import pytest
import torch

MAP = {"samples": torch.zeros(1, 12, 8, 8)}


@pytest.fixture(scope="module")
def call(comfy_host):
    def call(node_id, **inputs):
        return comfy_host.call(f"FGDM_{node_id}", **inputs)

    return call


@pytest.fixture(scope="module")
def two(setup, factor):
    return setup.graph(setup.variable("segmentation", factor=factor), setup.variable("image"))


@pytest.fixture(scope="module")
def chosen(comfy_host, tiny):
    return {
        "sampler": comfy_host.call("KSamplerSelect", sampler_name="euler")[0],
        "sigmas": comfy_host.call("BasicScheduler", model=tiny.model, scheduler="normal", steps=1, denoise=1.0)[0],
    }


def test_a_given_variable_needs_something_given(call):
    with pytest.raises(ValueError, match="image, latent: nothing is connected that says what 'depth' is. Connect"):
        call("GraphGiven", name="depth")
    for shape in ((1, 64, 64, 1), (64, 64, 3), (1, 64, 64)):
        with pytest.raises(
            ValueError,
            match=re.escape(f"image: expected pictures in colour (batch, height, width, 3), got shape {list(shape)}"),
        ):
            call("GraphGiven", name="depth", image=torch.zeros(shape))


def test_the_range_of_a_net_and_the_names_of_a_link(call, net, two):
    common = {"graph": call("GraphGiven", name="map", latent=MAP, graph=two)[0], "control_net": net, "strength": 1.0}
    for name, shows, start, end, message in (
        ("image", "map", 0.9, 0.1, "start_percent 0.9 and end_percent 0.1: give 0 <= start <= end <= 1"),
        (
            "picture",
            "map",
            0.0,
            1.0,
            "variable: there is no variable 'picture' in the graph; it has: 'segmentation', 'image'",
        ),
        ("map", "image", 0.0, 1.0, "variable: 'map' is given, not sampled, so nothing acts on it. Write the name"),
    ):
        with pytest.raises(ValueError, match=message):
            call("GraphControl", variable=name, shows=shows, start_percent=start, end_percent=end, **common)


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_guider_noise_and_latent_belong_together(call, comfy_host, tiny, two, chosen, mode):
    guider, noise, latent = call("GraphGuider", graph=two, mode=mode, vae=tiny.vae)
    (plain,) = comfy_host.call(
        "CFGGuider", model=tiny.model, positive=tiny.encode("a"), negative=tiny.encode(""), cfg=1.0
    )
    (random,) = comfy_host.call("RandomNoise", noise_seed=1)
    one, three = tiny.latent(), {"samples": type(latent["samples"])([torch.zeros(1, 12, 8, 8)] * 3)}
    wrong = {
        "latent_image: 1x12x8x8 is not the latent of a graph that samples 'segmentation', 'image', 1x12x8x8 and 1x12x8x8": [
            (guider, noise, one), (plain, noise, one), (guider, random, one),
        ],
        "latent_image: 1x12x8x8 and 1x12x8x8 and 1x12x8x8 is not": [(guider, noise, three), (guider, random, three)],
    }  # fmt: skip
    for message, wirings in wrong.items():
        for one_guider, one_noise, one_latent in wirings:
            with pytest.raises(ValueError, match=message) as error:
                comfy_host.call(
                    "SamplerCustomAdvanced", guider=one_guider, noise=one_noise, latent_image=one_latent, **chosen
                )
            assert "Connect guider, noise and latent of one and the same Graph Guider" in str(error.value)
    with pytest.raises(
        ValueError, match="guider: this is the noise of a graph of 2 variables, which another guider cannot"
    ):
        comfy_host.call("SamplerCustomAdvanced", guider=plain, noise=noise, latent_image=latent, **chosen)


def test_latents_of_another_family(call, tiny, setup, depth):
    four = {"samples": torch.ones(1, 4, 8, 8)}
    for graph in (
        setup.graph(setup.variable("a", latent=four)),
        setup.graph(setup.graphs.Given("segmentation", four["samples"]), setup.variable("depth", factor=depth)),
    ):
        with pytest.raises(ValueError, match="latent: it has 4 channels, but the model of '.*' samples 12. Encode"):
            call("GraphGuider", graph=graph, mode="joint", vae=tiny.vae)


def test_an_unknown_result_is_refused_before_the_graph_is_sampled(comfy_host, api_workflow, monkeypatch):
    import comfy.samplers

    from tools.inprocess import ExecutionFailed

    sampled = []
    monkeypatch.setattr(comfy.samplers.KSAMPLER, "sample", lambda *_, **__: sampled.append(1))
    prompt = api_workflow("fgdm_joint")
    names = [node_id for node_id, node in prompt.items() if node["class_type"] == "FGDM_GraphResult"]
    for node_id in names:
        prompt[node_id]["inputs"]["variable"] = "nothing"
    with pytest.raises(ExecutionFailed, match="variable: there is no variable 'nothing' in the graph; it has: "):
        comfy_host.run(json.loads(json.dumps(prompt)))
    assert names and not sampled


def test_a_result_keeps_mask_and_batch_numbers(call, tiny, factor, setup, comfy_host):
    """As core's samplers do: a second pass starts from the result and leaves what is masked as it is."""
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    start = {"samples": torch.randn(1, 12, 8, 8, generator=torch.manual_seed(0)), "noise_mask": mask, "batch_index": [4],
             "others": "of other packs", "downscale_ratio_spacial": 8}  # fmt: skip
    graph = setup.graph(
        setup.variable("segmentation", factor=factor, latent=start), setup.graphs.Given("map", MAP["samples"], None, start),
        setup.variable("image"),
    )  # fmt: skip
    for mode in ("joint", "sequential"):
        out, denoised = setup.outputs(graph, mode, steps=2)
        for latent in (out, denoised):
            (first,) = call("GraphResult", graph=graph, latent=latent, variable="segmentation")
            assert set(first) == {"samples", "noise_mask", "batch_index", "others"}
            assert first["noise_mask"] is mask and first["batch_index"] == [4]
        (second,) = comfy_host.call(
            "KSampler", model=tiny.model, seed=1, steps=2, cfg=1.0, sampler_name="euler", scheduler="normal",
            positive=tiny.encode("a"), negative=tiny.encode(""), latent_image=first, denoise=1.0,
        )  # fmt: skip
        torch.testing.assert_close(second["samples"][..., :3], start["samples"][..., :3], atol=1e-4, rtol=1e-4)
        assert set(call("GraphResult", graph=graph, latent=out, variable="image")[0]) == {"samples"}
    (given,) = call("GraphResult", graph=graph, variable="map")
    assert given["noise_mask"] is mask and given["samples"] is MAP["samples"]


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_a_given_picture_with_alpha_is_shown_without_it(setup, net, mode):
    """To control nets, and through the VAE to factors."""
    picture = torch.rand(1, 64, 64, 4, generator=torch.manual_seed(0))
    node = setup.variable("image", cfg=1.0, controls=(setup.graphs.Control(net, "map"),))
    with_alpha, without = (
        setup.run(setup.graph(setup.graphs.Given("map", image=image), node), mode, steps=1)["image"]
        for image in (picture, picture[..., :3])
    )
    assert torch.equal(with_alpha, without)
