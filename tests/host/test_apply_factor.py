"""A factor on a MODEL: against a forward pass written out here, and against what a plain model gives."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

KINDS = ("adapter", "time_adapter")


@pytest.fixture(scope="module", params=KINDS)
def random_factor(request, tiny, make_factor):
    return tiny.load(make_factor(f"random-{request.param}.safetensors", request.param))


def sinusoid(timesteps: torch.Tensor, width: int) -> torch.Tensor:
    half = width // 2
    rates = torch.tensor([math.exp(-math.log(10000) * i / half) for i in range(half)])
    angles = timesteps[:, None].float() * rates[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def adapter_features(weights: dict, kind: str, x: torch.Tensor, emb: torch.Tensor) -> list[torch.Tensor]:
    """The adapter of the FG-DM release, written out from its description; two blocks a level."""

    def conv(name, v, pad=0):
        return F.conv2d(v, weights[name + ".weight"], weights[name + ".bias"], padding=pad)

    def norm(name, v):
        return F.group_norm(v, 32, weights[name + ".weight"], weights[name + ".bias"])

    h, features = conv("conv_in", x, 1), []
    for n in range(2 * 3):
        halve = F.avg_pool2d if n in (2, 4) else lambda v, _: v
        p = f"body.{n}."
        if kind == "adapter":
            h = halve(h, 2)
            h = conv(p + "in_conv", h) if p + "in_conv.weight" in weights else h
            h = h + conv(p + "block2", F.relu(conv(p + "block1", h, 1)))
        else:
            r = halve(F.silu(norm(p + "in_layers.0", h)), 2)
            h = halve(h, 2)
            shift = F.linear(F.silu(emb), weights[p + "emb_layers.1.weight"], weights[p + "emb_layers.1.bias"])
            r = conv(p + "in_layers.2", r, 1) + shift[:, :, None, None]
            r = conv(p + "out_layers.3", F.silu(norm(p + "out_layers.0", r)), 1)
            h = (conv(p + "skip_connection", h) if p + "skip_connection.weight" in weights else h) + r
        if n % 2:
            features.append(h)
    return features


def unet_with_features(unet, x, timesteps, context, make_features) -> torch.Tensor:
    """The UNet block by block, with features added after input blocks 1, 3 and 5, before the skips branch off."""
    emb = unet.time_embed(sinusoid(timesteps, unet.model_channels))

    def run(block, h):
        for layer in block:
            kind = type(layer).__name__
            h = layer(h, emb) if kind == "ResBlock" else layer(h, context) if "Transformer" in kind else layer(h)
        return h

    added = dict(zip((1, 3, 5), make_features(x, emb)))
    h, skips = x, []
    for index, block in enumerate(unet.input_blocks):
        h = run(block, h)
        if index in added:
            h = h + added[index]
        skips.append(h)
    h = run(unet.middle_block, h)
    for block in unet.output_blocks:
        h = run(block, torch.cat([h, skips.pop()], dim=1))
    return unet.out(h)


@torch.inference_mode()
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_equals_a_forward_pass_written_out(tiny, random_factor, strength):
    model, calls = tiny.record_unet_calls(tiny.apply(random_factor, strength=strength))
    tiny.sample(model, batch=2, steps=2)
    weights = {k: v.float() for k, v in random_factor.patcher.model.state_dict().items()}

    def features(x, emb):
        return [strength * f for f in adapter_features(weights, random_factor.info.kind, x, emb)]

    unet = tiny.unet
    assert len(calls) >= 2
    for x, timesteps, context, out in calls:
        assert len(x) == 4, "both halves of the guidance and both items of the batch in one call"
        expected = unet_with_features(unet, x.float(), timesteps, context.float(), features)
        plain = unet_with_features(unet, x.float(), timesteps, context.float(), lambda x, emb: [0.0] * 3)
        torch.testing.assert_close(out.float(), expected, atol=2e-5, rtol=2e-4)
        for half in (slice(0, 2), slice(2, 4)):
            assert (expected[half] - plain[half]).abs().max() > 100 * (expected[half] - out[half]).abs().max()


def test_the_output_changes(tiny, random_factor):
    assert not torch.equal(tiny.sample(tiny.model), tiny.sample(tiny.apply(random_factor)))


def test_strength_zero_is_the_plain_model_bit_for_bit(tiny, random_factor):
    assert torch.equal(tiny.sample(tiny.model), tiny.sample(tiny.apply(random_factor, strength=0.0)))


@pytest.mark.parametrize("lora", [False, True], ids=["adapter", "with low-rank deltas"])
def test_plain_run_before_equals_plain_run_after(tiny, make_factor, low_rank, lora):
    factor = tiny.load(make_factor(f"plain-{lora}.safetensors", lora=low_rank if lora else None))
    options = repr(tiny.model.model_options)
    before = tiny.sample(tiny.model, batch=2)
    with_factor = tiny.sample(tiny.apply(factor), batch=2)
    after = tiny.sample(tiny.model, batch=2)
    again = tiny.sample(tiny.apply(factor), batch=2)
    assert torch.equal(before, after)
    assert torch.equal(with_factor, again)
    assert not torch.equal(before, with_factor)
    assert repr(tiny.model.model_options) == options
    assert not tiny.model.wrappers and not tiny.model.additional_models and not tiny.model.patches


def test_percent_range_is_read_as_noise_levels(tiny, random_factor):
    """Six of the twelve UNet calls of a run on the range 0..0.5 carry the factor: those at or above its sigma."""
    sigmas = []
    model = tiny.apply(random_factor, start=0.0, end=0.5)

    def spy(executor, x, timesteps, context, y, control, options, **kwargs):
        sigmas.append((float(options["sigmas"][0]), "input_block_patch" in options.get("patches", {})))
        return executor(x, timesteps, context, y, control, options, **kwargs)

    model.add_wrapper_with_key("diffusion_model", "z_test_spy", spy)  # later key: runs inside the factor's wrapper
    tiny.sample(model, steps=6)
    low = tiny.model.get_model_object("model_sampling").percent_to_sigma(0.5)
    assert {active for _, active in sigmas} == {True, False}
    assert all(active == (sigma >= low) for sigma, active in sigmas)


def test_empty_percent_range_is_the_plain_model_bit_for_bit(tiny, random_factor):
    # percent 1 is sigma 0, which no UNet call has
    assert torch.equal(tiny.sample(tiny.model), tiny.sample(tiny.apply(random_factor, start=1.0, end=1.0)))


def test_host_loads_and_counts_the_adapter_with_the_model(tiny, random_factor):
    import comfy.model_management as mm

    mm.unload_all_models()
    tiny.sample(tiny.apply(random_factor))
    loaded = [entry.model for entry in mm.current_loaded_models]
    mine = [m for m in loaded if m.is_clone(random_factor.patcher)]
    assert len(mine) == 1
    weights = random_factor.patcher.model.state_dict().values()
    assert mine[0].model_size() == sum(w.numel() * w.element_size() for w in weights)


def test_two_factors_add_up_and_cloned_models_keep_them(tiny, make_factor):
    first = tiny.load(make_factor("first.safetensors"))
    second = tiny.load(make_factor("the-second.safetensors", "time_adapter"))
    both = tiny.apply(second, tiny.apply(first))
    swapped = tiny.apply(first, tiny.apply(second))
    assert torch.allclose(tiny.sample(both), tiny.sample(swapped), atol=1e-4)
    assert torch.equal(tiny.sample(both), tiny.sample(both.clone()))
    assert not torch.allclose(tiny.sample(both), tiny.sample(tiny.apply(first)), atol=1e-3)


def test_a_factor_acts_once(tiny, random_factor, make_factor, setup):
    """Twice it would draw spurious classes. Another factor may be added by Apply Factor, as models may be merged."""
    once = tiny.apply(random_factor)
    again = tiny.load(random_factor.name)
    with pytest.raises(
        ValueError, match=f"model: '{random_factor.name}' is applied to it already.*before Apply Factor"
    ):
        tiny.apply(again, once)
    tiny.apply(again, tiny.apply(random_factor, strength=0.0))  # which is the plain model
    other = tiny.load(make_factor("the-second.safetensors", "time_adapter"))
    for factor in (again, other):
        with pytest.raises(
            ValueError, match=f"model: '{random_factor.name}' is applied to it already, and Sample Maps"
        ):
            tiny.host.call(
                "FGDM_SampleMaps", model=once, factor=factor, positive=tiny.encode("a dog"), negative=tiny.encode(""),
                vae=tiny.vae, objects=tiny.host.call("FGDM_Objects", text="a dog", mode="auto")[0], seed=0, count=1, steps=1,
                cfg=1.0, sampler="ddim", scheduler="normal", width=64, height=64, batch_size=1,
            )  # fmt: skip
        node = setup.variable("segmentation", model=once, factor=factor)
        for mode in ("joint", "sequential"):
            with pytest.raises(ValueError, match=f"variable 'segmentation': model: '{random_factor.name}' is applied"):
                setup.run(setup.graph(node), mode)


@pytest.mark.parametrize("size", [64, 72, 88])
def test_any_size_the_base_can_do(tiny, random_factor, size):
    """Odd latents too: 88 px is 11 x 11, whose levels are 11, 6 and 3."""
    out = tiny.sample(tiny.apply(random_factor), size=size, steps=1)
    assert out.shape[-1] == size // 8 and out.isfinite().all()
    assert not torch.equal(out, tiny.sample(tiny.model, size=size, steps=1))


@pytest.fixture(scope="module")
def low_rank(comfy_host, tiny):
    pair = comfy_host.engine("comfyui_fgdm.factors.files").LoraPair
    weights = tiny.unet.state_dict()
    torch.manual_seed(3)
    out = {}
    for key in ("input_blocks.1.0.in_layers.2.weight", "time_embed.0.weight", "out.2.weight"):
        shape = weights[key].shape
        out[key] = pair(down=torch.randn(4, shape[1:].numel()) * 0.05, up=torch.randn(shape[0], 4) * 0.05)
    return out


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_low_rank_deltas_change_the_base_by_up_times_down(tiny, make_factor, low_rank, strength):
    factor = tiny.load(make_factor("deltas.safetensors", lora=low_rank))
    patched = tiny.apply(factor, strength=strength)
    plain = tiny.unet.state_dict()
    expected = {
        "diffusion_model." + key: plain[key].float() + strength * (pair.up @ pair.down).reshape(plain[key].shape)
        for key, pair in low_rank.items()
    }
    assert set(patched.patches) == set(expected)
    for key, value in expected.items():
        found = patched.patch_weight_to_device(key, return_weight=True)
        torch.testing.assert_close(found.float(), value, atol=1e-3, rtol=1e-3)


def test_weights_are_kept_in_a_precision_that_the_device_computes_in(random_factor, factor):
    for loaded in (random_factor, factor):  # files in single and in half precision
        assert {p.dtype for p in loaded.patcher.model.parameters()} == {torch.float32}, "on a CPU"
