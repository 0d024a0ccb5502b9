"""The embedded family as core's loaders read it, against the plain torch networks that were trained."""

from __future__ import annotations

import pytest
import torch

PROMPT = "a dog and a bicycle under a tree"
IMAGE_FACTOR = "fgdm-iconworld-image.safetensors"
DEPTH_IMAGE_FACTOR = "fgdm-iconworld-depth-image.safetensors"


@pytest.fixture(scope="module")
def family(comfy_host):
    return comfy_host.engine("comfyui_fgdm.iconworld.family.shipped").load()


@pytest.fixture(scope="module")
def sample(comfy_host):
    return comfy_host.engine("comfyui_fgdm.iconworld.family.sample")


def test_text_encoder(tiny, family, sample):
    for text in ("a dog and a bicycle under a tree", "", "two red cars, a quetzal"):
        context, _ = sample.encode(family.base, [text])
        torch.testing.assert_close(tiny.encode(text)[0][0], context, atol=1e-4, rtol=1e-4)


def test_prompt_weights_reach_the_words(tiny):
    plain, heavy = tiny.encode("a dog and a car")[0][0], tiny.encode("a (dog:1.5) and a car")[0][0]
    differs = (plain - heavy).abs().amax((0, 2)) > 1e-4
    assert differs[2] and not differs[0] and not differs[3:6].any()


@torch.no_grad()
def test_unet(tiny, family):
    model, calls = tiny.record_unet_calls(tiny.model)
    tiny.sample(model, batch=2, size=128, steps=2)
    assert len(calls) >= 2
    for x, t, context, out in calls:
        torch.testing.assert_close(out.float(), family.base.unet(x.float(), t, context), atol=2e-3, rtol=2e-3)


@torch.no_grad()
def test_segmentation_factor_with_its_low_rank_changes(tiny, family, factor):
    model, calls = tiny.record_unet_calls(tiny.apply(factor))
    tiny.sample(model, batch=2, size=128, steps=2)
    plain = 0.0
    for x, t, context, out in calls:
        torch.testing.assert_close(
            out.float(), family.factors["segmentation"].velocity(x.float(), t, context, None), atol=1e-2, rtol=1e-2
        )
        plain = max(plain, float((out - family.base.unet(x.float(), t, context)).abs().max()))
    assert plain > 0.1, "the factor changes the prediction by far more than the tolerance"


@torch.no_grad()
@pytest.mark.parametrize(("name", "which"), [(IMAGE_FACTOR, "segmentation"), (DEPTH_IMAGE_FACTOR, "depth")])
def test_image_factors(tiny, family, comfy_host, name, which):
    (net,) = comfy_host.call("FGDM_LoadEmbeddedImageFactor", image_factor_name=name)
    hint = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    positive, negative = comfy_host.call(
        "ControlNetApplyAdvanced", positive=tiny.encode("a dog"), negative=tiny.encode(""), control_net=net, image=hint,
        strength=1.0, start_percent=0.0, end_percent=1.0,
    )  # fmt: skip
    model, calls = tiny.record_unet_calls(tiny.model)
    comfy_host.call(
        "KSampler", model=model, seed=3, steps=2, cfg=3.0, sampler_name="euler", scheduler="normal", positive=positive,
        negative=negative, latent_image=tiny.latent(1, 128), denoise=1.0,
    )  # fmt: skip
    changed, trained = 0.0, family.controls[which]
    for x, t, context, out in calls:
        picture = hint.permute(0, 3, 1, 2).expand(len(x), -1, -1, -1)
        control = trained(x.float(), trained.input_hint_block(picture), t, context)
        expected = family.base.unet(x.float(), t, context, control=control)
        torch.testing.assert_close(out.float(), expected, atol=5e-3, rtol=5e-3)
        changed = max(changed, float((expected - family.base.unet(x.float(), t, context)).abs().max()))
    assert changed > 0.05


@torch.no_grad()
def test_depth_factor_below_a_map(tiny, family, comfy_host):
    factor = tiny.load("fgdm-iconworld-depth.safetensors")
    parent = torch.randn(1, 12, 16, 16, generator=torch.Generator().manual_seed(2))
    applied = comfy_host.call(
        "FGDM_ApplyFactor", model=tiny.model, factor=factor, strength=1.0, start_percent=0.0, end_percent=1.0,
        parent={"samples": parent},
    )[0]  # fmt: skip
    model, calls = tiny.record_unet_calls(applied)
    tiny.sample(model, size=128, steps=2)
    velocity = family.factors["depth"].velocity
    empty, moved = tiny.encode("")[0][0][0], 0.0
    for x, t, context, out in calls:
        unprompted = torch.tensor([torch.equal(c.float(), empty) for c in context])
        assert unprompted.tolist().count(True) == 1, "with the prompt and without"
        seen = torch.where(unprompted[:, None, None, None], 0 * parent, parent)
        expected = velocity(x.float(), t, context, seen)
        torch.testing.assert_close(out.float(), expected, atol=1e-2, rtol=1e-2)
        moved = max(moved, float((velocity(x.float(), t, context, 0 * seen) - expected).abs().max()))
    assert moved > 0.1, "the map changes the prediction by far more than the tolerance"


@torch.no_grad()
def test_autoencoder(tiny, family, comfy_host):
    pictures = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    latents = [
        comfy_host.call("VAEEncode", pixels=p, vae=tiny.vae)[0]["samples"]
        for p in (*pictures[:, None], pictures.mean(0)[None])
    ]
    assert latents[0].shape == (1, 12, 8, 8)
    torch.testing.assert_close(latents[2], (latents[0] + latents[1]) / 2, atol=5e-3, rtol=1e-2)
    decoded = tiny.decode(latents[0])
    torch.testing.assert_close(decoded, family.decode(latents[0].float()), atol=1.2 / 255, rtol=0)


def test_previews_show_the_mean_colours(tiny, comfy_host):
    grey = torch.full((1, 64, 64, 3), 0.5)
    grey[..., 0] = 0.9
    latent = comfy_host.call("VAEEncode", pixels=grey, vae=tiny.vae)[0]["samples"].float()
    looks = tiny.model.model.latent_format
    rgb = torch.einsum("bchw,cr->bhwr", latent, torch.tensor(looks.latent_rgb_factors)) + torch.tensor(
        looks.latent_rgb_factors_bias
    )
    torch.testing.assert_close((rgb + 1) / 2, grey[:, ::8, ::8], atol=0.02, rtol=0)


def test_registering_twice_changes_nothing(comfy_host):
    import comfy.supported_models

    before = list(comfy.supported_models.models)
    comfy_host.engine("comfyui_fgdm.host.models.family").register()
    assert comfy.supported_models.models == before


@torch.no_grad()
def test_a_wider_unet_of_two_levels_is_the_family_s_too(comfy_host, tmp_path):
    """The recipe in training has another shape of UNet: the host builds it, its image factor and its factor's place."""
    import comfy.controlnet
    import comfy.sd

    from comfyui_fgdm.iconworld.family import autoencoder, control, export, networks, parts, recipes

    torch.manual_seed(0)
    config = recipes.TIDY.unet
    assert config != networks.UNET
    base = parts.Base(config).eval()
    torch.nn.init.normal_(base.unet.out[2].weight, std=0.1)
    file, hints = tmp_path / "base.safetensors", tmp_path / "image.safetensors"
    export.write(file, export.base_state(autoencoder.Autoencoder(), base.text, base.unet), {})
    whole = control.WholeControl(base)
    for layer in whole.control.zero_convs:
        torch.nn.init.normal_(layer[0].weight, std=0.1)
    export.write(hints, whole.state(), {})
    model, clip, vae = comfy.sd.load_checkpoint_guess_config(str(file))[:3]
    assert (model.model.diffusion_model.model_channels, vae.latent_channels) == (96, 12)
    x, t = torch.randn(2, 12, 16, 16), torch.tensor([500, 10])
    context = base.text(torch.randint(3, 100, (2, 48)))
    out = model.model.diffusion_model.float()(x, t, context=context)
    torch.testing.assert_close(out, base.unet(x, t, context), atol=5e-3, rtol=5e-3)
    net, hint = comfy.controlnet.load_controlnet(str(hints)).control_model.float(), torch.rand(2, 3, 128, 128)
    found = net(x, hint, t, context)
    expected, last = whole.control(x, whole.control.input_hint_block(hint), t, context)
    for one, wanted in zip((*found["output"], *found["middle"]), (*expected, last), strict=True):
        torch.testing.assert_close(one, wanted, atol=5e-3, rtol=5e-3)
    assert clip.tokenize("a dog")


def test_the_evaluator_samples_what_the_nodes_sample(tiny, family, comfy_host, factor):
    """The figures of the model card are taken by the evaluator's own sampling: its maps are those of Sample Maps."""
    measuring = comfy_host.engine("comfyui_fgdm.iconworld.measure.measuring")
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    objects = comfy_host.call("FGDM_Objects", text=PROMPT, mode="auto")[0]
    sampled = comfy_host.call(
        "FGDM_SampleMaps", model=tiny.model, factor=factor, positive=tiny.encode(PROMPT), negative=tiny.encode(""),
        vae=tiny.vae, objects=objects, seed=11, count=4, steps=measuring.MAP_STEPS, cfg=measuring.MAP_CFG, sampler="ddim",
        scheduler="sgm_uniform", width=0, height=0, batch_size=4,
    )[1]  # fmt: skip
    noise = comfy_host.engine("comfyui_fgdm.sampling.noise").candidate_batch(11, range(4), (12, 16, 16))
    drawn = measuring.draw_maps(family, family.map("segmentation"), noise, PROMPT)
    labels = [palettes.decode(one.float(), palettes.COCO, factor.info.classes) for one in (sampled, drawn)]
    agreement = float((labels[0] == labels[1]).float().mean())
    assert agreement > 0.98, "the host computes in the precision of its device, the evaluator in single"
