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
