"""Full size: a random Stable Diffusion 1.5 and random adapters in the layout of the FG-DM release, from their files to steps.

What the release computes is written out here from its description, on the tensors that went into the files.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from tools import random_sd15

CHECKPOINT = "random-sd15.safetensors"
PREFIX = "model.diffusion_model.adapter."
TENSORS = {"adapter": 38, "time_adapter": 86}
PARAMETERS = {"adapter": 76_827_840, "time_adapter": 137_277_120}
INPUT_BLOCKS = (2, 5, 8, 11)
SIZE = 64


@pytest.fixture(scope="module")
def sd15(tiny, comfy_host):
    """The random checkpoint as core's loader gives it, with the tiny family's short ways to run a model."""
    import comfy.model_management

    path = comfy_host.base / "models" / "checkpoints" / CHECKPOINT
    random_sd15.write(path, random_sd15.checkpoint_shapes(), seed=1)
    comfy_host.folder_paths.filename_list_cache.clear()
    model, clip, vae = comfy_host.call("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
    path.unlink()
    yield dataclasses.replace(tiny, model=model, clip=clip, vae=vae)
    comfy.model_management.unload_all_models()
    del model, clip, vae
    gc.collect()


@dataclasses.dataclass
class Released:
    """A factor of the release: the adapter's tensors as they were made, and what Load Factor gives for the files."""

    kind: str
    weights: dict[str, torch.Tensor]
    whole: object
    converted: object

    def features(self, x: torch.Tensor, emb: torch.Tensor) -> list[torch.Tensor]:
        return release_features({k: v.float() for k, v in self.weights.items()}, x, emb)


@pytest.fixture(scope="module", params=list(TENSORS))
def released(request, sd15, comfy_host, factor_folder, pack_root):
    """One adapter, single precision for one kind and half for the other, in a whole-model .pth, converted by the command."""
    kind = request.param
    nets = comfy_host.engine("comfyui_fgdm.factors.networks")
    shapes = nets.official(nets.AdapterKind(kind)).shapes()
    dtype = torch.float32 if kind == "adapter" else torch.float16
    weights = dict(random_sd15.random_tensors(shapes, 2, dtype))
    base = {name: torch.zeros(1).expand(shape) for name, shape in random_sd15.checkpoint_shapes().items()}
    source, target = (factor_folder / f"fgdm_seg_{kind}.{end}" for end in ("pth", "safetensors"))
    state = base | {PREFIX + name: value for name, value in weights.items()}
    torch.save({"state_dict": state, "epoch": 41, "global_step": 12345, "pytorch-lightning_version": "1.4.2"}, source)
    command = [sys.executable, "-m", "comfyui_fgdm", "convert", str(source), str(target)]
    done = subprocess.run(command, cwd=pack_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    comfy_host.folder_paths.filename_list_cache.clear()
    yield Released(kind, weights, sd15.load(source.name), sd15.load(target.name))
    source.unlink()
    target.unlink()
    comfy_host.folder_paths.filename_list_cache.clear()


@pytest.fixture(scope="module")
def net(sd15, comfy_host):
    """A full-size T2I-Adapter: the smallest net that shows the image variable its parent."""
    nets = comfy_host.engine("comfyui_fgdm.factors.networks")
    shapes = nets.official(nets.AdapterKind.PLAIN).shapes() | {"conv_in.weight": (320, 3 * 8 * 8, 3, 3)}
    path = comfy_host.base / "models" / "controlnet" / "random-t2i.safetensors"
    random_sd15.write(path, shapes, seed=3)
    comfy_host.folder_paths.filename_list_cache.clear()
    yield comfy_host.call("ControlNetLoader", control_net_name=path.name)[0]
    path.unlink()


@pytest.fixture(scope="module")
def plain(sd15) -> torch.Tensor:
    """What KSampler draws before any factor was near the model."""
    return sd15.sample(sd15.model, size=SIZE, steps=1)


def release_features(w: dict[str, torch.Tensor], x: torch.Tensor, emb: torch.Tensor) -> list[torch.Tensor]:
    """The four features of either adapter for a latent x and the UNet's time embedding before any activation."""

    def conv(name: str, v: torch.Tensor) -> torch.Tensor:
        kernel = w[name + ".weight"]
        return F.conv2d(v, kernel, w[name + ".bias"], padding=kernel.shape[-1] // 2)

    def act(name: str, v: torch.Tensor) -> torch.Tensor:
        return F.silu(F.group_norm(v, 32, w[name + ".weight"], w[name + ".bias"], 1e-5))

    def plain_block(at: str, h: torch.Tensor, halve: Callable) -> torch.Tensor:
        h = halve(h)
        u = conv(at + "in_conv", h) if at + "in_conv.weight" in w else h
        return u + conv(at + "block2", F.relu(conv(at + "block1", u)))

    def time_block(at: str, h: torch.Tensor, halve: Callable) -> torch.Tensor:
        shift = F.linear(F.silu(emb), w[at + "emb_layers.1.weight"], w[at + "emb_layers.1.bias"])
        r = conv(at + "in_layers.2", halve(act(at + "in_layers.0", h))) + shift[..., None, None]
        r = conv(at + "out_layers.3", act(at + "out_layers.0", r))
        h = halve(h)
        return r + (conv(at + "skip_connection", h) if at + "skip_connection.weight" in w else h)

    block = time_block if "body.0.in_layers.0.weight" in w else plain_block
    h, features = conv("conv_in", x), []
    for n in range(8):
        h = block(f"body.{n}.", h, (lambda v: F.avg_pool2d(v, 2)) if n in (2, 4, 6) else lambda v: v)
        if n % 2:
            features.append(h)
    return features


def embedding(unet, timesteps: torch.Tensor) -> torch.Tensor:
    """The UNet's own layers on a sinusoid of 320 numbers, cosines first."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(160) / 160)
    angles = timesteps.float()[:, None] * rates
    return unet.time_embed(torch.cat([angles.cos(), angles.sin()], 1))


def unet_output(unet, x, timesteps, context, features: list) -> torch.Tensor:
    """The UNet layer by layer, each feature added to the output of its input block, before that is stored for the skip."""
    emb = embedding(unet, timesteps)

    def run(block, h: torch.Tensor, shape=None) -> torch.Tensor:
        for layer in block:
            match type(layer).__name__:
                case "ResBlock":
                    h = layer(h, emb)
                case "SpatialTransformer":
                    h = layer(h, context)
                case "Upsample":
                    h = layer(h, output_shape=shape)
                case _:
                    h = layer(h)
        return h

    h, skips = x, []
    for number, block in enumerate(unet.input_blocks):
        h = run(block, h)
        if features and number in INPUT_BLOCKS:
            h = h + features[INPUT_BLOCKS.index(number)]
        skips.append(h)
    h = run(unet.middle_block, h)
    for block in unet.output_blocks:
        h = torch.cat([h, skips.pop()], 1)
        h = run(block, h, skips[-1].shape if skips else None)
    return unet.out(h)


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    """Distance of a from b in units of b."""
    return float((a.float() - b.float()).norm() / b.float().norm())


def test_it_is_the_whole_model(sd15):
    unet = sd15.unet
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964 and len(unet.state_dict()) == 686
    assert sum(p.numel() for p in sd15.vae.first_stage_model.parameters()) == 83_653_863
    assert sd15.encode("a dog")[0][0].shape == (1, 77, 768)
    assert type(sd15.model.model.model_config).__name__ == "SD15"


def test_both_files_hold_the_adapter_as_it_was_made(released):
    assert len(released.weights) == TENSORS[released.kind]
    assert sum(w.numel() for w in released.weights.values()) == PARAMETERS[released.kind]
    for factor in (released.whole, released.converted):
        assert (factor.info.base_family, factor.info.kind, factor.info.variable) == (
            "sd15",
            released.kind,
            "segmentation",
        )
        held = factor.patcher.model.state_dict()
        assert held.keys() == released.weights.keys()
        assert all(torch.equal(held[name], value.float()) for name, value in released.weights.items())
    assert released.converted.info.training["global_step"] == 12345


@torch.inference_mode()
def test_a_guided_step_equals_the_release_written_out(sd15, released):
    """Features and UNet output, for two pictures and for both halves of the guidance."""
    model, calls = sd15.record_unet_calls(sd15.apply(released.converted))
    sd15.sample(model, batch=2, size=SIZE, steps=1)
    ((x, timesteps, context, found),) = calls
    assert len(x) == 4, "both halves of the guidance and both pictures in one call"
    assert not torch.equal(context[:2], context[2:])
    emb = embedding(sd15.unet, timesteps)
    features = released.features(x, emb)
    assert [tuple(f.shape[1:]) for f in features] == [(320, 8, 8), (640, 4, 4), (1280, 2, 2), (1280, 1, 1)]
    for ours, theirs in zip(released.converted.patcher.model(x, emb), features, strict=True):
        assert far(ours, theirs) < 1e-5
    expected = unet_output(sd15.unet, x, timesteps, context, features)
    without = unet_output(sd15.unet, x, timesteps, context, [])
    for item in range(4):
        assert far(found[item], expected[item]) < 1e-5
        assert far(found[item], without[item]) > 1e-2


@pytest.mark.parametrize("released", ["adapter"], indirect=True)
def test_nothing_of_a_factor_stays_in_the_model(sd15, plain, released):
    """Plain sampling before a factor, with one of strength 0, and after one: the same bytes."""
    with_factor = sd15.sample(sd15.apply(released.converted), size=SIZE, steps=1)
    assert far(with_factor, plain) > 1e-2
    assert torch.equal(sd15.sample(sd15.apply(released.converted, strength=0.0), size=SIZE, steps=1), plain)
    assert torch.equal(sd15.sample(sd15.model, size=SIZE, steps=1), plain)


@pytest.mark.parametrize("released", ["adapter"], indirect=True)
def test_one_joint_step_of_map_and_image(sd15, released, net, comfy_host):
    """The map's step is KSampler's with the factor; the image's is KSampler's with a control net that sees that map."""
    graphs, joint = (comfy_host.engine(f"comfyui_fgdm.host.graph.{name}") for name in ("variables", "joint"))
    prompts = {"positive": sd15.encode("a dog"), "negative": sd15.encode("")}
    common = {"cfg": 3.0, "latent": sd15.latent(1, SIZE), **prompts}
    graph = graphs.Graph(
        (
            graphs.Sampled("image", sd15.model, seed=9, controls=(graphs.Control(net, "segmentation"),), **common),
            graphs.Sampled("segmentation", sd15.model, seed=5, factor=released.converted, **common),
        )
    )
    out = comfy_host.call(
        "SamplerCustomAdvanced",
        noise=graphs.GraphNoise(graph),
        guider=joint.make_guider(graph, sd15.vae, joint.Mode.JOINT, joint.GraphSettings()),
        sampler=comfy_host.call("KSamplerSelect", sampler_name="euler")[0],
        sigmas=comfy_host.call("BasicScheduler", model=sd15.model, scheduler="normal", steps=1, denoise=1.0)[0],
        latent_image=graphs.start_latent(graph),
    )[0]
    found = {name: graphs.result(out, graph, name)["samples"] for name in ("segmentation", "image")}

    def alone(model, seed: int, positive, negative) -> torch.Tensor:
        return comfy_host.call(
            "KSampler", model=model, seed=seed, steps=1, cfg=3.0, sampler_name="euler", scheduler="normal",
            positive=positive, negative=negative, latent_image=common["latent"], denoise=1.0,
        )[0]["samples"]  # fmt: skip

    drawn = alone(sd15.apply(released.converted), 5, **prompts)
    assert far(found["segmentation"], drawn) < 1e-5
    positive, negative = comfy_host.call(
        "ControlNetApplyAdvanced", control_net=net, image=sd15.decode(drawn), strength=1.0, start_percent=0.0,
        end_percent=1.0, **prompts,
    )  # fmt: skip
    assert far(found["image"], alone(sd15.model, 9, positive, negative)) < 1e-5
    assert far(found["image"], alone(sd15.model, 9, **prompts)) > 1e-2


@pytest.mark.parametrize("released", ["adapter"], indirect=True)
def test_the_unet_of_sdxl_is_refused(sd15, released):
    """Its three levels are as wide as the first three of the factor's four."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    shape = random_sd15.LEVELS | {
        "num_res_blocks": [2] * 3, "channel_mult": (1, 2, 4), "context_dim": 2048, "use_linear_in_transformer": True,
        "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10, "num_classes": "sequential",
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "adm_in_channels": 2816,
    }  # fmt: skip
    larger = sd15.model.clone()
    larger.add_object_patch("diffusion_model", UNetModel(**shape, out_channels=4, device="meta"))
    reason = r"level widths \[320, 640, 1280, 1280\] against \[320, 640, 1280\] of the model.*family sd15"
    with pytest.raises(ValueError, match=reason):
        sd15.apply(released.whole, larger)
