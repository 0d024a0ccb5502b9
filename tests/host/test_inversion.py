"""Inversion and edits by text in the host: exact, composed with what else acts on a model, refused where they cannot be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

SIZE, CELLS = 64, 8
DOG, SKY, GRASS = 17, 156, 123


class Edits:
    """Short ways to invert and edit."""

    def __init__(self, tiny, host):
        self.tiny, self.host = tiny, host
        self.empty = tiny.encode("")

    def invert(self, model=None, latent=None, **changed):
        inputs = {
            "seed": 3,
            "steps": 3,
            "skip": 0.2,
            "scheduler": "sgm_uniform",
            "order": "2",
            "source_cfg": 2.0,
        } | changed
        inputs.setdefault("negative", self.empty)
        latent = self.latent() if latent is None else latent
        return self.host.call("FGDM_Invert", model=model or self.tiny.model, latent={"samples": latent}, **inputs)[0]

    def latent(self, batch=2, cells=CELLS):
        return torch.randn(batch, 12, cells, cells, generator=torch.Generator().manual_seed(2))

    def concepts(self, text="+elephant -dog", **changed):
        inputs = {
            "scale": 4.0, "threshold": 0.8, "masks": "attention and noise", "where": "", "grow": 0, "warm_up": 0, "cool_down": 0,
        }  # fmt: skip
        return self.host.call("FGDM_Concepts", text=text, **inputs | changed)[0]

    def nothing(self):
        """A concept that never acts, so that an edit is a replay."""
        return self.concepts("+dog", warm_up=900)

    def edit(self, inversion, concepts, model=None, **changed):
        inputs = {"negative": self.empty, "hold_outside": True, "leave_out": 0} | changed
        return self.host.call(
            "FGDM_EditByText", model=model or self.tiny.model, clip=self.tiny.clip, inversion=inversion, concepts=concepts, **inputs
        )  # fmt: skip


@pytest.fixture(scope="module")
def edits(tiny, comfy_host):
    return Edits(tiny, comfy_host)


@pytest.fixture(scope="module")
def inversion(edits):
    return edits.invert()


@pytest.fixture(scope="module")
def drawn(comfy_host):
    """A map of 64 x 64: grass below sky, and a dog; as IMAGE."""
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    labels = torch.full((1, SIZE, SIZE), SKY)
    labels[:, 32:] = GRASS
    labels[:, 34:46, 10:22] = DOG
    return SimpleNamespace(labels=labels, image=palettes.encode(labels))


def hint_of(comfy_host, net, conditioning):
    image = torch.rand(1, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(1))
    return comfy_host.call(
        "ControlNetApplyAdvanced", positive=conditioning, negative=conditioning, control_net=net, image=image, strength=1.0,
        start_percent=0.0, end_percent=1.0,
    )[1]  # fmt: skip


def lora_on(model):
    """A clone with a low-rank change of one weight, as a LoRA loader leaves it."""
    name = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    patched = model.clone()
    rows, columns = model.model.state_dict()[name].shape
    patched.add_patches({name: ("diff", (torch.full((rows, columns), 0.02),))}, 0.7)
    return patched


@pytest.mark.parametrize(("tiny", "order"), [("plain", "2"), ("scaled", "1")], indirect=["tiny"])
def test_a_replay_gives_back_the_latent_under_factor_controlnet_and_lora(comfy_host, tiny, factor, order, net):
    edits = Edits(tiny, comfy_host)
    source = edits.latent()
    for model, negative in (
        (tiny.apply(factor), edits.empty),
        (tiny.model, hint_of(comfy_host, net, edits.empty)),
        (lora_on(tiny.model), edits.empty),
    ):
        found = edits.invert(model, source, order=order, negative=negative)
        replayed = edits.edit(found, edits.nothing(), model, negative=negative, leave_out=1)[0]["samples"]
        assert (replayed - source).abs().max() <= 1e-4
        assert found.inversion.residual.abs().max() > 1e-2, "which a replay without it would lose"


def test_an_edit_changes_the_latent_where_its_masks_say_and_never_the_model(tiny, edits, factor):
    model = tiny.apply(factor)
    plain, options = tiny.sample(model), repr(sorted(model.model_options["transformer_options"]))
    found = edits.invert(model)
    out, mask, shares = edits.edit(found, edits.concepts(), model)
    assert mask.shape == (2, SIZE, SIZE) and shares.shape == (4, SIZE, SIZE)  # two concepts of two latents
    assert 0 < mask.mean() < 1 and torch.equal(mask, (shares.reshape(2, 2, SIZE, SIZE).amax(0) > 0).float())
    assert (out["samples"] - edits.latent()).abs().amax() > 0.5
    assert (
        torch.equal(tiny.sample(model), plain) and repr(sorted(model.model_options["transformer_options"])) == options
    )
    alone = edits.edit(edits.invert(model, edits.latent()[1:], seed=4), edits.concepts(), model)
    torch.testing.assert_close(alone[0]["samples"][0], out["samples"][1], atol=1e-3, rtol=0)


def test_an_override_of_attention_that_is_there_goes_on_acting_and_sees_every_argument(tiny, edits):
    calls = []

    def louder(func, *args, **kwargs):
        calls.append(kwargs.get("transformer_options", {}).get("cond_or_uncond"))
        return 1.05 * func(*args, **kwargs)

    model = tiny.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = louder
    found = edits.invert(model)
    calls.clear()
    replayed = edits.edit(found, edits.nothing(), model)[0]["samples"]
    assert (replayed - edits.latent()).abs().max() <= 1e-4 and calls
    changed = edits.edit(found, edits.concepts(), model)[0]["samples"]
    assert [2, 1, 0] in calls or [0, 1, 2] in calls, "both concepts and the empty prompt in one call"
    assert not torch.allclose(changed, edits.edit(edits.invert(), edits.concepts())[0]["samples"], atol=1e-2)
    assert model.model_options["transformer_options"]["optimized_attention_override"] is louder


def test_the_empty_prompt_is_at_index_1_and_all_share_the_control_net(comfy_host, tiny, edits, net):
    negative = hint_of(comfy_host, net, edits.empty)
    seen = []

    def spy(executor, model, conds, *args, **kwargs):
        seen.append([None if group is None else group[0] for group in conds])
        return executor(model, conds, *args, **kwargs)

    model = tiny.model.clone()
    model.add_wrapper_with_key("calc_cond_batch", "a_test_spy", spy)
    model, calls = tiny.record_unet_calls(model)
    found = edits.invert(model, negative=negative)
    assert all(conds[0] is None and torch.equal(conds[1]["cross_attn"], edits.empty[0][0]) for conds in seen)
    seen.clear()
    calls.clear()
    edits.edit(found, edits.concepts(), model, negative=negative)
    assert len(seen) == len(calls) == 3, "one call of the network a step"
    for first, second, third in seen:
        assert torch.equal(second["cross_attn"], edits.empty[0][0])
        assert first["control"] is second["control"] is third["control"]
    assert all(len(x) == 3 * 2 for x, *_ in calls)


@pytest.mark.parametrize("grow", [0, 3])
def test_classes_of_the_map_bound_an_edit_exactly(edits, drawn, grow):
    source = edits.latent(1)
    found = edits.invert(latent=source)
    concepts = edits.concepts("+elephant", masks="region only", where="dog", grow=grow)
    out, mask, _ = edits.edit(found, concepts, map=drawn.image)
    top, bottom, left, right = 34 - grow, 46 + grow, 10 - grow, 22 + grow
    cells = torch.zeros(CELLS, CELLS)
    cells[top // 8 : (bottom + 7) // 8, left // 8 : (right + 7) // 8] = 1
    assert torch.equal(mask[0], cells.repeat_interleave(8, 0).repeat_interleave(8, 1))
    moved = (out["samples"] - source)[0].abs().amax(0)
    assert moved[cells == 0].max() <= 1e-4 and moved[cells == 1].min() > 1e-2
    own = torch.zeros(1, SIZE, SIZE)
    own[:, :, :16] = 1
    _, both, _ = edits.edit(
        found, edits.concepts("+elephant", masks="region only", where="dog", grow=grow, mask=own), map=drawn.image
    )
    assert torch.equal(both[0], mask[0] * own[0])


def test_an_inversion_is_saved_and_loaded_and_holds_for_its_model_alone(comfy_host, tiny, edits, factor, inversion):
    (name,) = comfy_host.call("FGDM_SaveInversion", inversion=inversion, filename="mine")
    (second,) = comfy_host.call("FGDM_SaveInversion", inversion=inversion, filename="mine")
    assert (name, second) == ("mine.safetensors", "mine-2.safetensors")
    assert {name, second} <= set(comfy_host.node("FGDM_LoadInversion").GET_SCHEMA().inputs[0].options)
    (loaded,) = comfy_host.call("FGDM_LoadInversion", inversion_name=name)
    edited = [edits.edit(one, edits.concepts())[0]["samples"] for one in (inversion, loaded)]
    assert torch.equal(*edited)
    with pytest.raises(ValueError, match=r"another model than the one connected \(other .*factors\)"):
        edits.edit(loaded, edits.concepts(), tiny.apply(factor))
    changed = lora_on(tiny.model)
    with pytest.raises(ValueError, match=r"other LoRAs\)"):
        edits.edit(loaded, edits.concepts(), changed)
    tiny.sample(changed)  # its weights are the loaded ones now, and the plain model is still itself
    assert torch.equal(
        edits.edit(loaded, edits.nothing())[0]["samples"], edits.edit(inversion, edits.nothing())[0]["samples"]
    )
    load = comfy_host.node("FGDM_LoadInversion")
    assert "there is no inversion '../mine.safetensors'" in load.validate_inputs("../mine.safetensors")
    with pytest.raises(ValueError, match="is no file name"):
        comfy_host.call("FGDM_SaveInversion", inversion=inversion, filename="../mine")
    files = comfy_host.engine("comfyui_fgdm.host.inversion.files")
    (files.folder() / "other.safetensors").write_bytes((files.folder() / name).read_bytes()[:200])
    with pytest.raises(ValueError, match=r"other\.safetensors: it cannot be read"):
        comfy_host.call("FGDM_LoadInversion", inversion_name="other.safetensors")


def test_a_finished_map_is_clean_inside_the_mask_and_bit_for_bit_the_old_one_outside(comfy_host, drawn):
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    noise = 0.02 * torch.rand(1, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(5))
    original = (drawn.image + noise).clamp(0, 1)
    edited = torch.where(drawn.labels == DOG, GRASS, drawn.labels)
    edited[:, 36:42, 12:20] = 21  # an elephant where the dog was,
    edited[:, 44, 11] = 0  # a speck,
    edited[:, 50:60, 40:60] = 0  # and a person outside of the mask
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 32:48, 8:24] = 1
    expected = edited.clone()
    expected[:, 44, 11] = GRASS
    out, changed = comfy_host.call(
        "FGDM_FinishMap", original=original, edited=palettes.encode(edited) - noise / 4, mask=mask, clean=0.0025
    )
    inside = mask.bool()
    different = inside & (expected != drawn.labels)
    assert torch.equal(out[~different], original[~different])
    assert torch.equal(out[different], palettes.encode(expected)[different])
    assert torch.equal(changed.bool(), different)
    with pytest.raises(ValueError, match="maps and mask differ in size"):
        comfy_host.call("FGDM_FinishMap", original=original, edited=original[:, :32], mask=mask, clean=0.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"text": " ,-; + "}, "names nothing to add"),
        ({"text": "+zyzzyva"}, "knows no word of 'zyzzyva'"),
        ({"text": "dog " * 60}, "longer than the text encoder reads"),
        ({"where": "dog"}, "no map is connected"),
        ({"where": "cat", "map": True}, "there is no cat on the map; there is dog, grass, sky-other"),
        ({"where": "unicorn", "map": True}, "where: palette 'coco183' has no class called 'unicorn'"),
        ({"map": (1, 32, 32, 3)}, "map: it has 1 pictures of 32 x 32 pixels"),
        ({"mask": torch.ones(3, 8, 8)}, "holds 3 masks, but the inversion 2 latents"),
        ({"leave_out": 3}, "start: 3 of 3 steps"),
        ({"warm_up": 3, "cool_down": 2}, "never acts"),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_refused_with_the_reason(edits, inversion, drawn, changed, words):
    given = {name: changed[name] for name in ("leave_out", "map") if name in changed}
    if "map" in given:
        given["map"] = drawn.image if given["map"] is True else torch.zeros(given["map"])
    with pytest.raises(ValueError, match=words):
        edits.edit(inversion, edits.concepts(**{k: v for k, v in changed.items() if k not in given}), **given)


def test_models_that_mix_noise_otherwise_and_skips_out_of_range_are_refused(comfy_host, tiny, edits):
    flow = comfy_host.call("ModelSamplingSD3", model=tiny.model, shift=3.0)[0]
    with pytest.raises(ValueError, match="model: inversion is for models that add noise"):
        edits.invert(flow)
    with pytest.raises(ValueError, match="skip: 1 is out of range"):
        edits.invert(skip=1.0)


def test_each_step_shows_its_masks_and_an_interrupt_leaves_all_as_it_was(tiny, edits, inversion):
    import comfy.model_management as mm
    import comfy.utils

    seen = []
    comfy.utils.set_progress_bar_global_hook(lambda value, total, preview, **kw: seen.append((value, total, preview)))
    try:
        expected = edits.edit(inversion, edits.concepts())[0]["samples"]
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert [(value, total) for value, total, _ in seen] == [(n, 3) for n in range(1, 4)]
    assert all(
        preview[1].size[0] >= 2 * preview[1].size[1] or preview[1].size[0] == preview[1].size[1] for *_, preview in seen
    )
    plain, block = tiny.sample(tiny.model), tiny.unet.middle_block[0]
    left = [2]

    def stop(*_):
        left[0] -= 1
        if left[0] == 0:
            mm.interrupt_current_processing(True)

    handle = block.register_forward_hook(stop)
    try:
        with pytest.raises(mm.InterruptProcessingException):
            edits.edit(inversion, edits.concepts())
    finally:
        handle.remove()
    assert not mm.processing_interrupted() and left[0] == 0
    assert torch.equal(edits.edit(inversion, edits.concepts())[0]["samples"], expected)
    assert torch.equal(tiny.sample(tiny.model), plain)


def test_an_object_moves_in_a_picture_and_nothing_else_changes(comfy_host, tiny, edits, drawn, net):
    """Inverted under a ControlNet with the old map, edited under it with the new one, pasted back, harmonised by core, and pasted."""
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    later = torch.where(drawn.labels == DOG, GRASS, drawn.labels)
    later[:, 34:46, 34:46] = DOG
    new = palettes.encode(later)
    old_hint, new_hint = (
        comfy_host.call(
            "ControlNetApplyAdvanced", positive=edits.empty, negative=edits.empty, control_net=net, image=image, strength=1.0,
            start_percent=0.0, end_percent=1.0,
        )[1]
        for image in (drawn.image, new)
    )  # fmt: skip
    before = tiny.decode(tiny.sample(tiny.model))
    latent = comfy_host.call("VAEEncode", pixels=before, vae=tiny.vae)[0]["samples"]
    found = edits.invert(latent=latent, negative=old_hint)
    concepts = edits.concepts("+dog", masks="region only", where="dog")
    drawn_anew = edits.edit(found, concepts, negative=new_hint, hold_outside=False, map=new)[0]["samples"]
    paste = {"original": before, "grow": 2, "feather": 3, "before": drawn.image, "after": new}
    image, mask = comfy_host.call("FGDM_PasteEdited", edited=tiny.decode(drawn_anew), **paste)
    noised = comfy_host.call(
        "SetLatentNoiseMask", samples=comfy_host.call("VAEEncode", pixels=image, vae=tiny.vae)[0], mask=mask
    )[0]
    (harmonised,) = comfy_host.call(
        "KSampler", model=tiny.model, seed=1, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal", positive=new_hint,
        negative=new_hint, latent_image=noised, denoise=0.4,
    )  # fmt: skip
    decoded = tiny.decode(harmonised["samples"])
    done, same = comfy_host.call("FGDM_PasteEdited", original=before, edited=decoded, grow=0, feather=0, mask=mask)
    outside = mask == 0
    assert torch.equal(same, mask) and torch.equal(done[outside], before[outside])
    assert torch.equal(done[mask == 1], decoded[mask == 1]) and not torch.equal(decoded[outside], before[outside])
    for labels in (drawn.labels, later):
        place = labels == DOG
        assert (mask[place] == 1).all() and (done - before)[place].abs().max() > 0.02
