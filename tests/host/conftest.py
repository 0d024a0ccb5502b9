"""The tiny family inside a real ComfyUI, and short ways to run it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

CHECKPOINT = "fgdm-iconworld.safetensors"
FACTOR = "fgdm-iconworld-segmentation.safetensors"
IMAGE_FACTOR = "fgdm-iconworld-image.safetensors"
PROMPT = "a dog and a bicycle under a tree"


@dataclass
class Tiny:
    """The shipped family as core nodes load it."""

    host: Any
    model: Any
    clip: Any
    vae: Any

    def encode(self, text: str) -> Any:
        return self.host.call("CLIPTextEncode", clip=self.clip, text=text)[0]

    @property
    def unet(self) -> Any:
        return self.model.model.diffusion_model

    def latent(self, batch: int = 1, size: int = 64) -> dict:
        return {"samples": torch.zeros(batch, self.unet.in_channels, size // 8, size // 8)}

    def sample(
        self,
        model,
        *,
        seed: int = 7,
        batch: int = 1,
        size: int = 64,
        steps: int = 2,
        cfg: float = 3.0,
        sampler: str = "euler",
        text: str = PROMPT,
    ) -> torch.Tensor:
        """Latents (B, C, h, w) of core's KSampler."""
        (out,) = self.host.call(
            "KSampler", model=model, seed=seed, steps=steps, cfg=cfg, sampler_name=sampler, scheduler="normal",
            positive=self.encode(text), negative=self.encode(""), latent_image=self.latent(batch, size), denoise=1.0,
        )  # fmt: skip
        return out["samples"]

    @staticmethod
    def record_unet_calls(model) -> tuple[Any, list[tuple[torch.Tensor, ...]]]:
        """A clone of the model and the list its UNet calls go to: (x, timesteps, context, output)."""
        calls = []

        def spy(executor, x, timesteps, context=None, *args, **kwargs):
            out = executor(x, timesteps, context, *args, **kwargs)
            calls.append((x.clone(), timesteps.clone(), context.clone(), out.clone()))
            return out

        recorded = model.clone()
        recorded.add_wrapper_with_key("diffusion_model", "a_test_spy", spy)
        return recorded, calls

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.host.call("VAEDecode", samples={"samples": latents}, vae=self.vae)[0]

    def apply(self, factor, model=None, strength: float = 1.0, start: float = 0.0, end: float = 1.0):
        return self.host.call(
            "FGDM_ApplyFactor", model=self.model if model is None else model, factor=factor, strength=strength,
            start_percent=start, end_percent=end,
        )[0]  # fmt: skip

    def load(self, name: str = FACTOR):
        return self.host.call("FGDM_LoadFactor", factor_name=name)[0]

    def sample_maps(
        self,
        factor,
        *,
        vae=None,
        objects=None,
        seed: int = 11,
        count: int = 3,
        batch: int = 2,
        steps: int = 2,
        sampler: str = "ddim",
        size: int = 64,
        **search: Any,
    ) -> tuple:
        if objects is None:
            objects = self.host.call("FGDM_Objects", text=PROMPT, mode="auto")[0]
        return self.host.call(
            "FGDM_SampleMaps", model=self.model, factor=factor, positive=self.encode(PROMPT), negative=self.encode(""),
            vae=vae or self.vae, objects=objects, seed=seed, count=count, steps=steps, cfg=3.0, sampler=sampler,
            scheduler="normal", width=size, height=size, batch_size=batch, **search,
        )  # fmt: skip


SCALE = 0.25
"""Of the latents of the variant "scaled": a power of two, so that it rounds nothing and results can be compared exactly."""


def computes_in(dtype: torch.dtype) -> bool:
    try:
        torch.nn.functional.conv2d(torch.ones(1, 4, 8, 8, dtype=dtype), torch.ones(4, 4, 3, 3, dtype=dtype))
    except RuntimeError:
        return False
    return True


@pytest.fixture(scope="session")
def variants(comfy_host):
    """The family as other machines and families have it, each loaded once: call it with a name.

    "plain": as shipped, latents as the model samples them, in single precision. "scaled": the model samples latents times
    SCALE, as Stable Diffusion's does times 0.18215. "fp16", "bf16": weights and computing in half precision, as on a GPU.
    """
    from dataclasses import replace

    import comfy.sd

    path = str(comfy_host.engine("comfyui_fgdm.host.folders").EMBEDDED / "checkpoints" / CHECKPOINT)

    @functools.cache
    def make(name: str) -> Tiny:
        if name in ("fp16", "bf16"):
            dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[name]
            if not computes_in(dtype):
                pytest.skip(f"this processor does not compute in {dtype}")
            model = comfy.sd.load_checkpoint_guess_config(path, False, False, model_options={"dtype": dtype})[0]
            model.model.manual_cast_dtype = dtype  # else a CPU would compute in single precision
            return replace(make("plain"), model=model)
        model, clip, vae = comfy_host.call("FGDM_LoadEmbedded", model_name=CHECKPOINT)
        if name == "scaled":
            model.model.latent_format.scale_factor = SCALE
            vae.first_stage_model.vae_scale.data.fill_(SCALE)
        return Tiny(comfy_host, model, clip, vae)

    return make


@pytest.fixture(scope="session")
def tiny(request, variants) -> Tiny:
    """The shipped family; another variant where a test asks for it: `@pytest.mark.parametrize("tiny", [...], indirect=True)`."""
    return variants(getattr(request, "param", "plain"))


@pytest.fixture(scope="session")
def factor(variants):
    return variants("plain").load()


@pytest.fixture(scope="session")
def same_maps(tiny, factor, comfy_host):
    """Asserts that pictures are maps of the same candidates sampled in batches of other shapes: equal up to rounding in the
    precision that the UNet computes in, and with the same labels but for stray pixels."""
    rounding = 256 * torch.finfo(tiny.model.model.get_dtype_inference()).eps
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")

    def labels(maps):
        return palettes.decode(maps.float().cpu(), palettes.get(factor.info.palette), factor.info.classes)

    def check(found, expected):
        torch.testing.assert_close(found, expected, atol=rounding, rtol=0)
        assert (labels(found) != labels(expected)).float().mean() <= 1e-3

    return check


@pytest.fixture(scope="session")
def factor_folder(comfy_host) -> Path:
    folder = comfy_host.base / "models" / "fgdm_factors"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def make_factor(comfy_host, factor_folder, variants):
    """Write a factor file with random weights; returns its name. Keywords change its FactorInfo."""
    adapter = comfy_host.engine("comfyui_fgdm.factors.files")
    unet = variants("plain").unet

    def make(name: str, kind: str = "adapter", widths=None, channels: int = 0, emb: int = 0, lora=None, **info):
        channels = channels or unet.in_channels
        widths = tuple(widths or (unet.model_channels * mult for mult in unet.channel_mult))
        emb = (emb or 4 * unet.model_channels) if "time" in kind else 0
        spec = adapter.AdapterSpec(adapter.AdapterKind(kind), widths, channels, emb)
        torch.manual_seed(len(name))
        network = adapter.build(spec)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        facts = {
            "variable": "segmentation", "base_family": "iconworld", "kind": kind, "latent_channels": channels,
            "prediction_type": "v", "trained_size": 128, **info,
        }  # fmt: skip
        adapter.save(factor_folder / name, network, adapter.FactorInfo(**facts), lora)
        comfy_host.folder_paths.filename_list_cache.clear()
        return name

    return make


@pytest.fixture(scope="module")
def graphs(comfy_host):
    return comfy_host.engine("comfyui_fgdm.host.graph.variables")


@pytest.fixture(scope="module")
def joint(comfy_host):
    return comfy_host.engine("comfyui_fgdm.host.graph.joint")


@pytest.fixture(scope="module")
def net(comfy_host):
    return comfy_host.call("FGDM_LoadEmbeddedImageFactor", image_factor_name=IMAGE_FACTOR)[0]


@pytest.fixture(scope="module")
def depth(variants, make_factor):
    """A factor with random weights that is conditioned on the segmentation."""
    return variants("plain").load(
        make_factor(
            "random-depth.safetensors", "time_adapter", variable="depth", parents=["segmentation"], palette=None
        )
    )


class Setup:
    """Short ways to build variables of the tiny family and to run graphs of them."""

    def __init__(self, tiny, graphs, joint, host):
        self.tiny, self.graphs, self.joint, self.host = tiny, graphs, joint, host

    def variable(self, name, seed=5, size=64, batch=1, text="a dog on the grass", cfg=3.0, **fields):
        latent = fields.pop("latent", self.tiny.latent(batch, size))
        return self.graphs.Sampled(
            name, fields.pop("model", self.tiny.model), self.tiny.encode(text), self.tiny.encode(""), cfg, latent, seed,
            **fields,
        )  # fmt: skip

    def graph(self, *nodes):
        return self.graphs.Graph(tuple(nodes))

    def run(self, graph, mode="joint", sampler="euler", steps=3, scheduler="normal", vae=None, **settings):
        """{name: latent} of a run through core's SamplerCustomAdvanced."""
        out, _ = self.outputs(graph, mode, sampler, steps, scheduler, vae, **settings)
        return self.latents(graph, out)

    def outputs(self, graph, mode="joint", sampler="euler", steps=3, scheduler="normal", vae=None, **settings):
        """Both LATENTs of core's SamplerCustomAdvanced: its output and its denoised_output, all variables in one."""
        sigmas = self.host.call("BasicScheduler", model=self.tiny.model, scheduler=scheduler, steps=steps, denoise=1.0)[
            0
        ]
        guider = self.joint.make_guider(
            graph, vae or self.tiny.vae, self.joint.Mode(mode), self.joint.GraphSettings(**settings)
        )
        chosen = self.host.call("KSamplerSelect", sampler_name=sampler)[0]
        return self.host.call(
            "SamplerCustomAdvanced", noise=self.graphs.GraphNoise(graph), guider=guider, sampler=chosen, sigmas=sigmas,
            latent_image=self.graphs.start_latent(graph),
        )  # fmt: skip

    def latents(self, graph, out):
        """{name: latent} of all sampled variables in the LATENT of a run."""
        return {name: self.graphs.result(out, graph, name)["samples"] for name in self.names(graph)}

    def names(self, graph):
        return [n.name for n in graph.sampled()]


@pytest.fixture(scope="module")
def setup(tiny, graphs, joint, comfy_host):
    return Setup(tiny, graphs, joint, comfy_host)
