"""Candidates: the noise of seed + k whatever the count and the batch, memory, progress, interruption."""

from __future__ import annotations

import dataclasses
import json
import logging

import pytest
import torch


def test_noise_of_item_k_is_that_of_core_with_seed_plus_k(tiny):
    from comfy.sample import prepare_noise

    seed = 2**64 - 2  # the third candidate wraps around to seed 0
    latent = tiny.latent(4)
    (noise,) = tiny.host.call("FGDM_CandidateNoise", seed=seed)
    found = noise.generate_noise(latent)
    for k in range(4):
        assert torch.equal(found[k : k + 1], prepare_noise(latent["samples"][:1], (seed + k) % 2**64))
    picked = noise.generate_noise({**tiny.latent(2), "batch_index": [3, 1]})
    assert torch.equal(picked, found[[3, 1]])


def test_small_nodes_make_the_candidates_of_the_one_node(tiny, factor):
    call = tiny.host.call
    model = tiny.apply(factor)
    (noise,) = call("FGDM_CandidateNoise", seed=11)
    (guider,) = call("CFGGuider", model=model, positive=tiny.encode("a dog"), negative=tiny.encode(""), cfg=3.0)
    (sampler,) = call("KSamplerSelect", sampler_name="ddim")
    (sigmas,) = call("BasicScheduler", model=model, scheduler="normal", steps=2, denoise=1.0)
    latents = call(
        "SamplerCustomAdvanced", noise=noise, guider=guider, sampler=sampler, sigmas=sigmas, latent_image=tiny.latent(4)
    )[0]
    maps = call(
        "FGDM_SampleMaps", model=tiny.model, factor=factor, positive=tiny.encode("a dog"), negative=tiny.encode(""),
        vae=tiny.vae, objects=call("FGDM_Objects", text="a dog", mode="auto")[0], seed=11, count=4, steps=2, cfg=3.0,
        sampler="ddim", scheduler="normal", width=64, height=64, batch_size=4,
    )[1]  # fmt: skip
    assert torch.equal(maps, tiny.decode(latents["samples"]))


def test_the_same_call_gives_the_same_bytes_and_another_batch_the_same_maps(tiny, factor, same_maps):
    """The noise of a candidate is exact. What kernels make of it differs in the last bits with the shape of a call."""
    maps = tiny.sample_maps(factor, seed=20, count=5, batch=4)[1]
    assert torch.equal(tiny.sample_maps(factor, seed=20, count=5, batch=4)[1], maps)
    for count, batch in ((5, 3), (5, 5), (1, 4)):
        same_maps(tiny.sample_maps(factor, seed=20, count=count, batch=batch)[1], maps[:count])
    same_maps(tiny.sample_maps(factor, seed=23, count=1, batch=4)[1], maps[3:4])
    assert (maps[0] - maps[1]).abs().max() > 0.1, "other candidates are other maps"


@pytest.mark.parametrize(("count", "batch", "sizes"), [(1, 4, [1]), (5, 3, [3, 2]), (2, 1, [1, 1])])
def test_as_many_are_sampled_as_asked_for_from_the_noise_of_their_seeds(
    tiny, factor, comfy_host, monkeypatch, count, batch, sizes
):
    import comfy.sample

    noises, real = [], comfy.sample.sample

    def spy(model, noise, *args, **kwargs):
        noises.append(noise.clone())
        return real(model, noise, *args, **kwargs)

    monkeypatch.setattr(comfy.sample, "sample", spy)
    maps = tiny.sample_maps(factor, seed=20, count=count, batch=batch, steps=1)[1]
    assert [len(noise) for noise in noises] == sizes and len(maps) == count
    for k, noise in enumerate(torch.cat(noises)):
        assert torch.equal(noise[None], comfy.sample.prepare_noise(tiny.latent()["samples"], 20 + k))


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde", "lcm", "uni_pc"])
def test_candidate_of_any_sampler_is_that_of_core_with_its_seed(tiny, factor, sampler):
    maps = tiny.sample_maps(factor, seed=31, count=2, batch=2, sampler=sampler)[1]
    model = tiny.apply(factor)
    for k in range(2):
        alone = tiny.decode(tiny.sample(model, seed=31 + k, steps=2, sampler=sampler))
        torch.testing.assert_close(maps[k : k + 1], alone, atol=1e-4, rtol=0)
    assert (maps[0] - maps[1]).abs().max() > 0.01


def test_every_sampler_of_the_host_can_be_classified(tiny):
    import comfy.samplers

    couples = tiny.host.engine("comfyui_fgdm.host.candidates").couples_batch
    names = comfy.samplers.KSampler.SAMPLERS
    coupled = {name for name in names if couples(name)}
    assert {n for n in names if "ancestral" in n or "sde" in n} <= coupled | {"euler_ancestral_cfg_pp"}
    assert not coupled & {"euler", "heun", "ddim", "dpmpp_2m", "uni_pc", "lms", "ipndm", "deis"}


def test_no_memory_for_a_batch_halves_it_and_says_so(tiny, factor, caplog, same_maps):
    """The device is told to be out of memory for more than 4 items (2 candidates with guidance)."""
    sizes = []

    def small_device(executor, x, *args, **kwargs):
        sizes.append(len(x))
        if len(x) > 4:
            raise torch.OutOfMemoryError("out of memory on purpose")
        return executor(x, *args, **kwargs)

    expected = tiny.sample_maps(factor, count=5, batch=6)[1]
    limited = tiny.model.clone()
    limited.add_wrapper_with_key("diffusion_model", "z_small_device", small_device)
    whole, tiny.model = tiny.model, limited
    try:
        with caplog.at_level(logging.WARNING):
            maps = tiny.sample_maps(factor, count=5, batch=6)[1]
    finally:
        tiny.model = whole
    same_maps(maps, expected)
    assert "no memory for a batch of 5 candidates; going on with 2" in caplog.text
    assert sizes == [10, 4, 4, 4, 4, 2, 2], "the first try, then two steps of two, two and one"


def test_no_memory_for_one_candidate_is_an_error(tiny, factor):
    def no_device(executor, *args, **kwargs):
        raise torch.OutOfMemoryError("out of memory on purpose")

    whole, tiny.model = tiny.model, tiny.model.clone()
    tiny.model.add_wrapper_with_key("diffusion_model", "z_no_device", no_device)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            tiny.sample_maps(factor, count=3, batch=3)
    finally:
        tiny.model = whole


def test_outputs_agree_with_each_other(tiny, factor):
    best, maps, chart, recall, text, _ = tiny.sample_maps(factor, seed=5, count=4)
    report = json.loads(text)
    assert [one["seed"] for one in report["maps"]] == [5, 6, 7, 8]
    assert torch.equal(best, maps[report["best"][:1]])
    assert recall == pytest.approx(max(one["recall"] for one in report["maps"]), abs=1e-6)
    assert maps.shape == (4, 64, 64, 3) and chart.ndim == 4 and chart.shape[0] == 1
    assert 0 <= float(maps.min()) and float(maps.max()) <= 1


def test_progress_reaches_its_end_with_previews_of_the_maps(tiny, factor):
    import comfy.utils

    seen = []
    comfy.utils.set_progress_bar_global_hook(lambda value, total, preview, **kw: seen.append((value, total, preview)))
    try:
        chart = tiny.sample_maps(factor, count=5, batch=2, steps=3)[2]
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    values = [value for value, _, _ in seen]
    assert values == sorted(values) and values[-1] == seen[-1][1] == 15
    sheets = [preview[1].size for _, _, preview in seen if preview is not None]
    assert sheets[-2] == (5 * 3 * 64, 5 * 2 * 64), "five maps in a grid of three columns, as large as a preview may be"
    assert sheets[-1] == (chart.shape[2], chart.shape[1]), "and the chart at last"


class _InterruptAfter:
    """Asks the host to stop at the given call of a place in the pipeline."""

    def __init__(self, calls: int):
        self.left = calls

    def __call__(self):
        import comfy.model_management as mm

        self.left -= 1
        if self.left == 0:
            mm.interrupt_current_processing(True)


@pytest.mark.parametrize("place", ["first step", "within a step", "second batch", "decoding"])
def test_interrupt_in_each_stage_and_run_again(tiny, factor, place):
    import comfy.model_management as mm

    expected = tiny.sample_maps(factor, count=4, batch=2)[1]
    plain = tiny.sample(tiny.model)
    calls = []
    stop = _InterruptAfter({"first step": 1, "within a step": 2, "second batch": 4, "decoding": 1}[place])
    handles = []
    if place == "within a step":
        network = factor.patcher.model
        handles.append(network.body[2].register_forward_hook(lambda *_: stop()))
        handles.append(network.body[5].register_forward_hook(lambda *_: calls.append("after")))
    elif place == "decoding":
        decoder = tiny.vae.first_stage_model.taesd_decoder
        handles.append(list(decoder.children())[1].register_forward_hook(lambda *_: stop()))
    else:
        handles.append(factor.patcher.model.register_forward_hook(lambda *_: stop()))
    try:
        with pytest.raises(mm.InterruptProcessingException):
            tiny.sample_maps(factor, count=4, batch=2)
    finally:
        for handle in handles:
            handle.remove()
    assert not mm.processing_interrupted()
    if place == "within a step":
        assert len(calls) == 1, "the second step stopped before its last block"
    assert torch.equal(tiny.sample_maps(factor, count=4, batch=2)[1], expected)
    assert torch.equal(tiny.sample(tiny.model), plain)


MANY = "giraffe, boat, dog, tree, airplane, train, bus, cow, sheep, zebra, elephant, car"
"""More than one map of 64 pixels holds."""


def wanted(host, text: str):
    return host.call("FGDM_Objects", text=text, mode="auto")[0]


def test_a_search_of_one_candidate_is_core_s_sampler(tiny, factor, same_maps):
    maps = tiny.sample_maps(factor, seed=41, count=1, batch=4, stop_at=1.0, prune=True)[1]
    alone = tiny.decode(tiny.sample(tiny.apply(factor), seed=41, steps=2, sampler="ddim"))
    same_maps(maps, alone)


def test_a_search_stops_at_the_threshold_or_gives_the_best_it_has_seen(tiny, factor, same_maps):
    import comfy.utils

    objects = wanted(tiny.host, "grass, sky, tree and a dog")
    everything = tiny.sample_maps(factor, objects=objects, count=7, batch=4)
    recalls = [one["recall"] for one in json.loads(everything[4])["maps"]]
    assert len(set(recalls)) > 1, "else the test shows nothing"
    assert json.loads(everything[4])["search"]["candidates"] == 7, "without the new inputs all are sampled"
    ends = [1, 3, 7]  # of the batches
    for stop_at in (*sorted(set(recalls) - {0.0}), 1.0):
        seen = []
        comfy.utils.set_progress_bar_global_hook(
            lambda value, total, preview, seen=seen, **_: seen.append((value, total))
        )
        try:
            best, maps, _, recall, text, _ = tiny.sample_maps(
                factor, objects=objects, count=7, batch=4, stop_at=stop_at
            )
        finally:
            comfy.utils.set_progress_bar_global_hook(None)
        expected = next((end for end in ends if max(recalls[:end]) >= stop_at - 1e-6), 7)
        same_maps(maps, everything[1][:expected])
        report = json.loads(text)
        assert report["search"] == {
            "budget": 7, "candidates": expected, "finished": expected, "pruned": [], "stop_at": stop_at,
            "met": max(recalls) >= stop_at - 1e-6, "interrupted": False, "unet_evaluations": 4 * expected,
        }  # fmt: skip
        assert recall == pytest.approx(max(recalls[:expected]), abs=1e-6) and torch.equal(
            best, maps[report["best"][:1]]
        )
        values = [value for value, _ in seen]
        assert values == sorted(values) and seen[-1] == (14, 14), "the bar ends, however early the search"


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpm_2"])
def test_pruning_changes_no_map_that_survives(tiny, factor, same_maps, sampler):
    """An object that no map holds: the whole budget is used, and of batches of three and four, half."""
    options = {
        "objects": wanted(tiny.host, MANY),
        "count": 7,
        "batch": 4,
        "steps": 3,
        "sampler": sampler,
    }
    everything = tiny.sample_maps(factor, **options)[1]
    _, maps, _, _, text, _ = tiny.sample_maps(factor, **options, stop_at=1.0, prune=True)
    report = json.loads(text)
    kept = [one["seed"] - 11 for one in report["maps"]]
    assert len(kept) == 5 and kept[:3] == [0, 1, 2] and sorted(kept + report["search"]["pruned"]) == list(range(7))
    same_maps(maps, everything[kept])
    calls = {"ddim": 1, "euler": 1}.get(sampler, 2)
    last = 1 if calls == 2 else 0  # the last step of the others takes one evaluation
    assert report["search"]["unet_evaluations"] == 2 * (calls * (5 * 3 + 2 * 2) - last * 5)


def test_samplers_with_a_history_are_not_pruned_and_that_is_said(tiny, factor, monkeypatch):
    said = []
    monkeypatch.setattr(
        tiny.host.engine("comfyui_fgdm.host.progress"), "show_text", lambda text, node: said.append(text)
    )
    objects = wanted(tiny.host, "dog")
    said.clear()
    maps = tiny.sample_maps(factor, objects=objects, count=7, batch=4, sampler="dpmpp_2m", stop_at=1.0, prune=True)[1]
    assert (
        "not pruned, since dpmpp_2m cannot be left half-way" in said[-1]
        and "of 7 candidates" in said[-1]
        or len(maps) == 7
    )


def test_predictions_are_decoded_where_colours_cannot_be_fitted(tiny, factor, monkeypatch, same_maps):
    search = tiny.host.engine("comfyui_fgdm.host.sample_maps")
    options = {"objects": wanted(tiny.host, MANY), "count": 7, "batch": 4, "steps": 3}
    everything = tiny.sample_maps(factor, **options)[1]
    monkeypatch.setattr(search, "TRUSTED", 2.0)
    _, maps, _, _, text, _ = tiny.sample_maps(factor, **options, stop_at=1.0, prune=True)
    same_maps(maps, everything[[one["seed"] - 11 for one in json.loads(text)["maps"]]])
    assert len(maps) == 5


@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupted_search_ends_the_run_or_gives_the_best_it_has(tiny, factor, keep):
    import comfy.model_management as mm

    objects = wanted(tiny.host, MANY)
    expected = tiny.sample_maps(factor, objects=objects, count=1)[1]
    stop = _InterruptAfter(4)  # in the second batch
    handle = factor.patcher.model.register_forward_hook(lambda *_: stop())
    options = {"objects": objects, "count": 7, "stop_at": 1.0, "keep_on_interrupt": keep}
    try:
        if keep:
            _, maps, _, _, text, _ = tiny.sample_maps(factor, **options)
            assert torch.equal(maps, expected) and json.loads(text)["search"]["interrupted"]
        else:
            with pytest.raises(mm.InterruptProcessingException):
                tiny.sample_maps(factor, **options)
        stop.left = 1  # where nothing is finished yet
        with pytest.raises(mm.InterruptProcessingException):
            tiny.sample_maps(factor, **options)
    finally:
        handle.remove()
    assert not mm.processing_interrupted()


@pytest.mark.parametrize("stop_at", [-0.1, 1.5, float("nan")])
def test_thresholds_out_of_range(tiny, factor, stop_at):
    with pytest.raises(ValueError, match="stop_at: .*(0 to 1)"):
        tiny.sample_maps(factor, count=1, stop_at=stop_at)


def test_objects_that_the_factor_cannot_draw_are_refused_before_sampling(tiny, factor, monkeypatch):
    monkeypatch.setattr(tiny.host.engine("comfyui_fgdm.host.sample_maps"), "CandidateSampler", None)
    with pytest.raises(ValueError, match="the factor can draw none of: toothbrush"):
        tiny.sample_maps(factor, objects=wanted(tiny.host, "toothbrush"))


@pytest.mark.parametrize("node", ["FGDM_SampleMaps", "FGDM_BestOfN"])
def test_the_search_runs_alone_and_says_what_is_not_counted(tiny, factor, comfy_host, monkeypatch, node):
    """As the last node of a prompt it is an output; its line of words and its chart are there in any case."""
    said = []
    progress = comfy_host.engine("comfyui_fgdm.host.progress")
    monkeypatch.setattr(progress, "show_text", lambda text, node: said.append(text))
    objects = comfy_host.call("FGDM_Objects", text="a dog near a unicorn", mode="auto")[0]
    said.clear()
    if node == "FGDM_SampleMaps":
        _, _, chart, *_, table = tiny.sample_maps(factor, objects=objects, count=2, steps=1)
    else:
        maps = tiny.sample_maps(factor, count=2, steps=1)[1]
        said.clear()
        _, chart, *_, table = comfy_host.call(node, maps=maps, objects=objects, keep=1, min_area=0.001, erode=1)
    assert comfy_host.node(node).GET_SCHEMA().is_output_node
    assert said == ["1 object: dog; not counted: unicorn"]
    assert chart.shape != table.shape and chart.shape[1] > 400, "large pictures, and the table beside them"


def test_people_find_the_nodes_by_their_own_words(comfy_host):
    words = {
        alias
        for name, cls in comfy_host.nodes.NODE_CLASS_MAPPINGS.items()
        if name.startswith("FGDM_")
        for alias in cls.GET_SCHEMA().search_aliases
    }
    assert {"depth", "semantic", "composition", "missing objects", "variations"} <= words


def test_the_best_of_any_batch_by_scores_from_another_node(comfy_host):
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 2, "color": 255}},
        "2": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 65280}},
        "3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
        "4": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": '{"maps": [{"recall": 0.5}, {"recall": 0.25}, {"recall": 0.75}]}'}},
        "5": {"class_type": "FGDM_SelectBest", "inputs": {"images": ["3", 0], "keep": 2, "best": "highest", "text": "", "wanted": "", "scores": ["4", 0]}},
    }  # fmt: skip
    run = comfy_host.run(prompt, wanted=["5"])
    images, sheet, score, index, text = (run.output("5", k) for k in range(5))
    assert (index, score) == (2, 0.75) and images.shape == (2, 8, 8, 3) and sheet.ndim == 4
    assert images[0, 0, 0].tolist() == [0.0, 1.0, 0.0] and json.loads(text)["best"] == [2, 0, 1]
    boxes = [[{"label": "dog"}], [{"label": "cat"}, {"label": "dog"}]]  # as RT-DETR gives them
    call = {"images": [images], "keep": [1], "best": ["lowest"], "text": ["0.5, 0.25"], "wanted": ["cat"]}
    assert comfy_host.call("FGDM_SelectBest", **call)[3] == 1
    assert comfy_host.call("FGDM_SelectBest", **call, scores=[0.25, 0.5])[3] == 0, "one by one, as a list of the host's"
    assert comfy_host.call("FGDM_SelectBest", **call | {"best": ["highest"]}, scores=[boxes])[2:4] == (1.0, 1)
    for wrong, message in (({"text": ["1"]}, "1 scores for 2 pictures"), ({"keep": [3]}, "keep: 3 of 2 pictures")):
        with pytest.raises(ValueError, match=message):
            comfy_host.call("FGDM_SelectBest", **call | wrong)


def test_a_cache_of_core_before_it_takes_fewer_evaluations_for_much_the_same_maps(tiny, factor):
    """In batches of one, so that no candidate decides for another what is left out."""
    (cached,) = tiny.host.call(
        "EasyCache", model=tiny.model, reuse_threshold=1.0, start_percent=0.15, end_percent=0.95, verbose=False
    )
    found = [
        dataclasses.replace(tiny, model=model).sample_maps(factor, count=2, batch=1, steps=12)
        for model in (tiny.model, cached)
    ]
    plain, fewer = (json.loads(one[4])["search"]["unet_evaluations"] for one in found)
    assert plain == 2 * 2 * 12 and fewer < plain
    apart = (found[0][1] - found[1][1]).abs().mean()
    assert 0 < apart < (found[0][1][0] - found[0][1][1]).abs().mean(), "nearer than another candidate"
