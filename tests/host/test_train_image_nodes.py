"""Image factors by the nodes: trained on a MODEL, read by core's own loader and used by core's own nodes; chains that grow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

SMALL = {"steps": 4, "batch_size": 2, "learning_rate": 1e-3, "size": 32, "flip": True, "without_caption": False,
         "report_every": 4, "seed": 0, "start_anew": False}  # fmt: skip


@pytest.fixture(scope="module")
def folder(comfy_host) -> str:
    from tools.toy_folder import write_maps

    write_maps(comfy_host.base / "input" / "toy_pictures", 6)
    return "toy_pictures"


def train(comfy_host, tiny, folder, **changes):
    inputs = {
        "model": tiny.model, "clip": tiny.clip, "vae": tiny.vae, "folder": folder, "variable": "segmentation",
        "start": "a new one", "rank": 0, "palette": "coco183", "worn": 0.5, "caption_dropout": 0.3, "filename": "toy", **SMALL,
    }  # fmt: skip
    return comfy_host.call("FGDM_TrainImageFactor", **{**inputs, **changes})


def under(comfy_host, tiny, net, hint, strength: float = 1.0) -> torch.Tensor:
    """Latents of core's KSampler under core's Apply ControlNet."""
    positive, negative = comfy_host.call(
        "ControlNetApplyAdvanced", positive=tiny.encode("a dog on the grass"), negative=tiny.encode(""), control_net=net,
        image=hint, strength=strength, start_percent=0.0, end_percent=1.0, vae=tiny.vae,
    )[:2]  # fmt: skip
    return comfy_host.call(
        "KSampler", model=tiny.model, seed=3, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal", positive=positive,
        negative=negative, latent_image=tiny.latent(1, 64), denoise=1.0,
    )[0]["samples"]  # fmt: skip


def test_an_image_factor_is_trained_and_used_by_core_s_nodes(comfy_host, tiny, folder) -> None:
    before = tiny.sample(tiny.model)
    net, plot, samples, name = train(comfy_host, tiny, folder, rank=4, filename="toy")[:4]
    assert torch.equal(tiny.sample(tiny.model), before), "a plain run after a training is the plain run before it"
    assert plot.shape == (1, 360, 640, 3) and samples.shape[-1] == 3
    file = Path(comfy_host.folder_paths.models_dir) / "controlnet" / name
    files = comfy_host.engine("comfyui_fgdm.factors.image_files")
    assert name == "toy.safetensors" and files.read(file).low_rank
    again = train(comfy_host, tiny, folder, rank=4, filename="toy")[3]
    assert again == name, "the same training gives the same file, not another one"

    comfy_host.folder_paths.filename_list_cache.clear()
    (loaded,) = comfy_host.call("ControlNetLoader", control_net_name=name)
    generator = torch.Generator().manual_seed(1)
    hints = torch.rand(2, 1, 64, 64, 3, generator=generator)
    found = [under(comfy_host, tiny, one, hints[0]) for one in (net, loaded)]
    assert torch.equal(*found), "what the node gives is what a user loads later"
    assert not torch.equal(under(comfy_host, tiny, loaded, hints[1]), found[0]), "the map is seen"
    assert not torch.equal(under(comfy_host, tiny, loaded, hints[0], 0.5), found[0])


def test_what_core_makes_of_the_file_is_what_was_trained(comfy_host, tiny, folder) -> None:
    """Core's UNet under core's ControlNet predicts what the trained network predicts, but for the file's half precision."""
    import comfy.controlnet

    base = comfy_host.engine("comfyui_fgdm.host.training.base").HostBackbone(tiny.model, tiny.clip, tiny.vae)
    images = comfy_host.engine("comfyui_fgdm.training.image_factor")
    keep = comfy_host.engine("comfyui_fgdm.host.models.image_factor").keep
    files = comfy_host.engine("comfyui_fgdm.factors.image_files")
    network = images.ImageFactorNetwork.new(base, 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.own.items():
            if name.startswith(("zero_convs", "middle_block_out")):
                parameter.normal_(std=0.05)
    path = comfy_host.base / "trained.safetensors"
    files.save(path, network.trained(), network.pairs(), None)
    net = comfy.controlnet.load_controlnet(str(keep(path, "as-trained"))).control_model.float()
    x, hint, t = torch.randn(2, 12, 8, 8), torch.rand(2, 3, 64, 64), torch.tensor([300, 800])
    prompts = base.prompts(["a dog", "two cars"])
    with torch.no_grad():
        control = net(x, hint, t, prompts)
        found = base.predict(x, t, prompts, control=(control["output"], control["middle"][0]))
        expected = network.predict(base, x, t, prompts, hint)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-3)
    assert float((expected - base.predict(x, t, prompts)).detach().abs().max()) > 0.05


def test_both_factors_are_trained_together(comfy_host, tiny, folder, factor) -> None:
    shipped = Path(factor.path).read_bytes()
    trained, net, plot, samples = comfy_host.call(
        "FGDM_TrainJoint", model=tiny.model, clip=tiny.clip, vae=tiny.vae, folder=folder, factor=factor,
        image_factor="fgdm-iconworld-image.safetensors", distillation=0.0, image_gradient=True, filename="toy-joint", **SMALL,
    )[:4]  # fmt: skip
    assert Path(factor.path).read_bytes() == shipped and trained.path != factor.path
    assert trained.info.variable == "segmentation" and trained.info.training["steps"] == 4
    assert trained.lora and plot.shape == (1, 360, 640, 3) and samples.shape[-1] == 3
    old = comfy_host.call("FGDM_LoadEmbeddedImageFactor", image_factor_name="fgdm-iconworld-image.safetensors")[0]
    one, other = net.control_model.state_dict(), old.control_model.state_dict()
    changed = {name.split(".")[0] for name in one if not torch.equal(one[name], other[name])}
    assert changed == {"input_hint_block"}
    assert tiny.sample(tiny.apply(trained)).isfinite().all()


def test_a_variable_is_added_later_and_nothing_else_is_trained_again(comfy_host, tiny, folder, setup) -> None:
    """Segmentation first; then a depth factor below it; the first file keeps its bytes, and one graph samples both."""

    def trained(**changes):
        inputs = {
            "model": tiny.model, "clip": tiny.clip, "vae": tiny.vae, "folder": folder, "variable": "segmentation",
            "parents": "", "rank": 4, "palette": "coco183", "distillation": 0.0, **SMALL,
        }  # fmt: skip
        return comfy_host.call("FGDM_TrainFactor", **{**inputs, **changes})[0]

    first = trained()
    before = first.path.read_bytes()
    second = trained(variable="depth", parents="segmentation")
    assert first.path.read_bytes() == before
    assert second.info.parents == ("segmentation",)
    graph = setup.graph(setup.variable("segmentation", factor=first), setup.variable("depth", factor=second, seed=6))
    both = setup.run(graph)
    assert set(both) == {"segmentation", "depth"} and all(value.isfinite().all() for value in both.values())
    alone = setup.run(setup.graph(setup.variable("segmentation", factor=first)))
    assert torch.equal(alone["segmentation"], both["segmentation"]), (
        "the first variable is sampled as without the second"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variable": "normal"}, ["no folder 'normal'"]),
        ({"filename": "../elsewhere"}, ["filename", "no file name"]),
        ({"start": "nowhere.safetensors"}, ["no 'nowhere.safetensors' in models/controlnet", "iconworld-image"]),
        ({"start": "fgdm-iconworld-depth-image.safetensors", "size": 60}, ["data.size: 60 is no multiple of 8"]),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(comfy_host, tiny, folder, changes: dict, words: list[str]) -> None:
    with pytest.raises(Exception) as caught:
        train(comfy_host, tiny, folder, **changes)
    assert all(word in str(caught.value) for word in words), caught.value
