"""Prompts for areas, context windows and tiles: a factor sees of its parents what belongs to the part that is sampled."""

from __future__ import annotations

import pytest
import torch

SIZE = 128  # 16 x 16 cells


@pytest.fixture(scope="module")
def parent():
    """A latent whose every cell says where it is."""
    rows = torch.arange(16.0)[:, None].expand(16, 16)
    return torch.stack([rows, rows.T], 0).repeat(6, 1, 1)[None] / 16


@pytest.fixture
def seen(monkeypatch, depth):
    """Rows that the adapter was called with, call by call."""
    calls: list[torch.Tensor] = []
    forward = type(depth.patcher.model).forward

    def spy(self, x, emb=None):
        calls.append(x.clone())
        return forward(self, x, emb)

    monkeypatch.setattr(type(depth.patcher.model), "forward", spy)
    return calls


@pytest.fixture
def below(tiny, depth, comfy_host, parent):
    return comfy_host.call(
        "FGDM_ApplyFactor", model=tiny.model, factor=depth, strength=1.0, start_percent=0.0, end_percent=1.0,
        parent={"samples": parent},
    )[0]  # fmt: skip


def prompts(tiny, comfy_host):
    """A dog on the left (eight cells wide), a tree on the right half but for its top, by share of the whole."""
    left = comfy_host.call(
        "ConditioningSetArea", conditioning=tiny.encode("a dog"), width=64, height=128, x=0, y=0, strength=1.0
    )
    right = comfy_host.call(
        "ConditioningSetAreaPercentage",
        conditioning=tiny.encode("a tree"),
        width=0.5,
        height=0.75,
        x=0.5,
        y=0.25,
        strength=1.0,
    )
    return left[0] + right[0] + tiny.encode("grass")


def sample(tiny, comfy_host, model, positive):
    return comfy_host.call(
        "KSampler", model=model, seed=1, steps=1, cfg=3.0, sampler_name="euler", scheduler="normal", positive=positive,
        negative=tiny.encode(""), latent_image=tiny.latent(1, SIZE), denoise=1.0,
    )[0]["samples"]  # fmt: skip


def found(calls, expected):
    """Names of the pictures (C x h x w) that the rows of all calls are; fails for a row that is none of them."""
    names = set()
    for row in (row for call in calls for row in call):
        fits = [
            name for name, part in expected.items() if part.shape == row.shape and torch.allclose(part, row, atol=1e-6)
        ]
        assert fits, f"a row of shape {list(row.shape)} is none of {list(expected)}"
        names.update(fits)
    return names


@torch.inference_mode()
def test_areas_of_prompts_see_their_part_of_a_given_parent(tiny, comfy_host, below, seen, parent):
    out = sample(tiny, comfy_host, below, prompts(tiny, comfy_host))
    left, right = parent[0, :, :, :8], parent[0, :, 4:, 8:]
    assert found(seen, {"left": left, "right": right, "whole": parent[0]}) == {"left", "right", "whole"}
    assert out.isfinite().all()


@torch.inference_mode()
@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_areas_in_graphs(tiny, comfy_host, depth, setup, seen, parent, mode):
    """The parent is resized to the latents first, then cut: here it is half as large as they are."""
    small = torch.nn.functional.avg_pool2d(parent, 2)
    graph = setup.graph(
        setup.graphs.Given("segmentation", small),
        setup.graphs.Sampled(
            "depth", tiny.model, prompts(tiny, comfy_host), tiny.encode(""), 3.0, tiny.latent(1, SIZE), 5, factor=depth
        ),
    )
    setup.run(graph, mode, steps=1)
    large = torch.nn.functional.interpolate(small, (16, 16), mode="bilinear", antialias=True)[0]
    parts = {"left": large[:, :, :8], "right": large[:, 4:, 8:], "whole": large}
    assert found(seen, parts) == set(parts)


@torch.inference_mode()
def test_windows_of_core_see_their_part(tiny, comfy_host, below, seen, parent):
    model = comfy_host.call(
        "ContextWindowsManual", model=below, context_length=8, context_overlap=2, context_schedule="standard_static",
        context_stride=1, closed_loop=False, fuse_method="pyramid", dim=3, freenoise=False,
        cond_retain_index_list="", split_conds_to_windows=False, latent_retain_index_list="", causal_window_fix=False,
    )[0]  # fmt: skip
    sample(tiny, comfy_host, model, tiny.encode("a dog"))
    starts = {f"{k}": parent[0, :, :, k : k + 8] for k in range(9)}
    assert {"0", "8"} <= found(seen, starts)


@torch.inference_mode()
def test_tiles_of_unknown_place_are_refused(tiny, comfy_host, below):
    """A patch that has the model evaluate halves: without their places, each would be shown the whole parent, squeezed."""

    def halves(apply_model, said):
        return torch.cat([apply_model(part, said["timestep"], **said["c"]) for part in said["input"].chunk(2, 3)], 3)

    below.set_model_unet_function_wrapper(halves)
    with pytest.raises(ValueError, match=r"cuts out \[16, 8\] of \[16, 16\] cells without saying where"):
        sample(tiny, comfy_host, below, tiny.encode("a dog"))
