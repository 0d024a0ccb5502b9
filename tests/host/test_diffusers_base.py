"""Stable Diffusion 1.5 as a base of training twice: the host's MODEL, and diffusers' UNet. A whole random checkpoint is read
alike, and a factor trained on it samples in the host; what a narrower UNet of the same layout predicts and learns is alike."""

from __future__ import annotations

import dataclasses
import gc
import shutil

import pytest
import torch

from tools import random_sd15
from tools.toy_folder import write_maps

CHECKPOINT = "random-sd15-base.safetensors"
FACTOR = "trained-on-diffusers.safetensors"
NARROW = random_sd15.LEVELS | {"model_channels": 32, "transformer_depth_output": [1] * 9 + [0] * 3, "out_channels": 4}


@pytest.fixture(scope="module")
def checkpoint(comfy_host):
    path = comfy_host.base / "models" / "checkpoints" / CHECKPOINT
    random_sd15.write(path, random_sd15.checkpoint_shapes(), seed=1)
    comfy_host.folder_paths.filename_list_cache.clear()
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def loading(comfy_host):
    return comfy_host.engine("comfyui_fgdm.training.stable_diffusion.loading")


@pytest.fixture(scope="module")
def base(comfy_host, checkpoint, loading):
    """The checkpoint file, read without the host but for its vocabulary."""
    return loading.load(checkpoint, loading.Held(near=(comfy_host.comfyui,)))


@pytest.fixture(scope="module")
def trained(comfy_host, base, factor_folder, tmp_path_factory):
    """A factor file, trained on it for two steps."""
    recipes, runs = (comfy_host.engine(f"comfyui_fgdm.training.{name}") for name in ("recipe", "run"))
    place = tmp_path_factory.mktemp("diffusers")
    write_maps(place / "data", 2)
    sections = {
        "output": "out",
        "factor": {"kind": "adapter", "blocks": 1},
        "data": {"folder": "data", "size": 64, "flip": False},
        "training": {"steps": 2, "batch": 1, "precision": "float32", "lr": 1e-3, "warmup": 1},
        "watch": {"save_every": 1000, "samples": 1, "sample_steps": 1},
    }
    run = runs.Run(recipes.parse(sections, place), base, place / "run")
    assert {"loss", "validation"} <= {key for record in run.records() for key in record}
    target = factor_folder / FACTOR
    run.file.rename(target)
    comfy_host.folder_paths.filename_list_cache.clear()
    yield target.name
    target.unlink()
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def sd15(tiny, comfy_host, checkpoint, trained):
    """The checkpoint as core's loader gives it; after the training, for the sake of memory."""
    import comfy.model_management

    model, clip, vae = comfy_host.call("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
    yield dataclasses.replace(tiny, model=model, clip=clip, vae=vae)
    comfy.model_management.unload_all_models()
    del model, clip, vae
    gc.collect()


@torch.inference_mode()
def test_a_factor_trained_outside_the_host_samples_in_it(sd15, trained):
    factor = sd15.load(trained)
    assert (factor.info.base_family, factor.info.prediction_type) == ("sd15", "eps")
    drawn, plain = (sd15.sample(model, steps=1) for model in (sd15.apply(factor), sd15.model))
    assert drawn.isfinite().all() and float((drawn - plain).norm() / plain.norm()) > 1e-3


def test_a_checkpoint_is_read_alike(comfy_host, sd15, base):
    """All weights of the UNet, and what pictures, maps and prompts become."""
    half = torch.float16  # as in the file
    host = comfy_host.engine("comfyui_fgdm.host.training.base").HostBackbone(sd15.model, sd15.clip, sd15.vae, half)
    assert dataclasses.replace(host.facts, fingerprint="") == dataclasses.replace(base.facts, fingerprint="")
    assert host.weights.keys() == base.weights.keys()
    assert all(torch.equal(value.float(), base.weights[name]) for name, value in host.weights.items())
    texts = [
        "a dog on the grass",
        "",
        "Two  cars, parked: it's 10 o'clock!",
        "a photo of \u5c0f\u3055\u3044\u72ac & caf\u00e9",
        "dog, " * 37,
    ]
    torch.testing.assert_close(base.prompts(texts), host.prompts(texts), atol=2e-4, rtol=1e-3)
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    latent = base.encode(picture)
    torch.testing.assert_close(latent, host.encode(picture), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(base.decode(latent), host.decode(latent), atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def narrow(comfy_host, tiny, loading):
    """The same random numbers in a UNet of the host and in one of diffusers, a tenth as wide as that of SD 1.5."""
    import comfy.model_patcher
    import comfy.supported_models
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    model = comfy.supported_models.SD15(dict(NARROW)).get_model({}, "")
    shapes = {name: tuple(value.shape) for name, value in model.diffusion_model.state_dict().items()}
    state = dict(random_sd15.random_tensors(shapes, 4, torch.float32))
    model.diffusion_model.load_state_dict(state)
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    host = comfy_host.engine("comfyui_fgdm.host.training.base").HostBackbone(patcher, tiny.clip, tiny.vae)

    config = UNet2DConditionModel.load_config(str(loading.CONFIGS), subfolder="unet", local_files_only=True)
    unet = UNet2DConditionModel.from_config(config, block_out_channels=(32, 64, 128, 128))
    encoder = CLIPTextModel(CLIPTextConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, vocab_size=8))
    parts = loading.Parts(unet, AutoencoderKL(), loading.Prompts(None, encoder), "eps")
    other = comfy_host.engine("comfyui_fgdm.training.stable_diffusion.backbone").DiffusersBackbone(parts)
    assert other.weights.keys() == state.keys()
    with torch.no_grad():
        for name, value in state.items():
            other.weights[name].copy_(value)
    return host, other


def test_loss_gradients_and_attention_are_alike(narrow, comfy_host):
    factors, distil, attention = (
        comfy_host.engine(f"comfyui_fgdm.training.{name}") for name in ("factor", "distillation", "attention")
    )
    settings = factors.FactorSettings(rank=4, distillation=distil.Distillation(0.5, side=4))
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randn(2, 77, 768, generator=generator)
    batch = factors.Batch(torch.randn(2, 4, 16, 16, generator=generator), prompts, torch.zeros(2, dtype=torch.bool))
    t = torch.tensor([5, 700])
    torch.manual_seed(2)
    network = factors.FactorNetwork(narrow[1], settings)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.03)
    found = []
    for base in narrow:
        torch.testing.assert_close(base.embed(t), narrow[0].embed(t), atol=1e-5, rtol=1e-4)
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
