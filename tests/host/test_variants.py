"""The family as other machines and models have it: latents that a model scales, and half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from .conftest import SCALE, Setup

ALL = pytest.mark.parametrize("tiny", ["scaled", "fp16", "bf16"], indirect=True)


@pytest.fixture(scope="module")
def make_setup(graphs, joint, comfy_host):
    return lambda tiny: Setup(tiny, graphs, joint, comfy_host)


@pytest.fixture(scope="module")
def every_path(factor, depth, net, comfy_host, make_setup):
    """A function that gives all latents of a variant's runs by name: Apply Factor, with a parent, graphs in both modes."""

    def run(tiny):
        setup = make_setup(tiny)
        known = tiny.model.model.process_latent_out(0.3 * torch.randn(1, 12, 8, 8, generator=torch.manual_seed(3)))
        mask = torch.zeros(1, 64, 64)
        mask[:, :, 32:] = 1
        below = comfy_host.call(
            "FGDM_ApplyFactor", model=tiny.model, factor=depth, strength=1.0, start_percent=0.0, end_percent=1.0,
            parent={"samples": known},
        )[0]  # fmt: skip
        found = {"apply factor": tiny.sample(tiny.apply(factor)), "apply factor with a parent": tiny.sample(below)}
        whole = setup.graph(
            setup.variable("segmentation", factor=factor, latent={"samples": known, "noise_mask": mask}),
            setup.variable("depth", factor=depth, latent={"samples": known}, denoise=0.7),
            setup.variable("image", seed=9, controls=(setup.graphs.Control(net, "segmentation"),)),
        )
        given = setup.graph(setup.graphs.Given("segmentation", known), *whole.nodes[1:])
        for name, graph in (("sampled", whole), ("given", given)):
            for mode in ("joint", "sequential"):
                for kind, out in zip(("output", "denoised"), setup.outputs(graph, mode, steps=2)):
                    for variable, latent in setup.latents(graph, out).items():
                        found[f"{name} {mode} {kind} {variable}"] = latent
        return found

    return run


@pytest.fixture(scope="module")
def plain(variants, every_path):
    return every_path(variants("plain"))


@ALL
def test_every_path_gives_what_the_plain_family_gives(tiny, plain, every_path):
    """Scaled latents: the same numbers divided by the scale, to the last bits. Half precision: the same to its rounding."""
    found = every_path(tiny)
    limit = {torch.float32: 0.0, torch.float16: 0.02, torch.bfloat16: 0.15}[tiny.model.model_dtype()]
    assert (tiny.model.model.latent_format.scale_factor == SCALE) is (limit == 0)
    for name, value in plain.items():
        assert found[name].dtype == torch.float32 and found[name].isfinite().all(), name
        if limit:
            assert (found[name] - value).abs().mean() < limit * value.abs().mean(), name
        else:
            torch.testing.assert_close(
                found[name] * SCALE, value, atol=1e-6, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_models_of_one_graph_may_scale_latents_differently(variants, factor, make_setup, mode, previews):
    """The last step goes to zero noise, so what it predicts is what comes out: of every variable, as its own model scales."""
    setup = make_setup(variants("plain"))
    graph = setup.graph(
        setup.variable("segmentation", factor=factor), setup.variable("image", model=variants("scaled").model)
    )
    out, denoised = (setup.latents(graph, latent) for latent in setup.outputs(graph, mode))
    for name in out:
        torch.testing.assert_close(denoised[name], out[name], atol=1e-5, rtol=1e-5)
    look = variants("plain").model.model.latent_format
    for k, scale in enumerate((1.0, SCALE)):
        colours = torch.tensor(look.latent_rgb_factors).T @ (out[graph.sampled()[k].name][0] * scale).flatten(1)
        expected = (colours.T + torch.tensor(look.latent_rgb_factors_bias) + 1).clamp(0, 2) * 127.5
        grown = previews[-1].height // 8  # whole multiples, without smoothing
        pixels = torch.from_numpy(np.array(previews[-1]))[::grown, ::grown]
        shown = pixels.reshape(8, 2, 8, 3)[:, k].reshape(-1, 3)
        assert (shown - expected).abs().max() <= 1


@pytest.fixture
def previews(monkeypatch):
    """The pictures that nodes showed while they ran, in order."""
    import comfy.utils
    from comfy.cli_args import LatentPreviewMethod, args

    seen: list = []
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, **_: preview and seen.append(preview[1])
    )
    return seen
