"""The adapters against the released key tables, and against a second implementation written as plain functions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from comfyui_fgdm.factors import networks
from comfyui_fgdm.factors.networks import (
    Adapter,
    AdapterKeysError,
    AdapterKind,
    AdapterSpec,
    TimeAdapter,
    build,
    detect,
)

RELEASED = json.loads((Path(__file__).parent / "data" / "adapter_keys.json").read_text(encoding="utf-8"))
OFFICIAL = {
    "Adapter": AdapterSpec(AdapterKind.PLAIN, (320, 640, 1280, 1280)),
    "TimeAdapter": AdapterSpec(AdapterKind.TIME, (320, 640, 1280, 1280), emb_channels=1280),
}
PARAMETERS = {"Adapter": 76_827_840, "TimeAdapter": 137_277_120}
SMALL = [
    AdapterSpec(AdapterKind.PLAIN, (8, 12, 12), 3),
    AdapterSpec(AdapterKind.PLAIN, (4,), 4, blocks=1),
    AdapterSpec(AdapterKind.TIME, (64, 96, 128), 8, 256),
    AdapterSpec(AdapterKind.TIME, (8, 12, 12, 20), 4, 16, blocks=3),
]


def pool(x: torch.Tensor) -> torch.Tensor:
    """Mean over 2x2 cells by summing and counting: cells at odd borders hold fewer pixels."""
    height, width = x.shape[-2:]
    pad = (0, width % 2, 0, height % 2)
    total = F.pad(x, pad).unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).sum((-1, -3))
    count = F.pad(torch.ones_like(x), pad).unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).sum((-1, -3))
    return total / count


def reference(sd: dict, x: torch.Tensor, emb: torch.Tensor | None, blocks: int) -> list[torch.Tensor]:
    """Both adapters from their weights alone, following the formulas of the paper's release."""

    def conv(name: str, v: torch.Tensor) -> torch.Tensor:
        weight = sd[f"{name}.weight"]
        return F.conv2d(v, weight, sd[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def norm_silu(name: str, v: torch.Tensor) -> torch.Tensor:
        groups = max(g for g in range(1, 33) if v.shape[1] % g == 0 and v.shape[1] // g > 1)
        parts = v.reshape(v.shape[0], groups, -1)
        parts = (parts - parts.mean(2, True)) / (parts.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()
        v = parts.reshape(v.shape) * sd[f"{name}.weight"][:, None, None] + sd[f"{name}.bias"][:, None, None]
        return v * torch.sigmoid(v)

    count = len({k.split(".")[1] for k in sd if k.startswith("body.")})
    v, out = conv("conv_in", x), []
    for n in range(count):
        halve, b = n > 0 and n % blocks == 0, f"body.{n}"
        if f"{b}.block1.weight" in sd:
            v = pool(v) if halve else v
            v = conv(f"{b}.in_conv", v) if f"{b}.in_conv.weight" in sd else v
            v = v + conv(f"{b}.block2", conv(f"{b}.block1", v).clamp(min=0))
        else:
            h = norm_silu(f"{b}.in_layers.0", v)
            h, v = (pool(h), pool(v)) if halve else (h, v)
            time = (emb * torch.sigmoid(emb)) @ sd[f"{b}.emb_layers.1.weight"].T + sd[f"{b}.emb_layers.1.bias"]
            h = conv(f"{b}.in_layers.2", h) + time[:, :, None, None]
            h = conv(f"{b}.out_layers.3", norm_silu(f"{b}.out_layers.0", h))
            v = (conv(f"{b}.skip_connection", v) if f"{b}.skip_connection.weight" in sd else v) + h
        if (n + 1) % blocks == 0:
            out.append(v)
    return out


def randomised(spec: AdapterSpec, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module = build(spec).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.1)
    return module


@pytest.mark.parametrize("kind", ["Adapter", "TimeAdapter"])
def test_names_shapes_and_sizes_of_the_release(kind: str) -> None:
    spec = OFFICIAL[kind]
    released = {name: tuple(shape) for name, shape in RELEASED[kind].items()}
    assert spec.shapes() == released
    assert len(released) == {"Adapter": 38, "TimeAdapter": 86}[kind]
    assert sum(math.prod(shape) for shape in released.values()) == PARAMETERS[kind]
    module = build(spec, device="meta")
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == released
    assert sum(p.numel() for p in module.parameters()) == PARAMETERS[kind]
    assert detect(released) == spec


@pytest.mark.parametrize("spec", SMALL, ids=str)
def test_modules_have_the_names_and_shapes_of_their_spec(spec: AdapterSpec) -> None:
    module = build(spec)
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == spec.shapes()
    assert list(module.state_dict()) == list(spec.shapes())
    assert detect(module.state_dict(), spec.blocks) == spec == module.spec


@pytest.mark.parametrize("spec", SMALL, ids=str)
@pytest.mark.parametrize("size", [(16, 16), (9, 14), (1, 1)])
def test_features_equal_the_second_implementation(spec: AdapterSpec, size: tuple[int, int]) -> None:
    module = randomised(spec)
    x = torch.randn(2, spec.in_channels, *size, dtype=torch.float64)
    emb = torch.randn(2, spec.emb_channels, dtype=torch.float64) if spec.emb_channels else None
    features = module(x, emb)
    for i, (ours, theirs) in enumerate(zip(features, reference(module.state_dict(), x, emb, spec.blocks), strict=True)):
        assert ours.shape == (2, spec.widths[i], -(-size[0] // 2**i), -(-size[1] // 2**i))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_full_size_shapes() -> None:
    for spec in OFFICIAL.values():
        module = build(spec, device="meta")
        features = module(torch.zeros(2, 4, 32, 32, device="meta"), torch.zeros(2, 1280, device="meta"))
        assert [tuple(f.shape) for f in features] == [
            *((2, 320, 32, 32), (2, 640, 16, 16), (2, 1280, 8, 8), (2, 1280, 4, 4))
        ]


def test_time_adapter_starts_with_zero_branches_and_plain_adapter_does_not() -> None:
    torch.manual_seed(0)
    time = TimeAdapter((8, 12), 4, 16)
    assert all(not p.any() for k, p in time.named_parameters() if ".out_layers.3." in k)
    x = torch.randn(1, 4, 8, 8)
    first, second = time(x, torch.randn(1, 16)), time(x, torch.randn(1, 16))
    assert all(torch.equal(a, b) and a.abs().sum() > 0 for a, b in zip(first, second, strict=True))
    torch.testing.assert_close(first[0], time.conv_in(x))
    assert all(p.any() for p in Adapter((8, 12)).parameters())


def test_time_adapter_depends_on_the_embedding_and_plain_adapter_ignores_it() -> None:
    x = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    emb = torch.randn(1, 16, dtype=torch.float64)
    time = randomised(AdapterSpec(AdapterKind.TIME, (8, 12), 4, 16))
    assert not torch.allclose(time(x, emb)[1], time(x, emb + 1)[1])
    with pytest.raises(ValueError, match="embedding"):
        time(x)
    plain = randomised(AdapterSpec(AdapterKind.PLAIN, (8, 12)))
    assert torch.equal(plain(x)[1], plain(x, emb)[1])


def test_batch_items_are_independent() -> None:
    module = randomised(SMALL[2])
    x, emb = torch.randn(3, 8, 8, 8, dtype=torch.float64), torch.randn(3, 256, dtype=torch.float64)
    for i in range(3):
        torch.testing.assert_close(module(x[i : i + 1], emb[i : i + 1])[2][0], module(x, emb)[2][i])


def test_every_parameter_gets_a_gradient() -> None:
    for spec in SMALL:
        module = randomised(spec)
        emb = torch.randn(1, spec.emb_channels, dtype=torch.float64) if spec.emb_channels else None
        sum(
            f.square().sum() for f in module(torch.randn(1, spec.in_channels, 8, 8, dtype=torch.float64), emb)
        ).backward()
        silent = [k for k, p in module.named_parameters() if p.grad is None or not p.grad.any()]
        assert not silent


def test_layers_come_from_the_given_namespace() -> None:
    made: list[str] = []

    class Ops:
        """Counts what is built, as a host's own layers would be."""

        @staticmethod
        def Conv2d(*args, **kw):
            made.append("Conv2d")
            return nn.Conv2d(*args, **kw)

        @staticmethod
        def Linear(*args, **kw):
            made.append("Linear")
            return nn.Linear(*args, **kw)

        @staticmethod
        def GroupNorm(*args, **kw):
            made.append("GroupNorm")
            return nn.GroupNorm(*args, **kw)

    module = build(SMALL[2], ops=Ops, dtype=torch.float16)
    weights = [m for m in module.modules() if list(m.parameters(recurse=False))]
    assert len(made) == len(weights) and {"Conv2d", "Linear", "GroupNorm"} == set(made)
    assert all(p.dtype == torch.float16 for p in module.parameters())


@pytest.mark.parametrize(
    ("width", "groups"), [(320, 32), (64, 32), (96, 32), (48, 24), (20, 10), (34, 17), (37, 1), (1, 1)]
)
def test_norm_groups(width: int, groups: int) -> None:
    assert networks.norm_groups(width) == groups


def changed(spec: AdapterSpec, **changes: object) -> dict[str, tuple[int, ...]]:
    shapes = dict(spec.shapes())
    for name, shape in changes.items():
        name = name.replace("__", ".")
        if shape is None:
            del shapes[name]
        else:
            shapes[name] = shape
    return shapes


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "no key body.0.block1.weight"),
        ({"lora_up.weight": (4, 4)}, "no key"),
        (changed(SMALL[0], body__3__block1__bias=None), "missing: body.3.block1.bias"),
        (changed(SMALL[0], conv_in__weight=None), "conv_in.weight"),
        (changed(SMALL[0], conv_in__weight=(8, 3)), "conv_in.weight"),
        (changed(SMALL[0], body__5__block2__weight=None), "body.5.block2.weight"),
        (changed(SMALL[0], extra=(1,)), "left over: extra"),
        (changed(SMALL[0], body__6__block1__weight=(8, 8, 3, 3)), "body.6"),
        (changed(SMALL[0], body__99999999999__block1__weight=(8, 8, 3, 3)), "body.6"),
        (
            changed(SMALL[0], body__2__in_conv__weight=(12, 9, 1, 1)),
            r"in_conv.weight is \(12, 9, 1, 1\), expected \(12, 8",
        ),
        (changed(SMALL[2], body__0__emb_layers__1__weight=None), "emb_layers"),
        (changed(SMALL[2], body__4__emb_layers__1__weight=(128, 99)), r"\(128, 99\), expected \(128, 256\)"),
        (changed(SMALL[2], conv_in__bias=(0,)), "conv_in.bias"),
    ],
)
def test_weights_that_are_no_adapter_are_refused_by_name(shapes: dict, message: str) -> None:
    with pytest.raises(AdapterKeysError, match=message):
        detect(shapes)


@pytest.mark.parametrize(
    "values",
    [
        {"widths": ()},
        {"widths": (0,)},
        {"widths": (8,), "in_channels": 0},
        {"widths": (8,), "blocks": 0},
        {"widths": (8,), "emb_channels": 5},
        {"widths": (8,), "kind": AdapterKind.TIME},
    ],
)
def test_impossible_specs_are_refused(values: dict) -> None:
    with pytest.raises(AdapterKeysError):
        AdapterSpec(**{"kind": AdapterKind.PLAIN, **values})
