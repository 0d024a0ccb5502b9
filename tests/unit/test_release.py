"""Whole checkpoints in the layout of the FG-DM release become factor files that compute what the release computes."""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from comfyui_fgdm.factors import convert, files
from comfyui_fgdm.factors.files import FactorFileError

PREFIX = "model.diffusion_model.adapter."
WIDTHS = (320, 320, 640, 640, 1280, 1280, 1280, 1280)  # of the eight blocks
ENTERING = (320, *WIDTHS[:-1])
COUNTS = {"adapter": 38, "time_adapter": 86}
PARAMETERS = {"adapter": 76_827_840, "time_adapter": 137_277_120}


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    """As where the command runs: ComfyUI, which other tests may have started in this process, allows classes of its own."""
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.add_safe_globals(allowed)


def release_shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes from the description of the release, independent of the engine's own table."""
    weights: dict[str, tuple[int, ...]] = {"conv_in": (320, 4, 3, 3)}
    for n, (cin, cout) in enumerate(zip(ENTERING, WIDTHS, strict=True)):
        at = f"body.{n}."
        if kind == "adapter":
            weights |= {f"{at}block1": (cout, cout, 3, 3), f"{at}block2": (cout, cout, 1, 1)}
        else:
            weights |= {f"{at}in_layers.0": (cin,), f"{at}out_layers.0": (cout,), f"{at}emb_layers.1": (cout, 1280)}
            weights |= {f"{at}in_layers.2": (cout, cin, 3, 3), f"{at}out_layers.3": (cout, cout, 3, 3)}
        if n in (2, 4):
            weights[at + ("in_conv" if kind == "adapter" else "skip_connection")] = (cout, cin, 1, 1)
    return {f"{k}.{end}": s if end == "weight" else s[:1] for k, s in weights.items() for end in ("weight", "bias")}


def random_adapter(kind: str) -> dict[str, torch.Tensor]:
    """Half-precision weights of about the scale of trained ones; those of one fan-in share a buffer, to be quick."""
    shapes = release_shapes(kind)
    assert len(shapes) == COUNTS[kind] and sum(math.prod(s) for s in shapes.values()) == PARAMETERS[kind]
    fan_in = {k: math.prod(s[1:]) if len(s) > 1 else 100 for k, s in shapes.items()}
    generator, buffers = torch.Generator().manual_seed(7), {}
    for fan in sorted(set(fan_in.values())):
        most = max(math.prod(shapes[k]) for k in shapes if fan_in[k] == fan)
        buffers[fan] = (torch.randn(most + 1000, generator=generator) / fan**0.5).half()
    out = {}
    for number, (name, shape) in enumerate(shapes.items()):
        start = number * 11
        out[name] = buffers[fan_in[name]][start : start + math.prod(shape)].view(shape)
    return out


def features(weights: dict[str, torch.Tensor], x: torch.Tensor, emb: torch.Tensor) -> list[torch.Tensor]:
    """What the adapters of the release compute, from their weights alone, in float32."""
    w = {k: v.float() for k, v in weights.items()}

    def conv(name: str, v: torch.Tensor) -> torch.Tensor:
        kernel = w[f"{name}.weight"]
        return F.conv2d(v, kernel, w[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def norm(name: str, v: torch.Tensor) -> torch.Tensor:
        return F.silu(F.group_norm(v, 32, w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-5))

    v, out = conv("conv_in", x), []
    for n in range(8):
        at, halve = f"body.{n}", n in (2, 4, 6)
        if f"{at}.block1.weight" in w:
            v = F.avg_pool2d(v, 2) if halve else v
            v = conv(f"{at}.in_conv", v) if n in (2, 4) else v
            v = v + conv(f"{at}.block2", F.relu(conv(f"{at}.block1", v)))
        else:
            h = norm(f"{at}.in_layers.0", v)
            h, v = (F.avg_pool2d(h, 2), F.avg_pool2d(v, 2)) if halve else (h, v)
            time = F.linear(F.silu(emb), w[f"{at}.emb_layers.1.weight"], w[f"{at}.emb_layers.1.bias"])
            h = conv(f"{at}.in_layers.2", h) + time[:, :, None, None]
            h = conv(f"{at}.out_layers.3", norm(f"{at}.out_layers.0", h))
            v = (conv(f"{at}.skip_connection", v) if n in (2, 4) else v) + h
        out += [v] if n % 2 else []
    return out


def foreign(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> type:
    """A class that can be pickled now, as if its package were installed; undo the patch before reading."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    made = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


def as_lightning(state: dict, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Save as PyTorch Lightning does in training: classes of callbacks as keys, objects of them, optimiser state."""
    with monkeypatch.context() as patch:
        callback = foreign(patch, "pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
        options = foreign(patch, "omegaconf.dictconfig", "DictConfig")()
        options.base_learning_rate = 1e-6
        moments = {k: torch.zeros(1).expand(320, 320) for k in ("exp_avg", "exp_avg_sq")}
        whole = {
            "epoch": 41,
            "global_step": 12345,
            "pytorch-lightning_version": "1.4.2",
            "state_dict": state,
            "callbacks": {callback: {"best_model_score": torch.tensor(0.1), "dirpath": "logs"}},
            "optimizer_states": [{"state": {0: {"step": 7, **moments}}, "param_groups": [{"lr": 1e-6, "params": [0]}]}],
            "lr_schedulers": [{"last_epoch": 3}],
            "hyper_parameters": options,
        }
        torch.save(whole, path)
    assert "pytorch_lightning" not in sys.modules


@pytest.fixture
def scratch(tmp_path: Path):
    """A folder whose large files go when the test does."""
    yield tmp_path
    for file in tmp_path.glob("*.*"):
        file.unlink()


@pytest.mark.parametrize("kind", ["adapter", "time_adapter"])
def test_converted_factors_compute_what_the_release_computes(kind, sd_state, scratch, monkeypatch) -> None:
    weights = random_adapter(kind)
    state = {**sd_state, **{PREFIX + k: v for k, v in weights.items()}}
    assert len(state) == {"adapter": 1181, "time_adapter": 1229}[kind]
    source, target = scratch / "fgdm_seg.pth", scratch / "seg.safetensors"
    averaged = {f"model_ema.diffusion_modeladapter{k.replace('.', '')}": torch.zeros(1) for k in weights}
    if kind == "adapter":
        as_lightning({**state, **averaged, "model_ema.decay": torch.tensor(0.99)}, monkeypatch, source)
    else:
        torch.save({"state_dict": state}, source)
    lines: list[str] = []
    info = convert.convert(source, target, convert.Wishes(), lines.append)

    module = files.load(target)
    assert module.info == info and [p.name for p in scratch.glob("seg*")] == ["seg.safetensors"]
    assert (info.variable, info.base_family, info.kind, info.palette) == ("segmentation", "sd15", kind, "coco183")
    assert (info.parents, info.trained_size, info.prediction_type, info.null_condition) == ((), 256, "eps", False)
    assert info.licence == "CreativeML-Open-RAIL-M" and len(info.classes) == 171
    assert info.training["file"] == "fgdm_seg.pth"
    x, emb = torch.randn(2, 4, 8, 8), torch.randn(2, 1280)
    with torch.inference_mode():
        for ours, theirs in zip(module(x, emb), features(weights, x, emb), strict=True):
            assert theirs.abs().mean() > 0.1
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    log = "\n".join(lines)
    assert f"{COUNTS[kind]} tensors" in log and "float16" in log and "left out: 1143 tensors" in log
    if kind == "adapter":
        assert (info.training["epoch"], info.training["global_step"]) == (41, 12345)
        assert "averaged copy (EMA) of 39" in log
        assert "2 Python names" in log and "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint" in log
    else:
        assert "not run" not in log and "EMA" not in log


@pytest.fixture(scope="module")
def zeros() -> dict[str, torch.Tensor]:
    """A plain adapter in the release's layout in which one stored zero serves every tensor."""
    zero = torch.zeros(1)
    return {PREFIX + k: zero.expand(s) for k, s in release_shapes("adapter").items()}


Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def with_shape(name: str, *shape: int) -> Change:
    value = torch.zeros(1).expand(shape) if shape else torch.tensor(0.0)
    return lambda state: {**state, PREFIX + name: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if "body.5.block2" not in k}, r"missing: body.5.block2.weight, body.5"),
        (with_shape("extra.weight", 3), r"left over: extra.weight"),
        (with_shape("body.3.block1.weight", 640, 640, 1, 1), r"body.3.block1.weight is \(640, 640, 1, 1\), exp"),
        (with_shape("body.1.block2.weight", 160, 320, 1, 1), r"body.1.block2.weight is \(160, 320, 1, 1\), exp"),
        (with_shape("conv_in.weight", 320, 8, 3, 3), r"a latent of 8, but no metadata"),
        (with_shape("conv_in.bias"), r"conv_in.bias is \(\), expected \(320,\)"),
        (lambda s: {k: v for k, v in s.items() if not k.startswith(PREFIX)}, "a full Stable Diffusion checkpoint"),
        (
            lambda s: {k: v.long() if k == f"{PREFIX}conv_in.bias" else v for k, v in s.items()},
            "conv_in.bias is torch.int",
        ),
        (lambda s: s | {f"{PREFIX}conv_in.bias": torch.full((320,), torch.inf)}, "conv_in.bias holds NaN or infinite"),
        (lambda s: s | {f"{PREFIX}conv_in.bias": "text"}, "missing: conv_in.bias"),
        (lambda s: s | {f"{PREFIX}conv_in.bias": torch.zeros(320, device="meta")}, "missing: conv_in.bias"),
    ],
)
def test_whole_models_with_another_adapter_are_refused_by_key(sd_state, zeros, tmp_path, change, message) -> None:
    source, target = tmp_path / "x.pth", tmp_path / "x.safetensors"
    torch.save({"state_dict": change({**sd_state, **zeros})}, source)
    with pytest.raises(FactorFileError, match=message) as error:
        convert.convert(source, target, convert.Wishes(), lambda _: None)
    assert str(source) in str(error.value) and not target.exists()


def test_an_embedding_of_another_width_is_refused(sd_state, tmp_path: Path) -> None:
    shapes = {k: (s[0], 1024) if "emb_layers.1.weight" in k else s for k, s in release_shapes("time_adapter").items()}
    torch.save({"state_dict": {PREFIX + k: torch.zeros(1).expand(s) for k, s in shapes.items()}}, tmp_path / "x.pth")
    with pytest.raises(FactorFileError, match="a timestep embedding of 1024, but no metadata"):
        files.read_file(tmp_path / "x.pth")


@pytest.mark.parametrize("channels", [64, 192])
def test_a_t2i_adapter_is_told_apart_by_what_it_reads(zeros, tmp_path: Path, channels: int) -> None:
    state = {k.removeprefix(PREFIX): v for k, v in zeros.items()}
    state["conv_in.weight"] = torch.zeros(1).expand(320, channels, 3, 3)
    torch.save(state, tmp_path / "t2iadapter.pth")
    with pytest.raises(FactorFileError, match=rf"a T2I-Adapter.*{channels} channels.*Load ControlNet Model"):
        files.read_file(tmp_path / "t2iadapter.pth")


@pytest.mark.parametrize(
    ("names", "seems"),
    [
        (["lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", "x.lora_down.weight"], "a LoRA"),
        (["model.diffusion_model.a", "first_stage_model.b", "conditioner.embedders.0.c"], "Stable Diffusion XL"),
        (["control_model.input_hint_block.0.weight", "control_model.zero_convs.0.0.weight"], "a ControlNet"),
        (["adapter.body.0.resnets.0.block1.weight"], "a T2I-Adapter"),
        (["model_ema.diffusion_modeladapterconv_inweight", "model.diffusion_model.a", "first_stage_model.b"], "a full"),
        ([], "a file without tensors"),
    ],
)
def test_foreign_pickles_are_named(tmp_path: Path, names: list[str], seems: str) -> None:
    torch.save({"state_dict": {name: torch.zeros(2) for name in names}}, tmp_path / "foreign.ckpt")
    with pytest.raises(FactorFileError, match="no FG-DM adapter") as error:
        files.read_file(tmp_path / "foreign.ckpt")
    assert seems in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_truncated_download_is_refused(sd_state, zeros, tmp_path: Path, share: float) -> None:
    source = tmp_path / "fgdm_seg.pth"
    torch.save({"state_dict": {**sd_state, **zeros}}, source)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FactorFileError, match="empty file" if share == 0 else "cut off or damaged"):
        convert.convert(source, tmp_path / "x.safetensors", convert.Wishes(), lambda _: None)
    assert [p.name for p in tmp_path.iterdir()] == ["fgdm_seg.pth"]


def test_the_release_without_its_base_and_without_the_prefix(zeros, tmp_path: Path) -> None:
    torch.save({k.removeprefix(PREFIX): v for k, v in zeros.items()}, tmp_path / "adapter.pt")
    file = files.read_file(tmp_path / "adapter.pt")
    assert len(file.adapter) == 38 and json.loads(file.info.to_json())["base_family"] == "sd15"
