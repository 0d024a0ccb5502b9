"""What users get wrong: every refusal names the input and says what to do."""

from __future__ import annotations

import logging
import shutil

import pytest
import torch

FACTOR = "fgdm-iconworld-segmentation.safetensors"


def refused_prompt(host, **nodes):
    """The details of the host's refusal of a prompt given as node=(class, inputs), as one text."""
    from tools.inprocess import ExecutionFailed

    prompt = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    with pytest.raises(ExecutionFailed) as caught:
        host.run(prompt, wanted=[list(nodes)[-1]])
    return str(caught.value)


def test_missing_factor_file(comfy_host):
    text = refused_prompt(comfy_host, a=("FGDM_LoadFactor", {"factor_name": "nowhere.safetensors"}))
    assert "factor_name" in text and "nowhere.safetensors" in text and "models/fgdm_factors" in text and FACTOR in text
    assert "comfyui_fgdm convert" in text and "https://github.com/DeepakSridhar/fgdm" in text
    own = str(comfy_host.engine("comfyui_fgdm.host.folders").EMBEDDED)
    assert own not in text, "what comes with the pack is no place for files of one's own"


def test_a_factor_name_that_comes_by_a_link_is_checked_when_it_is_there(comfy_host):
    def load(name):
        return {
            "a": ("ComfySwitchNode", {"switch": True, "on_true": name, "on_false": ""}),
            "b": ("FGDM_LoadFactor", {"factor_name": ["a", 0]}),
        }

    prompt = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in load(FACTOR).items()}
    assert comfy_host.run(prompt, wanted=["b"]).output("b").name == FACTOR
    assert "there is no factor file 'nowhere.safetensors'" in refused_prompt(comfy_host, **load("nowhere.safetensors"))
    embedded = (("FGDM_LoadEmbedded", "model_name"), ("FGDM_LoadEmbeddedImageFactor", "image_factor_name"))
    for node, name in (("FGDM_LoadFactor", "factor_name"), *embedded):
        for inputs in ({}, {name: 5}, {name: ""}):
            text = refused_prompt(comfy_host, a=(node, inputs))
            assert name in text and "argument" not in text and "Error" not in text, text


def test_only_files_that_can_be_read_are_listed(comfy_host, factor_folder):
    folders = comfy_host.engine("comfyui_fgdm.host.folders")
    names = [
        f"listed{kind}" for kind in (".safetensors", ".sft", ".pth", ".PT", ".ckpt", ".bin", ".pkl", ".pt2", ".txt")
    ]
    for name in names:
        (factor_folder / name).write_bytes(b"x")
    comfy_host.folder_paths.filename_list_cache.clear()
    try:
        assert [name for name in folders.factor_names() if name.startswith("listed")] == sorted(names[:5])
        assert "none of the kinds that are read" in refused_prompt(
            comfy_host,
            a=("ComfySwitchNode", {"switch": True, "on_true": "listed.bin", "on_false": ""}),
            b=("FGDM_LoadFactor", {"factor_name": ["a", 0]}),
        )
    finally:
        for name in names:
            (factor_folder / name).unlink()
        comfy_host.folder_paths.filename_list_cache.clear()


def test_factor_name_cannot_leave_its_folders(comfy_host, factor_folder):
    shutil.copy(factor_folder / make_any(comfy_host, factor_folder), factor_folder.parent / "outside.safetensors")
    text = refused_prompt(comfy_host, a=("FGDM_LoadFactor", {"factor_name": "../outside.safetensors"}))
    assert "there is no factor file" in text


def make_any(comfy_host, folder):
    folders = comfy_host.engine("comfyui_fgdm.host.folders")
    shutil.copy(folders.factor_path(FACTOR), folder / "copy.safetensors")
    return "copy.safetensors"


@pytest.mark.parametrize(
    ("keys", "seems"),
    [
        ({"lora_unet_x.lora_up.weight": (4, 4), "lora_unet_x.lora_down.weight": (4, 4)}, "LoRA"),
        ({"model.diffusion_model.out.2.weight": (4, 4), "first_stage_model.decoder.a": (4,)}, "checkpoint"),
        ({"input_hint_block.0.weight": (16, 3, 3, 3), "zero_convs.0.0.weight": (4, 4, 1, 1)}, "ControlNet"),
    ],
)
def test_foreign_file(comfy_host, factor_folder, keys, seems):
    from safetensors.torch import save_file

    save_file({key: torch.zeros(shape) for key, shape in keys.items()}, factor_folder / "foreign.safetensors")
    comfy_host.folder_paths.filename_list_cache.clear()
    text = refused_prompt(comfy_host, a=("FGDM_LoadFactor", {"factor_name": "foreign.safetensors"}))
    assert "foreign.safetensors" in text and seems in text


def test_corrupt_embedded_weights(comfy_host, tmp_path, monkeypatch):
    """On a copy of the embedded folder: one flipped bit, a missing file, no list of checksums."""
    folders = comfy_host.engine("comfyui_fgdm.host.folders")
    copy = tmp_path / "weights"
    shutil.copytree(folders.EMBEDDED, copy)
    monkeypatch.setattr(folders, "EMBEDDED", copy)
    path = copy / "fgdm_factors" / FACTOR
    folders.verify_embedded(path)
    folders.verify_embedded(tmp_path / "own.safetensors")

    target = copy / "checkpoints" / "fgdm-iconworld.safetensors"
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    with pytest.raises(ValueError, match="fgdm-iconworld.safetensors is damaged.*Install the pack again"):
        folders.verify_embedded(path)
    target.unlink()
    with pytest.raises(ValueError, match="is missing from this pack"):
        folders.verify_embedded(path)
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(ValueError, match="SHA256SUMS is missing"):
        folders.verify_embedded(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"widths": (32, 64, 64), "base_family": "sd15"}, "level widths"),
        ({"channels": 4, "base_family": "sd15"}, "4 latent channels"),
        ({"kind": "time_adapter", "emb": 64}, "time embedding of 64"),
        ({"prediction_type": "eps", "base_family": "sd15"}, "eps prediction against v prediction"),
        ({"base_family": "sd15"}, "a text of width 768 against 128"),
    ],
)
def test_factor_of_another_family(tiny, make_factor, changes, reason):
    name = f"other-{reason.split()[0]}-{len(reason)}.safetensors"
    factor = tiny.load(make_factor(name, **changes))
    with pytest.raises(ValueError, match=reason) as caught:
        tiny.apply(factor)
    assert (
        name in str(caught.value) and "'model'" in str(caught.value) and "checkpoint of the family" in str(caught.value)
    )


def test_low_rank_deltas_of_another_family(comfy_host, tiny, make_factor):
    pair = comfy_host.engine("comfyui_fgdm.factors.files").LoraPair(torch.zeros(2, 5), torch.zeros(3, 2))
    for key, reason in (("out.9.weight", "which the model lacks"), ("time_embed.0.weight", "which is")):
        factor = tiny.load(make_factor(f"delta-{key}.safetensors", lora={key: pair}))
        with pytest.raises(ValueError, match=reason):
            tiny.apply(factor)


def test_model_that_is_no_unet(comfy_host, tiny, factor):
    """Any other diffusion model, here a linear layer in the UNet's place."""
    other = tiny.model.clone()
    other.add_object_patch("diffusion_model", torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="'model' is a Linear"):
        tiny.apply(factor, other)


def test_range_of_percent(tiny, factor):
    with pytest.raises(ValueError, match="start_percent 0.6 and end_percent 0.4"):
        tiny.apply(factor, start=0.6, end=0.4)


@pytest.mark.parametrize("text", ["", "  , ; ", "justice and beauty"])
def test_no_object(comfy_host, text):
    with pytest.raises(ValueError, match="dog, bicycle, tree"):
        comfy_host.call("FGDM_Objects", text=text, mode="auto")


def test_prompt_of_a_thousand_words(comfy_host, tiny):
    text = " ".join(["a dog and a shiny thing"] * 166 + ["near a tree with a car"])
    assert len(text.split()) > 990
    _, names, report = comfy_host.call("FGDM_Objects", text=text, mode="auto")
    assert names == "dog, tree, car" and len(report) < 500
    assert tiny.encode(text)[0][0].isfinite().all()


@pytest.mark.parametrize("count", [0, 65, 1000])
def test_count_out_of_range(comfy_host, tiny, factor, count):
    """By a widget the host refuses it, by a link the node does."""
    inputs = {"count": count, "seed": 0, "steps": 1, "cfg": 1.0, "sampler": "ddim", "scheduler": "normal",
              "width": 0, "height": 0, "batch_size": 1}  # fmt: skip
    text = refused_prompt(comfy_host, a=("FGDM_SampleMaps", inputs))
    assert "count" in text and ("64" in text or "min" in text)
    with pytest.raises(ValueError, match=f"count: {count} is out of range; give a number from 1 to 64"):
        tiny.sample_maps(factor, count=count)


@pytest.mark.parametrize(
    ("gib", "size", "count", "reason"), [(8, 4096, 1, "one of them"), (16, 4096, 64, "64 of them")]
)
def test_a_run_that_cannot_fit_is_refused_before_it_begins(
    comfy_host, tiny, factor, monkeypatch, gib, size, count, reason
):
    """On a CPU nothing else would: the system ends the server. The tiny family is small, but its maps are not."""
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "get_total_memory", lambda *_: gib * 2**30)
    monkeypatch.setattr(comfy_host.engine("comfyui_fgdm.host.sample_maps"), "CandidateSampler", None)
    monkeypatch.setattr(type(tiny.model.model), "memory_required", lambda _, shape, **__: shape[2] * shape[3] * 40_000)
    with pytest.raises(ValueError, match=f"width, height: maps of 4096 x 4096 pixels.*{reason}.*there are {gib} GiB"):
        tiny.sample_maps(factor, size=size, count=count)


def test_size_off_the_grid(tiny, factor):
    with pytest.raises(ValueError, match="width: 100 is off the grid.* multiples of 8 pixels. Try 96 or 104"):
        tiny.sample_maps(factor, size=100)


def test_vae_of_another_family(tiny, factor):
    from types import SimpleNamespace

    with pytest.raises(ValueError, match="vae: it decodes latents of 4 channels"):
        tiny.sample_maps(factor, vae=SimpleNamespace(latent_channels=4))


@pytest.mark.parametrize("shape", [(2, 8, 8, 4), (2, 8, 8, 1), (8, 8, 3), (0, 8, 8, 3)])
def test_batch_of_another_shape(comfy_host, shape):
    with pytest.raises(ValueError, match="maps: expected a batch of RGB pictures"):
        comfy_host.call("FGDM_DecodeMap", maps=torch.zeros(shape), class_name="")


@pytest.fixture(scope="module")
def photo():
    """Soft colours, as in a photo: light tones that lie between the colours of the palette."""
    ramp = torch.linspace(0.85, 1.0, 32)
    return torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), torch.full((32, 32), 0.95)], -1)[None]


def test_photo_given_as_a_map(comfy_host, factor, photo):
    """With a factor as well as without: what drew a map cannot be told from a photo."""
    objects = comfy_host.call("FGDM_Objects", text="dog", mode="auto")[0]
    tone = torch.linspace(0.2, 0.8, 64)  # soft tones of all kinds: each is near a colour of COCO, few are on one
    across, down = tone.expand(64, 64), tone[:, None].expand(64, 64)
    haze = torch.stack([across, down, 0.5 * (1 - across) + 0.3 * down], -1)[None]
    for picture in (photo, haze):
        for given in (None, factor):
            with pytest.raises(ValueError, match="maps: 1 of 1 pictures .* no segmentation maps .* not photos"):
                comfy_host.call(
                    "FGDM_BestOfN", maps=picture, objects=objects, factor=given, keep=1, min_area=0.001, erode=1
                )
            with pytest.raises(ValueError, match="not photos"):
                comfy_host.call("FGDM_DecodeMap", maps=picture, class_name="", factor=given)


def test_a_single_photo_among_maps_is_named_in_the_log(comfy_host, photo, caplog):
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    batch = torch.cat([palettes.encode(torch.full((1, 32, 32), 17)), photo])
    with caplog.at_level(logging.WARNING):
        comfy_host.call("FGDM_DecodeMap", maps=batch, class_name="")
    assert "1 of 2 pictures (index 1)" in caplog.text


@pytest.mark.parametrize(("keep", "wrong"), [(0, "0 is out of range"), (4, "4 of 3 maps cannot be kept")])
def test_keep_out_of_range(comfy_host, keep, wrong):
    objects = comfy_host.call("FGDM_Objects", text="dog", mode="auto")[0]
    with pytest.raises(ValueError, match=f"keep: {wrong}"):
        comfy_host.call("FGDM_BestOfN", maps=torch.zeros(3, 8, 8, 3), objects=objects, keep=keep, min_area=0.0, erode=0)


def test_unknown_class_name(comfy_host, factor):
    maps = torch.zeros(1, 8, 8, 3)
    with pytest.raises(ValueError, match="class_name: .*'dgo'.*dog"):
        comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="dgo")
    with pytest.raises(ValueError, match="class_name: the factor .* was not trained to draw 'toothbrush'"):
        comfy_host.call("FGDM_DecodeMap", maps=maps, class_name="toothbrush", factor=factor)


def test_factor_of_maps_without_classes(tiny, make_factor):
    factor = tiny.load(make_factor("depth.safetensors", variable="depth", palette=None))
    with pytest.raises(ValueError, match="factor: .* draws depth maps"):
        tiny.sample_maps(factor)
