"""Attend-and-Excite in the host: what it moves, that core's samplers follow, and that nothing stays behind."""

from __future__ import annotations

import pytest
import torch

TEXT = "a dog and a bicycle under a tree"


def run(tiny, sampler="euler", steps=4, batch=1, **settings):
    call = tiny.host.call
    given = {"text": TEXT, "words": "", "cfg": 3.0, "size": 0.5, "until": 0.5, "refine": False, **settings}
    prompts = {"positive": tiny.encode(TEXT), "negative": tiny.encode("")}
    (guider,) = call("FGDM_AttendExcite", model=tiny.model, clip=tiny.clip, **prompts, **given)
    (sigmas,) = call("BasicScheduler", model=tiny.model, scheduler="normal", steps=steps, denoise=1.0)
    (noise,) = call("RandomNoise", noise_seed=7)
    (chosen,) = call("KSamplerSelect", sampler_name=sampler)
    latent = tiny.latent(batch)
    out = call("SamplerCustomAdvanced", noise=noise, guider=guider, sampler=chosen, sigmas=sigmas, latent_image=latent)[
        0
    ]
    return out["samples"], guider


def test_without_moves_it_is_core_s_guider_and_with_them_all_steps_differ(tiny):
    plain = tiny.sample(tiny.model, steps=4)
    with torch.inference_mode():  # as nodes run
        for still in ({"size": 0.0}, {"until": 0.0}):
            torch.testing.assert_close(run(tiny, **still)[0], plain, atol=1e-4, rtol=0)
        moved, guider = run(tiny)
        assert (moved - plain).abs().max() > 0.01 and moved.isfinite().all() and not guider._weights
        assert torch.equal(run(tiny)[0], moved)
        assert run(tiny, sampler="dpmpp_2m", batch=2, steps=2)[0].shape[0] == 2
    assert torch.equal(tiny.sample(tiny.model, steps=4), plain), "the model is as it was"


def test_the_neglected_word_is_attended_to_more(tiny, comfy_host):
    """The share of the least attended subject at the first step, before and after its moves."""
    excite = comfy_host.engine("comfyui_fgdm.sampling.excite")
    seen, real = [], excite.shares

    def spy(*args):
        seen.append(float(real(*args).detach().min()))
        return real(*args)

    excite.shares = spy
    try:
        with torch.inference_mode():
            run(tiny, steps=1, until=1.0, refine=True)
    finally:
        excite.shares = real
    assert len(seen) >= 1 and seen[-1] >= min(seen[0], 0.05)


def test_subjects_are_the_last_tokens_of_words(tiny, comfy_host):
    find = comfy_host.engine("comfyui_fgdm.host.excite").subjects_of
    found = find(tiny.clip, TEXT)
    assert found.tokens == (2, 5, 8) and found.names == ("dog", "bicycle", "tree") and found.length == 9
    assert find(tiny.clip, TEXT, " tree, a Dog ").tokens == (8, 2)
    assert find(tiny.clip, "a dog, a bicycle.").tokens == (2, 5), "not the comma after it"
    for text, words, wrong in (
        (TEXT, "cat", "words: 'cat' is not in the text"),
        ("justice", "", "words: no object is named"),
    ):
        with pytest.raises(ValueError, match=wrong):
            find(tiny.clip, text, words)


def test_what_it_cannot_read_is_refused(tiny):
    other = tiny.model.clone()
    other.add_object_patch("diffusion_model", torch.nn.Linear(2, 2))
    prompts = {"positive": tiny.encode(TEXT), "negative": tiny.encode("")}
    options = {"text": TEXT, "words": "", "cfg": 3.0, "size": 0.5, "until": 0.5, "refine": False}
    with pytest.raises(ValueError, match="model: Attend-and-Excite reads the attention"):
        tiny.host.call("FGDM_AttendExcite", model=other, clip=tiny.clip, **prompts, **options)
