"""Files that are no factor: damaged, foreign or hostile ones are refused with what they seem to be."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save_file

from comfyui_fgdm.factors import files
from comfyui_fgdm.factors.files import FactorFileError, FactorInfo, TimeAdapter


@pytest.fixture
def module() -> TimeAdapter:
    return TimeAdapter((8, 12), 8, 16)


@pytest.fixture
def factor(tmp_path: Path, module: TimeAdapter) -> Path:
    path = tmp_path / "factor.safetensors"
    files.save(path, module, FactorInfo("segmentation", "iconworld", "time_adapter", latent_channels=8))
    return path


def test_pickles_that_are_no_factor_are_refused_and_never_run(tmp_path: Path, module: TimeAdapter) -> None:
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    path = tmp_path / "x.pth"
    for legacy in (False, True):
        torch.save({"state_dict": Bomb()}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(FactorFileError, match="cannot be read as tensors alone.*pickle"):
            files.read_file(path)
        assert not (tmp_path / "exploded").exists()
    torch.save(module.state_dict(), path)
    with pytest.raises(FactorFileError, match="no metadata"):
        files.read_file(path)
    for raw in ([1, 2], {"state_dict": 5}, {}):
        torch.save(raw, path)
        with pytest.raises(FactorFileError, match="a file without tensors"):
            files.read_file(path)
    for content in (b"", b"hello", b"PK\x03\x04" + b"\0" * 99):
        path.write_bytes(content)
        with pytest.raises(FactorFileError, match="cannot be read as tensors alone"):
            files.read_file(path)


def header(names: dict[str, object], body: bytes = b"") -> bytes:
    text = json.dumps(names).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (b"", "an empty file"),
        (b"\x80\x02}q\x00.", "old PyTorch pickle"),
        (b"PK\x03\x04" + b"\0" * 100, "PyTorch pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b'{"error": "not found"}', "a JSON text"),
        (b"GGUF\x03\0\0\0" + b"\0" * 50, "a GGUF file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "a picture"),
        (b"hello", "no weights file known here"),
        (struct.pack("<Q", 10**6) + b'{"a":', "a truncated safetensors file"),
        (struct.pack("<Q", 2**63) + b'{"a":', "a truncated safetensors file"),
        (header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"\0" * 7), "damaged or truncated"),
        (header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, b"\0" * 8), "damaged or truncated"),
        (header({"a": {"dtype": "X99", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4), "damaged or truncated"),
    ],
)
def test_files_that_are_no_safetensors(tmp_path: Path, content: bytes, seems: str) -> None:
    path = tmp_path / "factor.safetensors"
    path.write_bytes(content)
    with pytest.raises(FactorFileError, match="not a readable safetensors file") as error:
        files.read_file(path)
    assert seems in str(error.value) and str(path) in str(error.value)


def test_a_factor_cut_anywhere_is_refused(factor: Path) -> None:
    whole = factor.read_bytes()
    for length in {0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1}:
        factor.write_bytes(whole[:length])
        with pytest.raises(FactorFileError):
            files.read_file(factor)


def test_flipped_bytes_give_a_factor_or_a_factor_file_error(factor: Path) -> None:
    whole, random = factor.read_bytes(), Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            damaged[random.randrange(min(len(whole), 2500))] = random.randrange(256)
        factor.write_bytes(damaged)
        try:
            files.read_file(factor)
        except FactorFileError:
            refused += 1
    assert refused > 150


@pytest.mark.parametrize(
    ("names", "seems"),
    [
        (["lora_unet_down_blocks_0.lora_up.weight", "lora_unet_down_blocks_0.lora_down.weight"], "a LoRA"),
        (["unet.down_blocks.0.lora_A.weight"], "a LoRA"),
        (
            ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight"],
            "a full Stable",
        ),
        (["control_model.input_hint_block.0.weight", "control_model.zero_convs.0.0.weight"], "a ControlNet"),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.x"], "a ControlNet"),
        (["body.0.block1.weight", "conv_in.weight"], "a T2I-Adapter"),
        (["encoder.conv_in.weight", "decoder.conv_in.weight"], "a VAE"),
        (["text_model.encoder.layers.0.layer_norm1.weight"], "a CLIP text encoder"),
        (["input_blocks.0.0.weight", "output_blocks.0.0.weight"], "a diffusion model"),
        (["double_blocks.0.img_attn.qkv.weight"], "a diffusion transformer"),
        (["something.else"], "of a kind not known here"),
        ([], "a file without tensors"),
    ],
)
def test_foreign_weights_are_named(tmp_path: Path, names: list[str], seems: str) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({name: torch.zeros(2, 2) for name in names}, path)
    with pytest.raises(FactorFileError, match="no FG-DM adapter") as error:
        files.read_file(path)
    assert seems in str(error.value) and "body.N" in str(error.value)


def test_a_huge_header_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 90 << 20))
        file.truncate((90 << 20) + 8)
    with pytest.raises(FactorFileError, match="its header takes 94371840 bytes, more than"):
        files.read_file(path)


def test_a_compressed_pickle_is_refused_without_unpacking_it(tmp_path: Path, monkeypatch) -> None:
    """Of 60 MB there are 60 kB on disk; what PyTorch would make of them is never asked for."""
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(60_000_000))
    with zipfile.ZipFile(tmp_path / "stored.pth", "w") as archive:
        archive.writestr("x/data.pkl", bytes(60_000_000))
    assert path.stat().st_size < 1e5
    monkeypatch.setattr(torch, "load", None)
    monkeypatch.setattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    with pytest.raises(FactorFileError, match=r"'x/data.pkl' in it is compressed.*60000000 bytes of"):
        files.read_file(path)
    with pytest.raises(FactorFileError, match="takes 60000000 bytes, more than"):
        files.read_file(tmp_path / "stored.pth")
