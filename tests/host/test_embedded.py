"""Loaders of the embedded family: what core's functions load, and nothing of it in core's lists."""

from __future__ import annotations

import shutil

import pytest
import torch

from tools.inprocess import ExecutionFailed

MODEL, IMAGE, DEPTH_IMAGE = (f"fgdm-iconworld{part}.safetensors" for part in ("", "-image", "-depth-image"))


def options(comfy_host, node_id, name):
    kind, *rest = comfy_host.node(node_id).INPUT_TYPES()["required"][name]
    return kind if isinstance(kind, list) else rest[0]["options"]


def test_lists_of_core_hold_nothing_of_the_pack(comfy_host):
    """A user's new Load Checkpoint names a file of the user's, whichever kind of model a node lists."""
    weights = str(comfy_host.engine("comfyui_fgdm.host.folders").EMBEDDED)
    for kind, (paths, _) in comfy_host.folder_paths.folder_names_and_paths.items():
        if not kind.startswith("fgdm_") and kind != "custom_nodes":
            assert not [path for path in paths if path.startswith(weights)], kind
            assert not [name for name in comfy_host.folder_paths.get_filename_list(kind) if "iconworld" in name], kind
    assert MODEL not in options(comfy_host, "CheckpointLoaderSimple", "ckpt_name")


def test_the_embedded_ones_are_offered_the_first_ones_first(comfy_host):
    weights = comfy_host.engine("comfyui_fgdm.host.folders").EMBEDDED
    for node_id, name, kind, first in (
        ("FGDM_LoadEmbedded", "model_name", "checkpoints", MODEL),
        ("FGDM_LoadEmbeddedImageFactor", "image_factor_name", "controlnet", IMAGE),
    ):
        offered = options(comfy_host, node_id, name)
        assert offered[0] == first
        assert sorted(offered) == sorted(file.name for file in (weights / kind).glob("*.safetensors"))


def test_weights_are_those_of_the_file(comfy_host):
    """Every weight of the UNet, and of a ControlNet, is in the host's model with the file's values."""
    from safetensors.torch import load_file

    weights = comfy_host.engine("comfyui_fgdm.host.folders").EMBEDDED
    model, clip, vae = comfy_host.call("FGDM_LoadEmbedded", model_name=MODEL)
    loaded = model.model.diffusion_model.state_dict()
    prefix = "model.diffusion_model."
    stored = {key: value for key, value in load_file(weights / "checkpoints" / MODEL).items() if key.startswith(prefix)}
    assert len(stored) > 100
    for key, value in stored.items():
        assert torch.equal(loaded[key.removeprefix(prefix)].float(), value.float()), key
    assert vae.latent_channels == 12 and clip.tokenize("a dog")
    (net,) = comfy_host.call("FGDM_LoadEmbeddedImageFactor", image_factor_name=IMAGE)
    loaded = net.control_model.state_dict()
    for key, value in load_file(weights / "controlnet" / IMAGE).items():
        assert torch.equal(loaded[key].float(), value.float()), key


@pytest.mark.parametrize(
    ("node_id", "name", "core"),
    [
        ("FGDM_LoadEmbedded", "model_name", "Load Checkpoint"),
        ("FGDM_LoadEmbeddedImageFactor", "image_factor_name", "Load ControlNet Model"),
    ],
)
def test_any_other_name_is_refused(comfy_host, node_id, name, core):
    """Written into the node, by a link, and out of the folder."""
    for value in ("v1-5.safetensors", "../fgdm_factors/fgdm-iconworld-depth.safetensors"):
        with pytest.raises(ExecutionFailed) as caught:
            comfy_host.run({"a": {"class_type": node_id, "inputs": {name: value}}}, wanted=["a"])
        assert name in str(caught.value) and value in str(caught.value) and core in str(caught.value)
        with pytest.raises(ValueError, match=f"{name}: .*does not come with this pack.*iconworld.*{core}"):
            comfy_host.call(node_id, **{name: value})


def test_damaged_weights_are_refused_by_every_loader(comfy_host, tmp_path, monkeypatch):
    """One bit of one file: none of the family is loaded, since the rest is of no use beside it."""
    folders, paths = comfy_host.engine("comfyui_fgdm.host.folders"), comfy_host.folder_paths
    copy = tmp_path / "weights"
    shutil.copytree(folders.EMBEDDED, copy)
    listed = paths.folder_names_and_paths["fgdm_factors"]
    monkeypatch.setitem(paths.folder_names_and_paths, "fgdm_factors", ([str(copy / "fgdm_factors")], listed[1]))
    monkeypatch.setattr(folders, "EMBEDDED", copy)
    paths.filename_list_cache.clear()
    target = copy / "controlnet" / DEPTH_IMAGE
    data = bytearray(target.read_bytes())
    data[-1] ^= 1
    target.write_bytes(data)
    for node_id, inputs in (
        ("FGDM_LoadEmbeddedImageFactor", {"image_factor_name": DEPTH_IMAGE}),
        ("FGDM_LoadEmbedded", {"model_name": MODEL}),
        ("FGDM_LoadFactor", {"factor_name": "fgdm-iconworld-segmentation.safetensors"}),
    ):
        with pytest.raises(ExecutionFailed, match=f"{DEPTH_IMAGE} is damaged: its SHA-256") as caught:
            comfy_host.run({"a": {"class_type": node_id, "inputs": inputs}}, wanted=["a"])
        assert "Install the pack again" in str(caught.value)
    paths.filename_list_cache.clear()
