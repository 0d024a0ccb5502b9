"""Training through the nodes: maps become a folder, the folder a factor, the factor maps, in one graph; nothing is harmed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


def write(comfy_host, pictures, **inputs) -> str:
    """Write Training Folder as the host calls it: each input as a list."""
    defaults = {"captions": "", "palette": "coco183", "overwrite": False}
    (folder,) = comfy_host.call(
        "FGDM_WriteExamples",
        pictures=pictures if isinstance(pictures, list) else [pictures],
        **{name: value if isinstance(value, list) else [value] for name, value in {**defaults, **inputs}.items()},
    )
    return folder


@pytest.fixture(scope="module")
def written(comfy_host, tiny, factor) -> str:
    """A training folder of four sampled maps, written by the node, with depth beside them."""
    maps = comfy_host.call(
        "FGDM_DecodeMap", maps=tiny.sample_maps(factor, count=4, batch=4)[1], factor=factor, class_name="", rule="nearest"
    )[0]  # fmt: skip
    words = {"folder": "train_nodes", "name": "example"}
    captions = "a dog and a bicycle under a tree"
    folder = write(comfy_host, maps, variable="segmentation", captions=captions, **words)
    ramp = torch.linspace(0, 1, 64).expand(4, 64, 64)[..., None].repeat(1, 1, 1, 3)
    write(comfy_host, ramp, variable="depth", **words)
    return folder


def train(comfy_host, tiny, written, **changes):
    inputs = {
        "model": tiny.model, "clip": tiny.clip, "vae": tiny.vae, "folder": written, "variable": "depth", "parents": "segmentation",
        "steps": 6, "batch_size": 2, "learning_rate": 1e-3, "size": 64, "rank": 4, "palette": "coco183", "distillation": 0.1,
        "flip": True, "without_caption": False, "report_every": 3, "seed": 0, "start_anew": False,
    }  # fmt: skip
    return comfy_host.call("FGDM_TrainFactor", **{**inputs, **changes})


def test_from_maps_to_a_factor_that_is_sampled(comfy_host, tiny, written, factor_folder) -> None:
    before = tiny.sample(tiny.model)
    trained, plot, samples, file = train(comfy_host, tiny, written)[:4]
    assert (trained.info.variable, trained.info.parents, trained.info.base_family) == (
        "depth",
        ("segmentation",),
        "iconworld",
    )
    assert plot.shape == (1, 360, 640, 3) and samples.shape[-1] == 3 and Path(file).is_file()
    assert torch.equal(tiny.sample(tiny.model), before), "a plain run after a training is the plain run before it"
    parent = {"samples": 0.5 * torch.randn(1, 12, 8, 8)}
    applied = comfy_host.call(
        "FGDM_ApplyFactor", model=tiny.model, factor=trained, strength=1.0, start_percent=0.0, end_percent=1.0, parent=parent
    )[0]  # fmt: skip
    assert tiny.sample(applied).isfinite().all() and not torch.equal(tiny.sample(applied), before)
    names = [comfy_host.call("FGDM_SaveFactor", factor=trained, filename="trained", half=True)[0] for _ in range(2)]
    assert names == ["trained.safetensors", "trained-2.safetensors"]
    comfy_host.folder_paths.filename_list_cache.clear()
    again = tiny.load(names[0])
    assert again.info == trained.info
    torch.testing.assert_close(
        again.patcher.model.state_dict()["conv_in.weight"].float(), trained.patcher.model.state_dict()["conv_in.weight"].float(),
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip


def test_an_interrupted_training_goes_on(comfy_host, tiny, written, monkeypatch) -> None:
    import comfy.model_management as management

    calls: list[int] = []
    real = management.throw_exception_if_processing_interrupted

    def stop() -> None:
        calls.append(1)
        if len(calls) == 9:
            raise management.InterruptProcessingException
        real()

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", stop)
    with pytest.raises(management.InterruptProcessingException):
        train(comfy_host, tiny, written, seed=6)
    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", real)
    resumed = train(comfy_host, tiny, written, seed=6)
    assert Path(resumed[3]).parent.name == "depth-002", "in the folder of the run that was stopped"
    other = train(comfy_host, tiny, written, seed=6, start_anew=True)[0]
    for one, expected in zip(resumed[0].patcher.model.parameters(), other.patcher.model.parameters(), strict=True):
        assert torch.equal(one, expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folder": "nowhere"}, ["folder: there is no training folder 'nowhere'", "train_nodes"]),
        ({"folder": "../train_nodes"}, ["there is no training folder"]),
        ({"variable": "normal"}, ["no folder 'normal'", "segmentation"]),
        ({"parents": "smell"}, ["no variable 'smell'"]),
        ({"parents": "depth"}, ["factor.parents"]),
        ({"size": 60}, ["data.size: 60 is no multiple of 8"]),
        ({"palette": "mine"}, ["unknown palette 'mine'"]),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(comfy_host, tiny, written, changes: dict, words: list[str]) -> None:
    with pytest.raises(Exception) as caught:
        train(comfy_host, tiny, written, **changes)
    assert all(word in str(caught.value) for word in words), caught.value


def test_examples_are_never_written_over_or_elsewhere(comfy_host, written) -> None:
    picture = torch.zeros(1, 16, 16, 3)
    write(comfy_host, picture, variable="image", folder="more", name="a")
    for changes, said in (
        ({"folder": "more", "name": "a"}, "image/a-000.png"),
        ({"folder": "../out", "name": "a"}, "is no name"),
        ({"folder": "more", "name": "../a"}, "is no name"),
        ({"folder": "more", "name": "b", "captions": "one\ntwo"}, "2 lines for 1 pictures"),
        ({"folder": "more", "name": "b", "names": ["one", "two"]}, "2 names for 1 pictures"),
        ({"folder": "more", "name": "b", "names": ["../one"]}, "'../one' cannot be the name of a file"),
        ({"folder": "more", "name": "b", "names": ["one"], "captions": ["a", "b"]}, "2 texts for 1 names"),
    ):
        with pytest.raises(Exception, match=said):
            write(comfy_host, picture, variable="image", **changes)
    with pytest.raises(Exception, match="'one' is there twice"):
        write(comfy_host, [picture, picture], variable="image", folder="more", name="b", names=["one", "one"])
    assert {path.name for path in (comfy_host.base / "input" / "more" / "image").iterdir()} == {"a-000.png"}


def test_data_sets_in_the_input_folder_are_offered(comfy_host, written) -> None:
    base = comfy_host.base / "input"
    for name in ("ade/ADEChallengeData2016", "streets/gtFine", "shards", "only photos"):
        (base / name).mkdir(parents=True)
    (base / "shards" / "0.tar").write_bytes(b"")
    (base / "loop").symlink_to(base / "loop")
    offered = comfy_host.engine("comfyui_fgdm.host.datafolders").names()
    assert {"ade", "streets", "shards", written} <= set(offered) and not {"only photos", "loop"} & set(offered)


@pytest.fixture(scope="module")
def below(comfy_host, tiny, factor_folder):
    """(A depth factor below segmentation with a network of its own, of random weights, as loaded; the same in plain torch.)"""
    unet, files = comfy_host.engine("comfyui_fgdm.factors.unet"), comfy_host.engine("comfyui_fgdm.factors.files")
    torch.manual_seed(3)
    network = unet.UNet(unet.UNetConfig(64, (1, 2), 2, (True, False), 128, 32, 12, 1)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.03)
    info = files.FactorInfo(
        "depth", "iconworld", unet.KIND, ("segmentation",), None, latent_channels=24, prediction_type="v", blocks=2,
        null_condition=True,
    )  # fmt: skip
    files.save(factor_folder / "own-network.safetensors", network, info)
    comfy_host.folder_paths.filename_list_cache.clear()
    return tiny.load("own-network.safetensors"), network


def test_a_factor_with_a_network_of_its_own_takes_the_unet_s_place(comfy_host, tiny, below) -> None:
    loaded, network = below
    parent = 0.5 * torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(1))
    recorded, calls = tiny.record_unet_calls(tiny.model)

    def applied(model, strength: float = 1.0):
        return comfy_host.call(
            "FGDM_ApplyFactor", model=model, factor=loaded, strength=strength, start_percent=0.0, end_percent=1.0,
            parent={"samples": parent},
        )[0]  # fmt: skip

    before = tiny.sample(tiny.model)
    found = tiny.sample(applied(recorded))
    x, t, prompts, out = calls[0]
    assert len(x) == 2, "with the prompt and without it"
    seen = torch.cat([parent, torch.zeros_like(parent)])  # without the prompt it sees nothing of its parent
    with torch.no_grad():
        ways = [network(torch.cat([x, one], 1), t, prompts) for one in (seen, seen.flip(0))]
    assert min(float((out - way).abs().max()) for way in ways) < 1e-4 and float(out.std()) > 0.01
    assert not torch.equal(found, before)
    assert torch.equal(tiny.sample(tiny.model), before), "a plain run afterwards is the plain run before"
    assert torch.equal(tiny.sample(applied(tiny.model, 0.0)), before)
    with pytest.raises(Exception, match="strength: 0.5, but .* a network of its own"):
        applied(tiny.model, 0.5)


def test_a_factor_with_a_network_of_its_own_is_a_variable_of_a_graph(
    comfy_host, tiny, factor, net, below, setup
) -> None:
    loaded = below[0]
    seg = setup.variable("segmentation", factor=factor, seed=3)
    deep = setup.variable("depth", factor=loaded, seed=4)
    chain = setup.run(setup.graph(seg, deep), "sequential")
    apply = comfy_host.engine("comfyui_fgdm.host.models.apply").apply_factor
    model = apply(tiny.model, loaded, parents={"segmentation": chain["segmentation"]})
    expected = comfy_host.call(
        "KSampler", model=model, seed=4, steps=3, cfg=deep.cfg, sampler_name="euler", scheduler="normal", denoise=1.0,
        positive=deep.positive, negative=deep.negative, latent_image=deep.latent,
    )[0]["samples"]  # fmt: skip
    assert torch.equal(chain["depth"], expected)
    both = setup.run(setup.graph(seg, deep))
    assert torch.equal(both["segmentation"], chain["segmentation"]) and both["depth"].isfinite().all()
    assert not torch.equal(both["depth"], chain["depth"]), "jointly it sees its parent in the making"
    controlled = setup.variable("depth", factor=loaded, controls=(setup.graphs.Control(net, "segmentation"),))
    with pytest.raises(Exception, match="a network of its own, which no ControlNet fits"):
        setup.run(setup.graph(seg, controlled))


def test_a_factor_is_trained_from_scratch_by_the_node_and_sampled(comfy_host, tiny, written) -> None:
    trained, _, _, file = train(
        comfy_host, tiny, written, variable="segmentation", parents="", rank=0, distillation=0.0, steps=3, size=32,
        network="scratch", width=64,
    )[:4]  # fmt: skip
    assert Path(file).parent.name.startswith("segmentation-scratch") and trained.info.kind == "unet"
    assert (trained.spec.widths, trained.spec.in_channels) == ((64, 128, 128), 12)
    maps = tiny.sample_maps(trained, count=2)[1]
    assert maps.shape == (2, 64, 64, 3) and maps.isfinite().all()
    name = comfy_host.call("FGDM_SaveFactor", factor=trained, filename="from-scratch", half=True)[0]
    comfy_host.folder_paths.filename_list_cache.clear()
    assert tiny.load(name).spec == trained.spec
    with pytest.raises(Exception, match=r"factor\.rank: a factor from scratch has a network of its own"):
        train(comfy_host, tiny, written, network="scratch", distillation=0.0)
