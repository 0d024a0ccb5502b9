"""Factor files: what is written is read back, and what does not fit together is refused by name."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from comfyui_fgdm.factors import checkpoints, files
from comfyui_fgdm.factors.files import Adapter, FactorFileError, FactorInfo, LoraPair, TimeAdapter

INFO = FactorInfo(
    variable="segmentation",
    base_family="iconworld",
    kind="time_adapter",
    classes=(17, 1, 168, 1),
    trained_size=128,
    latent_channels=8,
    prediction_type="v",
    licence="Apache-2.0",
    training={"steps": 10, "seed": 0, "note": 'quotes " and \u00e9'},
)


@pytest.fixture
def module() -> TimeAdapter:
    torch.manual_seed(0)
    network = TimeAdapter((8, 12), 8, 16)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


@pytest.fixture
def factor(tmp_path: Path, module: TimeAdapter) -> Path:
    path = tmp_path / "factor.safetensors"
    files.save(path, module, INFO)
    return path


def test_save_and_load(factor: Path, module: TimeAdapter) -> None:
    file = files.read_file(factor)
    assert file.info == INFO and file.lora == {}
    assert all(torch.equal(file.adapter[k], v) for k, v in module.state_dict().items())
    loaded = files.load(factor)
    assert loaded.info == INFO and loaded.spec == module.spec and not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    x, emb = torch.randn(1, 8, 8, 8), torch.randn(1, 16)
    assert all(torch.equal(a, b) for a, b in zip(loaded(x, emb), module(x, emb), strict=True))
    assert os.listdir(factor.parent) == ["factor.safetensors"]


def test_half_precision(tmp_path: Path, module: TimeAdapter) -> None:
    path = tmp_path / "half.safetensors"
    files.save(path, module.state_dict(), INFO, dtype=torch.float16)
    assert {v.dtype for v in files.read_file(path).adapter.values()} == {torch.float16}
    assert {p.dtype for p in files.load(path).parameters()} == {torch.float32}
    assert {p.dtype for p in files.load(path, dtype=None).parameters()} == {torch.float16}


def test_low_rank_changes(tmp_path: Path, module: TimeAdapter) -> None:
    key = "input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight"
    pair = LoraPair(torch.randn(2, 4 * 9), torch.randn(6, 2))
    path = tmp_path / "f.safetensors"
    files.save(path, module, INFO, lora={key: pair})
    file = files.read_file(path)
    assert list(file.lora) == [key] and len(file.adapter) == len(module.state_dict())
    assert torch.equal(file.lora[key].down, pair.down) and torch.equal(file.lora[key].up, pair.up)
    delta = files.lora_delta(file.lora[key], (6, 4, 3, 3))
    torch.testing.assert_close(delta[5, 3, 2, 1], (pair.up[5] * pair.down[:, 3 * 9 + 2 * 3 + 1]).sum())
    for shape in ((6, 4, 3), (4, 6, 3, 3)):
        with pytest.raises(ValueError, match="does not fit"):
            files.lora_delta(pair, shape)


@pytest.mark.parametrize(
    ("down", "up"), [((2, 4), None), (None, (4, 2)), ((2, 4), (4, 3)), ((2, 4, 1, 1), (4, 2)), ((0, 4), (4, 0))]
)
def test_broken_low_rank_changes_are_refused(tmp_path: Path, module: TimeAdapter, down, up) -> None:
    tensors = dict(module.state_dict())
    tensors |= {f"lora.a.weight.{end}": torch.zeros(shape) for end, shape in (("down", down), ("up", up)) if shape}
    save_file(tensors, tmp_path / "f.safetensors", metadata={"fgdm_factor": INFO.to_json()})
    with pytest.raises(FactorFileError, match=r"'a.weight'.*down \[rank, in\]"):
        files.read_file(tmp_path / "f.safetensors")


def test_released_layout_with_prefix_and_without_metadata(tmp_path: Path) -> None:
    """A whole released checkpoint as safetensors: the adapter is taken out of it, the rest ignored."""
    network = Adapter(dtype=torch.float16, device="meta")
    zeros = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in network.state_dict().items()}
    tensors = {f"model.diffusion_model.adapter.{k}": v for k, v in zeros.items()}
    tensors |= {"model.diffusion_model.out.2.bias": torch.zeros(4), "first_stage_model.x": torch.zeros(1)}
    path = tmp_path / "fgdm_seg.safetensors"
    save_file(tensors, path)
    file = files.read_file(path)
    assert set(file.adapter) == set(network.state_dict())
    assert (file.info.variable, file.info.base_family, file.info.kind) == ("segmentation", "sd15", "adapter")
    assert 0 in file.info.classes and 11 not in file.info.classes and 182 not in file.info.classes
    assert len(file.info.classes) == 171


def test_released_checkpoint_as_pickle(tmp_path: Path) -> None:
    """The released file is a dict with a state_dict; the new and the old format of PyTorch are both about."""
    network = TimeAdapter((320, 640, 1280, 1280), device="meta")
    zeros = {k: torch.zeros(1).expand(v.shape) for k, v in network.state_dict().items()}  # one number a tensor on disk
    tensors = {f"model.diffusion_model.adapter.{k}": v for k, v in zeros.items()}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "fgdm_seg.pth")
    file = files.read_file(tmp_path / "fgdm_seg.pth")
    assert set(file.adapter) == set(zeros) and file.info.kind == "time_adapter"


def test_an_unknown_adapter_without_metadata_is_refused(tmp_path: Path, module: TimeAdapter) -> None:
    save_file(module.state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(FactorFileError, match=r"levels of \(8, 12\) channels.*no metadata 'fgdm_factor'"):
        files.read_file(tmp_path / "x.safetensors")


def test_a_missing_file_says_where_factors_belong(tmp_path: Path) -> None:
    with pytest.raises(FactorFileError, match=r"nothing\.safetensors: no such file.*fgdm_factors"):
        files.read_file(tmp_path / "nothing.safetensors")
    with pytest.raises(FactorFileError, match="no such file"):
        files.read_file(tmp_path)


def test_wrong_weights_inside_a_factor_are_named(tmp_path: Path, module: TimeAdapter) -> None:
    path, state = tmp_path / "f.safetensors", module.state_dict()

    def refused(tensors: dict, message: str, info: str = INFO.to_json()) -> None:
        save_file(tensors, path, metadata={"fgdm_factor": info})
        with pytest.raises(FactorFileError, match=message):
            files.read_file(path)

    refused({**state, "body.1.in_layers.2.bias": torch.zeros(9)}, r"in_layers.2.bias is \(9,\), expected \(8,\)")
    refused({k: v for k, v in state.items() if k != "conv_in.bias"}, "missing: conv_in.bias.*damaged factor file")
    refused({**state, "conv_in.bias": torch.full((8,), torch.nan)}, "conv_in.bias holds NaN")
    for absurd in (60_000.0, -3e38):
        refused({**state, "conv_in.bias": torch.full((8,), absurd)}, "conv_in.bias holds weights as large as")
    refused({**state, "conv_in.bias": torch.zeros(8, dtype=torch.int8)}, "conv_in.bias is torch.int8")
    refused({**state, "lora.junk": torch.zeros(1)}, "unknown tensors.*lora.junk")
    refused(state, "says adapter for 8 latent channels", json.dumps({**json.loads(INFO.to_json()), "kind": "adapter"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1]", "expected a JSON object, got list"),
        ("[" * 100_000, "not JSON"),
        ('{"variable": "x"}', "base_family"),
        ('{"variable": "", "base_family": "x"}', "that is not empty"),
        ('{"variable": 5, "base_family": "x"}', "variable must be a text"),
        ('{"variable": "x", "base_family": "x", "kind": "magic"}', "kind must be one of adapter, time_adapter, unet"),
        ('{"variable": "x", "base_family": "x", "classes": [500]}', "500"),
        ('{"variable": "x", "base_family": "x", "classes": [0.5]}', "classes"),
        ('{"variable": "x", "base_family": "x", "classes": 7}', "classes"),
        ('{"variable": "x", "base_family": "x", "classes": ["dog"]}', "classes"),
        ('{"variable": "x", "base_family": "x", "parents": [1]}', "parents"),
        ('{"variable": "x", "base_family": "x", "parents": "depth"}', "parents"),
        ('{"variable": "x", "base_family": "x", "palette": 5}', "palette"),
        ('{"variable": "x", "base_family": "x", "palette": null, "classes": [1]}', "no palette"),
        ('{"variable": "x", "base_family": "x", "trained_size": 0}', "trained_size"),
        ('{"variable": "x", "base_family": "x", "trained_size": true}', "trained_size"),
        ('{"variable": "x", "base_family": "x", "prediction_type": "x0"}', "prediction_type"),
        ('{"variable": "x", "base_family": "x", "training": []}', "training"),
        ('{"variable": "x", "base_family": "x", "parents": ["x"]}', "other variables than 'x'"),
        ('{"variable": "x", "base_family": "x", "parents": ["y", "y"]}', "each once"),
        ('{"variable": "x", "base_family": "x", "parents": ["y"], "null_condition": 1}', "null_condition must be true"),
        ('{"variable": "x", "base_family": "x", "null_condition": true}', "false where there are no parents"),
        (
            '{"variable": "x", "base_family": "x", "trained_size": 65536}',
            "trained_size must be a whole number from 1 to",
        ),
        ('{"variable": "x", "base_family": "x", "trained_size": 1000000000}', "trained_size must be a whole number"),
        ('{"variable": "x", "base_family": "x", "trained_size": NaN}', "trained_size"),
        ('{"variable": "x", "base_family": "x", "blocks": 1000000}', "blocks must be a whole number from 1 to 16"),
        ('{"variable": "x", "base_family": "x", "latent_channels": 100000}', "latent_channels must be a whole number"),
        (
            json.dumps({"variable": "x", "base_family": "x", "parents": [str(k) for k in range(99)]}),
            "parents must be a",
        ),
        (
            json.dumps({"variable": "x", "base_family": "x", "classes": [1] * 100_000}),
            "classes must be a list of at most",
        ),
        (json.dumps({"variable": "x" * 1000, "base_family": "x"}), "variable must be a text of at most 200 letters"),
        (json.dumps({"variable": "x", "base_family": "x", "training": {"a": "b" * (1 << 21)}}), "more than 1048576"),
        ('{"variable": "depth", "base_family": "x"}', "palette must be null: depth maps have no classes"),
    ],
)
def test_bad_metadata_is_refused_by_field(tmp_path: Path, module: TimeAdapter, text: str, message: str) -> None:
    path = tmp_path / "f.safetensors"
    save_file(module.state_dict(), path, metadata={"fgdm_factor": text})
    with pytest.raises(FactorFileError, match=r"bad metadata 'fgdm_factor'") as error:
        files.read_file(path)
    assert message in str(error.value) and len(str(error.value)) < 500


def test_info_is_normalised_and_reads_back() -> None:
    assert INFO.classes == (1, 17, 168)
    assert FactorInfo.from_json(INFO.to_json()) == INFO
    assert "\n" not in INFO.to_json() and INFO.to_json().isascii()
    later = json.dumps({**json.loads(INFO.to_json()), "field_of_a_later_version": 1})
    assert FactorInfo.from_json(later) == INFO
    assert hash(INFO) == hash(FactorInfo.from_json(INFO.to_json()))


def test_metadata_of_earlier_versions_is_read() -> None:
    """What the first version wrote, word for word; what it lacks has the meaning it had then."""
    text = (
        '{"base_family": "iconworld", "blocks": 2, "classes": [1, 17], "kind": "time_adapter", "latent_channels": 8, '
        '"licence": "Apache-2.0", "palette": "coco183", "parents": [], "prediction_type": "v", "trained_size": 128, '
        '"training": {"steps": 10}, "variable": "segmentation"}'
    )
    info = FactorInfo.from_json(text)
    assert (info.variable, info.classes, info.training) == ("segmentation", (1, 17), {"steps": 10})
    assert info.null_condition is False
    child = FactorInfo("depth", "sd15", palette=None, parents=("segmentation",), null_condition=True)
    assert FactorInfo.from_json(child.to_json()) == child and child.null_condition


def test_save_refuses_what_could_not_be_read_and_keeps_the_old_file(factor: Path, module: TimeAdapter) -> None:
    before = factor.read_bytes()
    with pytest.raises(FactorFileError, match=r"says time_adapter for 8 .* adapter for 4"):
        files.save(factor, Adapter((8, 12)), INFO)
    with pytest.raises(FactorFileError, match="left over"):
        files.save(factor, {**module.state_dict(), "extra": torch.zeros(1)}, INFO)
    assert factor.read_bytes() == before
    assert os.listdir(factor.parent) == [factor.name]


@pytest.mark.parametrize(("widths", "blocks"), [((8, 8), 3), ((8, 12, 12), 1)])
def test_blocks_a_level_are_kept_by_the_metadata(tmp_path: Path, widths: tuple[int, ...], blocks: int) -> None:
    """They cannot be told from the weights where widths repeat."""
    network = Adapter(widths, blocks=blocks)
    files.save(tmp_path / "f.safetensors", network, FactorInfo("depth", "iconworld", palette=None, blocks=blocks))
    assert files.load(tmp_path / "f.safetensors").spec == network.spec


def test_an_adapter_larger_than_any_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A pickle may spread one stored number over a tensor of any size."""
    network = Adapter((30_000, 30_000), 8, device="meta")
    torch.save({k: torch.zeros(1).expand(v.shape) for k, v in network.state_dict().items()}, tmp_path / "x.pth")
    with checkpoints.open_file(tmp_path / "x.pth") as checkpoint:
        described = dataclasses.replace(INFO, kind="adapter").to_json()
        checkpoint = dataclasses.replace(checkpoint, metadata={"fgdm_factor": described}, get=None)
        with pytest.raises(FactorFileError, match="numbers, more than 1000000000: no factor is so large"):
            files.read(checkpoint)
