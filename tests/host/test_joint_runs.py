"""Joint runs: every variable is sampled with all that its own MODEL carries, and nothing of a run stays behind."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch

STEPS = 3


@pytest.fixture(scope="module")
def tools(comfy_host):
    return comfy_host.engine("comfyui_fgdm.host.graph.run")


def differential(host, model):
    return host.call("DifferentialDiffusion", model=model)[0]


def zero_snr(host, model):
    return host.call("ModelSamplingDiscrete", model=model, sampling="v_prediction", zsnr=True)[0]


def perturbed(host, model):
    return host.call("PerturbedAttentionGuidance", model=model, scale=3.0)[0]


def self_attention(host, model):
    return host.call("SelfAttentionGuidance", model=model, scale=0.7, blur_sigma=2.0)[0]


def rescaled(host, model):
    return host.call("RescaleCFG", model=model, multiplier=0.7)[0]


def free_u(host, model):
    return host.call("FreeU_V2", model=model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)[0]


def per_item(host, model):
    """An attention patch that treats the first item of its batch in a way of its own."""
    patched = model.clone()

    def output(n, extra_options):
        n = n.clone()
        n[0] *= 1.5
        return n

    patched.set_model_attn1_output_patch(output)
    return patched


PATCHES = [differential, zero_snr, perturbed, self_attention, rescaled, free_u, per_item]


def soft_mask(latent):
    return torch.linspace(0, 1, 64).expand(1, 64, 64)


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.__name__)
def test_each_variable_has_the_patches_of_its_own_model(setup, tiny, comfy_host, patch):
    """One MODEL patched, the other plain, in both orders, and both patched: each is what it is alone, bit for bit."""
    start = {"samples": 0.5 * torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(1))}
    if patch is differential:
        start["noise_mask"] = soft_mask(start)
    patched = patch(comfy_host, tiny.model)

    def node(name, model, seed):
        return setup.variable(name, model=model, seed=seed, latent=dict(start))

    alone = {}
    for name, model, seed in (("a", patched, 1), ("b", tiny.model, 2), ("c", patched, 3)):
        alone[name] = setup.run(setup.graph(node(name, model, seed)), steps=STEPS)[name]
        (core,) = comfy_host.call(
            "KSampler", model=model, seed=seed, steps=STEPS, cfg=3.0, sampler_name="euler", scheduler="normal",
            positive=tiny.encode("a dog on the grass"), negative=tiny.encode(""), latent_image=dict(start), denoise=1.0,
        )  # fmt: skip
        if patch is not zero_snr:  # its noise levels are others, too: the run's are those of the plain model
            assert torch.equal(alone[name], core["samples"]), name
    plain = setup.run(setup.graph(node("a", tiny.model, 1)), steps=STEPS)["a"]
    assert not torch.equal(alone["a"], plain), "the patch does something"
    for order in ("abc", "cba", "bac"):
        models = {"a": patched, "b": tiny.model, "c": patched}
        found = setup.run(
            setup.graph(*(node(name, models[name], "abc".index(name) + 1) for name in order)), steps=STEPS
        )
        for name in order:
            assert torch.equal(found[name], alone[name]), (order, name)
    again = setup.run(setup.graph(node("a", tiny.model, 1)), steps=STEPS)["a"]
    assert torch.equal(again, plain), "nothing is left of the patches"


def test_wrappers_of_every_kind_are_called_for_the_variable_that_has_them(setup, tiny, factor):
    import comfy.patcher_extension

    kinds = comfy.patcher_extension.WrappersMP
    wanted = [
        kinds.OUTER_SAMPLE,
        kinds.PREPARE_SAMPLING,
        kinds.SAMPLER_SAMPLE,
        kinds.PREDICT_NOISE,
        kinds.CALC_COND_BATCH,
    ]
    calls: list[str] = []
    model = tiny.model.clone()
    for kind in wanted:

        def wrapper(executor, *args, kind=kind, **kwargs):
            calls.append(kind)
            return executor(*args, **kwargs)

        model.add_wrapper_with_key(kind, "a_test", wrapper)
    setup.run(
        setup.graph(setup.variable("segmentation", factor=factor), setup.variable("image", model=model)), steps=STEPS
    )
    assert [calls.count(kind) for kind in wanted] == [1, 1, 1, STEPS, STEPS]


def tensors_of(value, seen=None) -> int:
    """How many tensors options hold, in any depth."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type):
        return 0
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        return 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    inner = (
        [*inner, *vars(value).values()]
        if hasattr(value, "__dict__") and type(value).__module__.startswith("comfy_extras")
        else inner
    )
    return sum(tensors_of(one, seen) for one in inner)


@pytest.mark.parametrize("cache", ["EasyCache", "LazyCache"])
def test_a_cache_saves_calls_of_its_variable_and_leaves_nothing_in_the_model(setup, tiny, comfy_host, factor, cache):
    (cached,) = comfy_host.call(
        cache, model=tiny.model, reuse_threshold=5.0, start_percent=0.0, end_percent=1.0, verbose=False
    )
    sizes: list[int] = []
    hook = tiny.unet.out.register_forward_pre_hook(lambda *_: sizes.append(1))
    counts = []
    for model in (tiny.model, cached):
        sizes.clear()
        node = setup.variable("image", model=model, seed=2)
        found = setup.run(setup.graph(setup.variable("segmentation", factor=factor), node), steps=12)
        counts.append(len(sizes))
        if model is cached:
            alone = setup.run(setup.graph(node), steps=12)["image"]
            assert torch.equal(found["image"], alone)
    hook.remove()
    assert counts[0] == 24 and counts[1] < 24
    before = tensors_of([cached.model_options, cached.wrappers])
    setup.run(setup.graph(setup.variable("segmentation", factor=factor), node), steps=4)
    assert tensors_of([cached.model_options, cached.wrappers]) == before


@pytest.mark.parametrize("patch", [perturbed, self_attention], ids=lambda patch: patch.__name__)
def test_patches_that_call_the_model_again_find_the_parents(setup, tiny, comfy_host, make_factor, patch):
    """A known segmentation and two children: each child is what it is without the other."""
    model = patch(comfy_host, tiny.model)
    depth = tiny.load(
        make_factor("again-d.safetensors", "time_adapter", variable="depth", parents=["segmentation"], palette=None)
    )
    normal = tiny.load(
        make_factor("again-n.safetensors", "adapter", variable="normal", parents=["segmentation"], palette=None)
    )
    parent = setup.graphs.Given("segmentation", samples=torch.randn(1, 12, 8, 8))
    nodes = [
        setup.variable("depth", model=model, factor=depth, seed=1), setup.variable("normal", model=model, factor=normal, seed=2)
    ]  # fmt: skip
    found = setup.run(setup.graph(parent, *nodes), steps=STEPS)
    for node in nodes:
        assert torch.equal(found[node.name], setup.run(setup.graph(parent, node), steps=STEPS)[node.name])


def test_a_child_is_shown_what_the_mask_of_its_parent_keeps(setup, tiny, make_factor, tools):
    """Where all of the parent is kept, the child sees it as if it had been given."""
    depth = tiny.load(
        make_factor("kept-d.safetensors", "time_adapter", variable="depth", parents=["segmentation"], palette=None)
    )
    start = 0.5 * torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(3))
    kept = setup.variable("segmentation", latent={"samples": start, "noise_mask": torch.zeros(1, 64, 64)}, seed=1)
    child = setup.variable("depth", factor=depth, seed=2)
    view = type(setup.joint.GraphSettings().view)("predicted x0")
    found = setup.run(setup.graph(kept, child), steps=STEPS, view=view)
    given = setup.run(setup.graph(setup.graphs.Given("segmentation", samples=start), child), steps=STEPS, view=view)
    torch.testing.assert_close(found["segmentation"], start, atol=1e-5, rtol=0)
    torch.testing.assert_close(found["depth"], given["depth"], atol=1e-5, rtol=1e-4)


def test_memory_is_asked_for_the_largest_variable_not_for_the_pack(setup, tiny, factor, monkeypatch):
    import comfy.model_management
    import comfy.sampler_helpers

    asked = []
    real = comfy.model_management.load_models_gpu

    def spy(models, memory_required=0, **kwargs):
        asked.append(memory_required)
        return real(models, memory_required=memory_required, **kwargs)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", spy)
    nodes = [setup.variable("segmentation", factor=factor, size=64), setup.variable("image", size=128)]
    setup.run(setup.graph(*nodes), steps=1)
    conds = {"positive": [{"cross_attn": tiny.encode("a dog on the grass")[0][0]}]}
    largest = comfy.sampler_helpers.estimate_memory(tiny.model, [1, 12, 16, 16], conds)[0]
    assert 0 < max(asked) <= 1.1 * largest


def test_all_models_are_loaded_at_every_call_of_the_unet(setup, tiny, factor, net, comfy_host):
    """The decoding of a hint takes the room of everything else, as on a small device: it is taken back."""
    import comfy.model_management

    class Greedy:
        patcher = tiny.vae.patcher

        def decode(self, latents):
            comfy.model_management.unload_all_models()
            return tiny.vae.decode(latents)

    missing: list[int] = []

    def check(_module, _inputs):
        there = {id(model.model) for model in comfy.model_management.loaded_models()}
        missing.extend(id(one) for one in (tiny.model.model, factor.patcher.model) if id(one) not in there)

    hook = tiny.unet.register_forward_pre_hook(check)
    try:
        graph = setup.graph(
            setup.variable("segmentation", factor=factor),
            setup.variable("image", controls=(setup.graphs.Control(net, "segmentation"),)),
        )
        found = setup.run(graph, steps=STEPS, vae=Greedy())
    finally:
        hook.remove()
    assert not missing
    assert torch.equal(found["image"], setup.run(graph, steps=STEPS)["image"])


def test_short_memory_halves_the_batch_and_every_item_keeps_its_prompt(setup, tiny, factor, tools, monkeypatch, caplog):
    texts = ["a dog on the grass", "two red cars", "a boat"]
    prompts = [[torch.cat([tiny.encode(text)[0][0] for text in texts]), {}]]
    image = setup.variable("image", batch=3, seed=2)
    image = type(image)(**{**vars(image), "positive": prompts})
    graph = setup.graph(setup.variable("segmentation", factor=factor, batch=3), image)
    whole = setup.run(graph, steps=STEPS)
    real = tools.JointRun.sample

    def short(self, noises, *rest):
        if len(noises[0]) > 1:
            raise torch.OutOfMemoryError("no memory")
        return real(self, noises, *rest)

    monkeypatch.setattr(tools.JointRun, "sample", short)
    parts = setup.run(graph, steps=STEPS)
    assert "two halves" in caplog.text
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=2e-4, rtol=1e-3)


def test_scheduled_weights_of_a_shared_base_are_refused(setup, tiny, comfy_host):
    import comfy.hooks

    hooks = comfy.hooks.HookGroup()
    hooks.add(comfy.hooks.WeightHook())
    one = setup.variable("a", seed=1)
    hooked = type(one)(**{**vars(one), "positive": [[one.positive[0][0], {"hooks": hooks}]]})
    with pytest.raises(Exception, match="'a' has a prompt with hooks.*shares its base model with 'b'"):
        setup.run(setup.graph(hooked, setup.variable("b", seed=2)))


def test_nothing_of_a_run_stays_in_a_cached_guider(setup, tiny, factor, net, comfy_host, tools, monkeypatch):
    runs: list[weakref.ref] = []
    real = tools.JointRun.__init__
    monkeypatch.setattr(
        tools.JointRun, "__init__", lambda self, *args: (runs.append(weakref.ref(self)), real(self, *args))[1]
    )
    graph = setup.graph(
        setup.variable("segmentation", factor=factor),
        setup.variable("image", controls=(setup.graphs.Control(net, "segmentation"),)),
    )
    guider = setup.joint.make_guider(graph, tiny.vae, setup.joint.Mode.JOINT, setup.joint.GraphSettings())
    sigmas = comfy_host.call("BasicScheduler", model=tiny.model, scheduler="normal", steps=2, denoise=1.0)[0]
    before = threading.active_count()
    for _ in range(2):
        comfy_host.call(
            "SamplerCustomAdvanced", noise=setup.graphs.GraphNoise(graph), guider=guider, sigmas=sigmas,
            sampler=comfy_host.call("KSamplerSelect", sampler_name="euler")[0],
            latent_image=setup.graphs.start_latent(graph),
        )  # fmt: skip
    gc.collect()
    assert len(runs) == 2 and all(run() is None for run in runs)
    assert threading.active_count() == before


def test_an_error_in_one_variable_ends_all_and_the_next_run_is_whole(setup, tiny, factor):
    model = tiny.model.clone()

    class Broken(Exception):
        pass

    def wrapper(executor, *args, **kwargs):
        raise Broken("in the second variable")

    model.add_wrapper_with_key("predict_noise", "a_test", wrapper)
    first, image = setup.variable("segmentation", factor=factor), setup.variable("image", seed=2)
    whole = setup.run(setup.graph(first, image), steps=STEPS)
    before = threading.active_count()
    with pytest.raises(Broken, match="second variable"):
        setup.run(setup.graph(first, setup.variable("image", model=model, seed=2)), steps=STEPS)
    assert threading.active_count() == before
    again = setup.run(setup.graph(first, image), steps=STEPS)
    assert all(torch.equal(again[name], whole[name]) for name in whole)
