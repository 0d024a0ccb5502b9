"""A factor beside the patches of core that change what the UNet's blocks or layers compute on, in both orders of nodes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

SHRINK = {
    "downscale_factor": 2.0, "start_percent": 0.0, "end_percent": 1.0, "downscale_method": "bicubic",
    "upscale_method": "bicubic",
}  # fmt: skip
PATCHES = {
    "shrink after the skip": ("PatchModelAddDownscale", {**SHRINK, "block_number": 3, "downscale_after_skip": True}),
    "shrink before the skip": ("PatchModelAddDownscale", {**SHRINK, "block_number": 3, "downscale_after_skip": False}),
    "enlarge": (
        "PatchModelAddDownscale",
        {**SHRINK, "block_number": 1, "downscale_factor": 0.6, "downscale_after_skip": True},
    ),
    "tiles of attention": ("HyperTile", {"tile_size": 32, "swap_size": 2, "max_depth": 1, "scale_depth": False}),
    "FreeU": ("FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
    "perturbed attention": ("PerturbedAttentionGuidance", {"scale": 2.0}),
    "self-attention guidance": ("SelfAttentionGuidance", {"scale": 0.5, "blur_sigma": 2.0}),
}


@pytest.fixture(scope="module")
def random_factor(tiny, make_factor):
    return tiny.load(make_factor("beside-others.safetensors"))


@pytest.fixture(scope="module")
def alone(tiny, random_factor):
    return tiny.sample(tiny.apply(random_factor), size=128, steps=1)


@pytest.mark.parametrize("name", PATCHES)
def test_a_factor_acts_beside_another_patch_in_both_orders(tiny, comfy_host, random_factor, alone, name):
    node, inputs = PATCHES[name]

    def patched(model):
        return comfy_host.call(node, model=model, **inputs)[0]

    both = tiny.sample(tiny.apply(random_factor, patched(tiny.model)), size=128, steps=1)
    other_way = tiny.sample(patched(tiny.apply(random_factor)), size=128, steps=1)
    assert torch.equal(both, other_way) and both.isfinite().all()
    without = tiny.sample(patched(tiny.model), size=128, steps=1)
    assert (both - without).abs().mean() > 1e-2, "the factor acts"
    assert not torch.equal(both, alone), "the patch acts"


@torch.inference_mode()
@pytest.mark.parametrize("name", [name for name in PATCHES if PATCHES[name][0] == "PatchModelAddDownscale"])
def test_features_are_resized_to_the_blocks_they_are_added_to(tiny, comfy_host, random_factor, name):
    """What is between the other patch and the skip connection of a block is the adapter's feature, at the block's size."""
    node, inputs = PATCHES[name]
    before, after = {}, {}
    model = comfy_host.call(node, model=tiny.apply(random_factor), **inputs)[0]

    def spy(into):
        def patch(h, options):
            into[options["block"][1]] = h.clone()
            return h

        return patch

    model.set_model_input_block_patch(spy(before))
    after_skip = model.model_options["transformer_options"]["patches"].setdefault("input_block_patch_after_skip", [])
    after_skip.insert(0, spy(after))
    model, calls = tiny.record_unet_calls(model)
    tiny.sample(model, size=128, steps=1)
    x = calls[-1][0]
    features = dict(zip((1, 3, 5), random_factor.patcher.model(x, None), strict=True))
    sizes = set()
    for block in before:
        added = after[block] - before[block]
        if block not in features:
            assert not added.any()
            continue
        feature, size = features[block], tuple(added.shape[2:])
        if feature.shape[2:] != added.shape[2:]:
            sizes.add(size)
            feature = F.interpolate(feature, size=size, mode="bilinear", antialias=True)
        torch.testing.assert_close(added, feature, atol=1e-4, rtol=1e-4)
    assert sizes, "no block had another size than usual"
