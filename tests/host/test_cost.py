"""What a factor costs at each call of the UNet: what is computed, cast, copied and waited for."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture(scope="module")
def timed(tiny, make_factor):
    return tiny.load(make_factor("cost-time.safetensors", "time_adapter"))


@pytest.fixture
def rows(monkeypatch, timed):
    """How many rows the adapter was called with, call by call."""
    seen: list[int] = []
    forward = type(timed.patcher.model).forward

    def spy(self, x, emb=None):
        seen.append(len(x))
        return forward(self, x, emb)

    monkeypatch.setattr(type(timed.patcher.model), "forward", spy)
    return seen


@pytest.fixture(scope="module")
def features(comfy_host):
    return comfy_host.engine("comfyui_fgdm.host.models.features")


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_adapter_runs_once_for_both_halves_of_the_guidance(tiny, timed, rows, features, monkeypatch, batch):
    """With and without the prompt they are the same noisy latents."""
    once = tiny.sample(tiny.apply(timed), batch=batch, steps=1)
    assert rows == [batch]
    monkeypatch.setattr(features, "_alike", lambda *_: False)
    torch.testing.assert_close(tiny.sample(tiny.apply(timed), batch=batch, steps=1), once, atol=1e-4, rtol=1e-4)
    assert rows == [batch, 2 * batch]


def test_what_may_have_changed_some_rows_is_computed_in_full(tiny, timed, rows):
    """Whatever another pack puts between core and the UNet, its rows are not taken for granted."""

    def halved(executor, x, *args, **kwargs):
        return executor(torch.cat([x[:1], 0.5 * x[1:]]), *args, **kwargs)

    def function(apply_model, said):
        return apply_model(said["input"], said["timestep"], **said["c"])

    between = [tiny.apply(timed) for _ in range(4)]
    between[0].add_wrapper_with_key("diffusion_model", "another pack", halved)
    between[1].add_wrapper_with_key("apply_model", "another pack", halved)
    between[2].set_model_unet_function_wrapper(function)
    between[3].set_model_patch(lambda emb, *_: emb, "emb_patch")
    for model in between:
        tiny.sample(model, steps=1)
    assert rows == [2] * 4


class Watched(TorchDispatchMode):
    """Counts operations that make the host wait for the device."""

    def __init__(self):
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.name() in ("aten::equal", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero"):
            self.waits.append(function.name())
        return function(*args, **(kwargs or {}))


def test_no_call_waits_for_the_device_or_copies_to_it_again(tiny, depth, features, comfy_host, monkeypatch):
    """Parents and low-rank deltas are brought to the device at the first call of a run, and let go after it."""
    placed, copied = comfy_host.engine("comfyui_fgdm.host.models.placed").Placed, []
    like = placed.like
    monkeypatch.setattr(placed, "like", lambda self, other: copied.append(len(self.copies)) or like(self, other))
    watched, inner = [], features.FactorWrapper.features

    def features_of(self, *args):
        with Watched() as mode:
            out = inner(self, *args)
        watched.append(mode.waits)
        return out

    monkeypatch.setattr(features.FactorWrapper, "features", features_of)
    model = comfy_host.call(
        "FGDM_ApplyFactor", model=tiny.model, factor=depth, strength=1.0, start_percent=0.0, end_percent=1.0,
        parent=tiny.latent(),
    )[0]  # fmt: skip
    (wrapper,) = model.get_wrappers("diffusion_model", features.KEY)
    tiny.sample(model, steps=3)
    assert watched == [[]] * 3
    assert copied == [0, 1, 1], "one copy, at the first call"
    assert not wrapper.values.copies and wrapper.values.tensors


@pytest.mark.parametrize("tiny", ["fp16", "bf16"], indirect=True)
def test_the_adapter_is_held_in_the_precision_of_the_model(tiny, timed, monkeypatch):
    """A file in single precision under a model in half precision: converted once, not cast at every call."""
    import comfy.ops

    model = tiny.apply(timed)
    (patcher,) = model.get_additional_models_with_key("fgdm_factor")
    assert {p.dtype for p in patcher.model.parameters()} == {tiny.model.model_dtype()}
    assert {p.dtype for p in timed.patcher.model.parameters()} == {torch.float32}, "the factor as loaded stays"
    (again,) = tiny.apply(timed).get_additional_models_with_key("fgdm_factor")
    assert again.is_clone(patcher), "and is converted once for all that use it"
    cast, layers = [], set(patcher.model.modules())
    inner = comfy.ops.cast_bias_weight

    def spy(layer, input=None, **options):
        if layer in layers:
            cast.append(layer.weight.dtype == input.dtype)
        return inner(layer, input, **options)

    monkeypatch.setattr(comfy.ops, "cast_bias_weight", spy)
    tiny.sample(model, steps=1)
    assert cast and all(cast)


def test_a_copy_of_the_model_on_another_device_uses_its_own_adapter(tiny, timed, features):
    """As the host makes one for each further device: from the file, told by the device it is for."""
    here, there = torch.device("cpu"), torch.device("meta")
    factor = tiny.load(timed.name)
    assert factor.network(here) is factor.network(there) is factor.patcher.model
    clone = factor.patcher.clone().deepclone_multigpu(new_load_device=there)
    assert clone.model is not factor.patcher.model and clone.load_device == there
    assert factor.network(there) is clone.model and factor.network(here) is factor.patcher.model
    for mine, theirs in zip(factor.patcher.model.parameters(), clone.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    wrapper = features.FactorWrapper(factor, [1, 3, 5], 1.0, None, {}, False)
    wrapper.factor.copies[here] = doubled = Doubled(factor.patcher.model)
    x, steps = torch.randn(1, 12, 8, 8), torch.tensor([5.0])
    with torch.inference_mode():
        found = wrapper.features(tiny.unet, x, steps, None, {})
        expected = doubled(x, features.unet_embedding(tiny.unet, x, steps, None, {}))
    assert all(torch.equal(found[block], feature) for block, feature in zip((1, 3, 5), expected, strict=True))


class Doubled(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, emb):
        return [2 * feature for feature in self.network(x, emb)]
