"""Stable Diffusion 1.x as a base of training twice, from one random file: as a MODEL of the host, and as diffusers' UNet.

The file has the layout of the real one, with its own VAE and text encoder, and a UNet a tenth as wide.
"""

from __future__ import annotations

import dataclasses
import socket

import pytest
import torch
from safetensors.torch import load_file

from tools import random_sd15
from tools.toy_folder import write_maps

FACTOR = "trained-on-diffusers.safetensors"
NARROW = random_sd15.LEVELS | {"model_channels": 32, "transformer_depth_output": [1] * 9 + [0] * 3, "out_channels": 4}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The tensors are small: threads of several processes would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shapes(comfy_host) -> dict[str, tuple[int, ...]]:
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**NARROW, device="meta").state_dict()
    narrow = {random_sd15.UNET + name: tuple(value.shape) for name, value in unet.items()}
    return narrow | random_sd15.autoencoder_shapes() | random_sd15.text_shapes()


@pytest.fixture(scope="module")
def checkpoint(shapes, tmp_path_factory):
    path = tmp_path_factory.mktemp("narrow") / "narrow-sd15.safetensors"
    random_sd15.write(path, shapes, seed=1)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def sd15(tiny, checkpoint):
    """The parts of the file as the host has them; its own loader knows this family by its width alone."""
    import comfy.model_patcher
    import comfy.sd
    import comfy.supported_models

    state = load_file(checkpoint)
    unet, pictures, words = (
        {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        for prefix in (random_sd15.UNET, random_sd15.AUTOENCODER, "cond_stage_model.transformer.")
    )
    model = comfy.supported_models.SD15(dict(NARROW)).get_model({}, "")
    model.diffusion_model.load_state_dict(unet)
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    clip = comfy.sd.load_text_encoder_state_dicts([words], clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)
    return dataclasses.replace(tiny, model=patcher, clip=clip, vae=comfy.sd.VAE(sd=pictures))


@pytest.fixture(scope="module")
def bases(comfy_host, checkpoint, sd15):
    loading = comfy_host.engine("comfyui_fgdm.training.stable_diffusion.loading")
    return (
        comfy_host.engine("comfyui_fgdm.host.training.base").HostBackbone(sd15.model, sd15.clip, sd15.vae),
        loading.load(checkpoint, loading.Held(near=(comfy_host.comfyui,))),
    )


def test_a_factor_trained_by_the_command_samples_in_the_host(
    comfy_host, checkpoint, sd15, factor_folder, tmp_path, monkeypatch
):
    """From a .ckpt file, without the network."""
    write_maps(tmp_path / "data", 2)
    torch.save({"state_dict": load_file(checkpoint), "global_step": 1}, tmp_path / "narrow.ckpt")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'output = "out"\nbase = "narrow.ckpt"\n[factor]\nrank = 2\n[data]\nfolder = "data"\nsize = 64\nflip = false\n'
        '[training]\nsteps = 3\nbatch = 1\nprecision = "float32"\nlr = 1e-2\nwarmup = 1\n[watch]\nsamples = 1\nrecall = 0\n'
        f'sample_steps = 1\n[frozen]\ntokenizer = "{comfy_host.comfyui / "comfy" / "sd1_tokenizer"}"\n'
    )

    def refuse(*args, **kwargs):
        raise AssertionError(f"asked the network for {args}")

    with monkeypatch.context() as offline:
        offline.setattr(socket.socket, "connect", refuse)
        offline.setattr(socket, "getaddrinfo", refuse)
        assert comfy_host.engine("comfyui_fgdm.__main__").main(["train", str(recipe)]) == 0
    (file,) = tmp_path.rglob("segmentation.safetensors")
    file.rename(factor_folder / FACTOR)
    comfy_host.folder_paths.filename_list_cache.clear()
    factor = sd15.load(FACTOR)
    (factor_folder / FACTOR).unlink()
    assert (factor.info.base_family, factor.info.prediction_type) == ("sd15", "eps") and factor.lora
    drawn, plain = (sd15.sample(model) for model in (sd15.apply(factor), sd15.model))
    assert drawn.isfinite().all() and float((drawn - plain).norm() / plain.norm()) > 1e-3


def test_the_file_is_read_alike(bases):
    """All weights of the UNet, and what pictures, maps and prompts become."""
    host, other = bases
    assert dataclasses.replace(host.facts, fingerprint="") == dataclasses.replace(other.facts, fingerprint="")
    assert host.weights.keys() == other.weights.keys()
    assert all(torch.equal(value, other.weights[name]) for name, value in host.weights.items())
    texts = [
        "a dog on the grass",
        "",
        "Two  cars, parked: it's 10 o'clock!",
        "a photo of \u5c0f\u3055\u3044\u72ac & caf\u00e9",
        "dog, " * 60,
    ]
    torch.testing.assert_close(other.prompts(texts), host.prompts(texts), atol=2e-4, rtol=1e-3)
    words = ["a", "dog,", "traffic-light", "xylophonist"]
    assert other.lengths(words) == host.lengths(words) == [1, 2, 3, 4]
    read = other.tokens.tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]
    assert sum(other.lengths(words)) == len(read)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    latent = other.encode(picture)
    torch.testing.assert_close(latent, host.encode(picture), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(other.decode(latent), host.decode(latent), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            f"{random_sd15.UNET}middle_block.0.out_layers.3.weight",
            "no whole UNet .*middle_block.0.out_layers.3.weight is",
        ),
        (f"{random_sd15.AUTOENCODER}decoder.conv_in.weight", "no whole VAE"),
        (f"{random_sd15.TEXT}final_layer_norm.weight", r"no text encoder .*final_layer_norm.weight is missing"),
    ],
)
def test_a_file_that_lacks_a_weight_is_refused(comfy_host, shapes, name, words, tmp_path):
    loading = comfy_host.engine("comfyui_fgdm.training.stable_diffusion.loading")
    zero = torch.zeros(1)
    state = {one: zero.expand(shape) for one, shape in shapes.items() if one != name}
    torch.save({"state_dict": state}, tmp_path / "part.ckpt")
    with pytest.raises(loading.BaseModelError, match=words):
        loading.load(tmp_path / "part.ckpt", loading.Held(near=(comfy_host.comfyui,)))


def test_the_real_one_has_the_shapes_of_the_shipped_configs(comfy_host):
    """Those of the UNet of Stable Diffusion 1.5 in the host; of its other parts the file above has the real ones."""
    loading, names = (
        comfy_host.engine(f"comfyui_fgdm.training.stable_diffusion.{name}") for name in ("loading", "names")
    )
    from diffusers import UNet2DConditionModel

    config = UNet2DConditionModel.load_config(str(loading.CONFIGS), subfolder="unet", local_files_only=True)
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in UNet2DConditionModel.from_config(config).named_parameters()}
    found = names.to_checkpoint(shapes, [True, True, True, False])
    assert {random_sd15.UNET + ours: shapes[theirs] for ours, theirs in found.items()} == random_sd15.unet_shapes()


def test_loss_gradients_and_attention_are_alike(bases, comfy_host):
    factors, distil, attention = (
        comfy_host.engine(f"comfyui_fgdm.training.{name}") for name in ("factor", "distillation", "attention")
    )
    settings = factors.FactorSettings(rank=4, distillation=distil.Distillation(0.5, side=4))
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randn(2, 77, 768, generator=generator)
    batch = factors.Batch(torch.randn(2, 4, 16, 16, generator=generator), prompts, torch.zeros(2, dtype=torch.bool))
    t = torch.tensor([5, 700])
    torch.manual_seed(2)
    network = factors.FactorNetwork(bases[1], settings)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.03)
    found = []
    for base in bases:
        torch.testing.assert_close(base.embed(t), bases[0].embed(t), atol=1e-5, rtol=1e-4)
        network.zero_grad()
        loss, figures = factors.loss_of_batch(network, base, batch, settings, 0, torch.Generator().manual_seed(3))
        loss.backward()
        maps = attention.AttentionMaps(own=[])
        with torch.no_grad():
            predictions = [
                network.predict(base, batch.latent, t, prompts, attention=maps),
                base.predict(batch.latent, t, prompts),
                *(base.predict(batch.latent, t, prompts, features) for features in _one_at_a_time(base.facts.widths)),
                base.predict(batch.latent, t, prompts, changed=network.lora.weights(base.weights)),
            ]
        found.append((figures, predictions, maps, {name: p.grad.clone() for name, p in network.named_parameters()}))
    (expected, theirs, wanted, grads), (figures, ours, maps, found_grads) = found
    assert figures == pytest.approx(expected, rel=1e-4) and figures.keys() == {"prediction", "distillation"}
    for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        assert float((other - one).norm() / one.norm()) < 1e-4, number
        assert number == 1 or float((one - theirs[1]).norm() / one.norm()) > 1e-2, "each of them matters"
    total = float(torch.stack([grad.norm() for grad in grads.values()]).norm())
    for name, grad in grads.items():
        assert float((found_grads[name] - grad).norm()) <= 1e-3 * float(grad.norm()) + 1e-6 * total, name
    for kind in ("cross", "own"):
        pairs = list(zip(getattr(wanted, kind), getattr(maps, kind), strict=True))
        assert len(pairs) == 14, "all transformers but the two before the first feature"
        for one, other in pairs:
            torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-3)


def _one_at_a_time(widths: tuple[int, ...]) -> list[list[torch.Tensor]]:
    """Random features of one level, zeros of the others."""
    shapes = [(2, width, 16 >> level, 16 >> level) for level, width in enumerate(widths)]
    random = [torch.randn(shape, generator=torch.Generator().manual_seed(shape[1])) for shape in shapes]
    return [[f if n == level else 0 * f for n, f in enumerate(random)] for level in range(len(widths))]


def test_a_controlnet_gives_the_same_residuals_and_the_unet_takes_them_alike(bases):
    from comfy.cldm.cldm import ControlNet

    levels = {name: value for name, value in NARROW.items() if name not in ("transformer_depth_output", "out_channels")}
    theirs, control = ControlNet(**levels, hint_channels=3), bases[1].control()
    state = dict(random_sd15.random_tensors({name: p.shape for name, p in theirs.named_parameters()}, 5, torch.float32))
    theirs.load_state_dict(state)
    assert control.names.keys() == state.keys()
    with torch.no_grad():
        for name, value in state.items():
            control.module.get_parameter(control.names[name]).copy_(value)
    generator = torch.Generator().manual_seed(6)
    x, prompts = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 77, 768, generator=generator)
    hint, t = torch.rand(2, 3, 64, 64, generator=generator), torch.tensor([5, 700])
    with torch.no_grad():
        expected = theirs(x, hint, t, prompts)
        skips, middle = control.module(x, hint, t, prompts)
        for one, other in zip([*expected["output"], *expected["middle"]], [*skips, middle], strict=True):
            torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-3)
        drawn, plain = (bases[1].predict(x, t, prompts, control=given) for given in ((skips, middle), None))
        added = {"output": list(expected["output"]), "middle": list(expected["middle"])}
        wanted = bases[0].unet(x, t, prompts, control=added)
    assert float((drawn - plain).norm() / plain.norm()) > 1e-2
    assert float((drawn - wanted).norm() / wanted.norm()) < 1e-4
