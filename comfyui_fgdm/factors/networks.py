"""The adapter networks of condition factors, at any width, and how to tell them apart by their weights.

An adapter reads the noisy latent x_t of its variable and gives one feature a level of the frozen UNet. Each
feature is added to the output of the last input block of its level, before that output is stored as a skip.

Two kinds (FG-DM paper, section 4 and appendix; the release has both):
- ``Adapter``: residual 3x3 - ReLU - 1x1 blocks, no timestep (the T2I-Adapter design);
- ``TimeAdapter``: residual blocks of the UNet's own design, with the UNet's timestep embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional as F

OFFICIAL_WIDTHS = (320, 640, 1280, 1280)
"""Widths of the adapters of the paper, made for the UNet of Stable Diffusion 1.x (levels 1, 2, 4, 4 times 320)."""

OFFICIAL_EMB = 1280


class AdapterKind(str, Enum):
    """Which of the two adapter networks."""

    PLAIN = "adapter"
    TIME = "time_adapter"


class AdapterKeysError(ValueError):
    """Weights that are not those of an adapter: what is missing, left over or of another shape."""


@dataclass(frozen=True)
class AdapterSpec:
    """Everything needed to build an adapter.

    widths: channels of the feature of each level, finest first; equal to the UNet's level widths.
    in_channels: channels of the latent it reads. emb_channels: width of the UNet's timestep embedding (0 for
    ``AdapterKind.PLAIN``, which has none). blocks: residual blocks a level.
    """

    kind: AdapterKind
    widths: tuple[int, ...]
    in_channels: int = 4
    emb_channels: int = 0
    blocks: int = 2

    def __post_init__(self) -> None:
        sizes = (*self.widths, self.in_channels, self.blocks)
        if not self.widths or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise AdapterKeysError(f"an adapter needs at least one level and positive sizes, got {self}")
        if (self.kind is AdapterKind.TIME) != (self.emb_channels > 0):
            raise AdapterKeysError(f"emb_channels must be > 0 for a time adapter and 0 for a plain one, got {self}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight of this adapter, in the order of the module."""
        out: dict[str, tuple[int, ...]] = {}

        def conv(name: str, cout: int, cin: int, size: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = (cout, cin, size, size), (cout,)

        def vector(name: str, *shape: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

        cin = self.widths[0]
        for n, cout in enumerate(w for w in self.widths for _ in range(self.blocks)):
            name = f"body.{n}"
            if self.kind is AdapterKind.PLAIN:
                if cin != cout:
                    conv(f"{name}.in_conv", cout, cin, 1)
                conv(f"{name}.block1", cout, cout, 3)
                conv(f"{name}.block2", cout, cout, 1)
            else:
                vector(f"{name}.in_layers.0", cin)
                conv(f"{name}.in_layers.2", cout, cin, 3)
                vector(f"{name}.emb_layers.1", cout, self.emb_channels)
                vector(f"{name}.out_layers.0", cout)
                conv(f"{name}.out_layers.3", cout, cout, 3)
                if cin != cout:
                    conv(f"{name}.skip_connection", cout, cin, 1)
            cin = cout
        conv("conv_in", self.widths[0], self.in_channels, 3)
        return out


class Shaped(Protocol):
    """A description of a network that says the name and shape of each of its weights."""

    def shapes(self) -> dict[str, tuple[int, ...]]: ...


def _halve(x: torch.Tensor) -> torch.Tensor:
    """2x2 average pooling; odd sides round up, as the UNet's strided convolutions do."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def norm_groups(width: int) -> int:
    """Groups of a GroupNorm of ``width`` channels: 32 as in the release, or for narrow or odd widths the largest
    divisor below that leaves two channels a group: alone in its group, a channel would lose its timestep."""
    return next((g for g in range(min(32, width // 2), 0, -1) if width % g == 0), 1)


class _PlainBlock(nn.Module):
    def __init__(self, cin: int, cout: int, halve: bool, ops, kw: dict) -> None:
        super().__init__()
        self.halve = halve
        if cin != cout:
            self.in_conv = ops.Conv2d(cin, cout, 1, **kw)
        self.block1 = ops.Conv2d(cout, cout, 3, padding=1, **kw)
        self.block2 = ops.Conv2d(cout, cout, 1, **kw)

    def forward(self, x: torch.Tensor, emb: torch.Tensor | None) -> torch.Tensor:
        x = _halve(x) if self.halve else x
        x = self.in_conv(x) if hasattr(self, "in_conv") else x
        return x + self.block2(F.relu(self.block1(x)))


class _TimeBlock(nn.Module):
    def __init__(self, cin: int, cout: int, halve: bool, emb: int, ops, kw: dict) -> None:
        super().__init__()
        self.halve = halve
        # The positions in these sequences are the key names of the released files.
        self.in_layers = nn.Sequential(
            ops.GroupNorm(norm_groups(cin), cin, **kw), nn.SiLU(), ops.Conv2d(cin, cout, 3, padding=1, **kw)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), ops.Linear(emb, cout, **kw))
        last = ops.Conv2d(cout, cout, 3, padding=1, **kw)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.out_layers = nn.Sequential(ops.GroupNorm(norm_groups(cout), cout, **kw), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = ops.Conv2d(cin, cout, 1, **kw) if cin != cout else nn.Identity()

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        h = self.in_layers[1](self.in_layers[0](x))
        if self.halve:
            h, x = _halve(h), _halve(x)
        h = self.in_layers[2](h) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class _AdapterBase(nn.Module):
    """Stem, blocks, and one feature after the last block of each level. ``spec`` describes the network;
    ``info`` is what the factor file it was loaded from says, if any."""

    info: Any = None

    def __init__(self, spec: AdapterSpec, ops=nn, device=None, dtype=None) -> None:
        super().__init__()
        self.spec = spec
        kw = {"device": device, "dtype": dtype}
        blocks, cin = [], spec.widths[0]
        for n, cout in enumerate(w for w in spec.widths for _ in range(spec.blocks)):
            halve = n > 0 and n % spec.blocks == 0
            if spec.kind is AdapterKind.PLAIN:
                blocks.append(_PlainBlock(cin, cout, halve, ops, kw))
            else:
                blocks.append(_TimeBlock(cin, cout, halve, spec.emb_channels, ops, kw))
            cin = cout
        self.body = nn.ModuleList(blocks)
        self.conv_in = ops.Conv2d(spec.in_channels, spec.widths[0], 3, padding=1, **kw)

    def forward(self, x: torch.Tensor, emb: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Latent [B, in_channels, h, w] (and embedding [B, emb_channels], before any SiLU) -> one feature a level.

        Feature i is [B, widths[i], ceil(h / 2**i), ceil(w / 2**i)].
        """
        if self.spec.kind is AdapterKind.TIME and emb is None:
            raise ValueError("a time adapter needs the UNet's timestep embedding [B, emb_channels], got None")
        features, h = [], self.conv_in(x)
        for n, block in enumerate(self.body, start=1):
            h = block(h, emb)
            if n % self.spec.blocks == 0:
                features.append(h)
        return features


class Adapter(_AdapterBase):
    """The plain adapter: output of a block = u + conv1x1(ReLU(conv3x3(u))); the embedding is ignored."""

    def __init__(self, widths=OFFICIAL_WIDTHS, in_channels=4, blocks=2, ops=nn, device=None, dtype=None) -> None:
        spec = AdapterSpec(AdapterKind.PLAIN, tuple(widths), in_channels, 0, blocks)
        super().__init__(spec, ops, device, dtype)


class TimeAdapter(_AdapterBase):
    """The timestep-conditioned adapter. The last convolution of each block starts at zero, as in the release."""

    def __init__(
        self,
        widths=OFFICIAL_WIDTHS,
        in_channels=4,
        emb_channels=OFFICIAL_EMB,
        blocks=2,
        ops=nn,
        device=None,
        dtype=None,
    ) -> None:
        spec = AdapterSpec(AdapterKind.TIME, tuple(widths), in_channels, emb_channels, blocks)
        super().__init__(spec, ops, device, dtype)


def build(spec: AdapterSpec, ops=nn, device=None, dtype=None) -> _AdapterBase:
    """A new adapter of that kind and size. ``ops``: namespace with Conv2d, Linear and GroupNorm (e.g. comfy.ops)."""
    if spec.kind is AdapterKind.PLAIN:
        return Adapter(spec.widths, spec.in_channels, spec.blocks, ops, device, dtype)
    return TimeAdapter(spec.widths, spec.in_channels, spec.emb_channels, spec.blocks, ops, device, dtype)


def official(kind: AdapterKind) -> AdapterSpec:
    """The adapter of that kind in the FG-DM release: for the latents and the UNet of Stable Diffusion 1.x."""
    return AdapterSpec(kind, OFFICIAL_WIDTHS, emb_channels=OFFICIAL_EMB if kind is AdapterKind.TIME else 0)


def kind_of(names: Iterable[str]) -> AdapterKind | None:
    """Which adapter these weights belong to, by the name of one that only it has; None for neither."""
    found = set(names)
    first = {"body.0.block1.weight": AdapterKind.PLAIN, "body.0.in_layers.0.weight": AdapterKind.TIME}
    return next((kind for name, kind in first.items() if name in found), None)


def mismatch(shapes: Mapping[str, tuple[int, ...]], spec: Shaped) -> str:
    """What keeps weights of these names and shapes from being that network, in words; empty if nothing does."""
    expected, problems = spec.shapes(), []
    if missing := [k for k in expected if k not in shapes]:
        problems.append(f"missing: {_some(missing)}")
    if extra := [k for k in shapes if k not in expected]:
        problems.append(f"left over: {_some(extra)}")
    if wrong := [
        f"{k} is {shapes[k]}, expected {expected[k]}" for k in expected if shapes.get(k, expected[k]) != expected[k]
    ]:
        problems.append(f"of another shape: {_some(wrong)}")
    return "; ".join(problems)


def detect(shapes: Mapping[str, Any], blocks: int = 2) -> AdapterSpec:
    """Kind and sizes from names and shapes (or tensors); AdapterKeysError unless every one of them fits.

    ``blocks`` (residual blocks a level) cannot be seen in the weights where two levels have equal widths.
    """
    found = {k: tuple(getattr(v, "shape", v)) for k, v in shapes.items()}
    kind = kind_of(found)
    if kind is None:
        raise AdapterKeysError("no key body.0.block1.weight (Adapter) or body.0.in_layers.0.weight (TimeAdapter)")
    last = "block2.weight" if kind is AdapterKind.PLAIN else "out_layers.3.weight"
    count = len({k.split(".")[1] for k in found if k.startswith("body.")})  # numbered 0..count-1: checked below
    stem, emb = found.get("conv_in.weight", ()), found.get("body.0.emb_layers.1.weight", ())
    outs = [found.get(f"body.{n}.{last}", ()) for n in range(count)]
    if len(stem) != 4 or any(len(s) != 4 for s in outs) or (kind is AdapterKind.TIME and len(emb) != 2):
        bad = [f"body.{n}.{last}" for n, s in enumerate(outs) if len(s) != 4]
        bad += ["conv_in.weight"] if len(stem) != 4 else []
        bad += ["body.0.emb_layers.1.weight"] if kind is AdapterKind.TIME and len(emb) != 2 else []
        raise AdapterKeysError(f"missing or not of the right rank: {_some(bad)}")
    if count % blocks:
        raise AdapterKeysError(f"{count} blocks in body do not divide into levels of {blocks}")
    widths = tuple(outs[n][0] for n in range(blocks - 1, count, blocks))
    spec = AdapterSpec(kind, widths, stem[1], emb[1] if kind is AdapterKind.TIME else 0, blocks)
    if problems := mismatch(found, spec):
        raise AdapterKeysError(problems)
    return spec


def _some(names: list[str], limit: int = 4) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
