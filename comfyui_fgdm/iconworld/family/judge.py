"""The judge: a small segmenter that reads the icon world's pictures, trained on real pictures only.

It is used for evaluation alone. Nothing is selected by it except the baseline that says so.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F


class _Double(nn.Sequential):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, 3, padding=1),
            nn.GroupNorm(8, n_out),
            nn.SiLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1),
            nn.GroupNorm(8, n_out),
            nn.SiLU(),
        )


class Judge(nn.Module):
    """A U-Net: pictures B x 3 x H x W in 0..1 -> class scores B x K x H x W; H and W multiples of 32."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, 2, 1)
        self.down = nn.ModuleList(_Double(widths[max(k - 1, 0)], w) for k, w in enumerate(widths))
        self.up = nn.ModuleList(_Double(widths[k + 1] + widths[k], widths[k]) for k in reversed(range(len(widths) - 1)))
        self.out = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.coarse(x), scale_factor=2, mode="bilinear")

    def coarse(self, x: Tensor) -> Tensor:
        """Class scores at half the resolution, B x K x H/2 x W/2, which training uses."""
        h, skips = self.stem(x * 2 - 1), []
        for number, stage in enumerate(self.down):
            h = stage(F.max_pool2d(h, 2) if number else h)
            skips.append(h)
        skips.pop()
        for stage in self.up:
            h = stage(torch.cat([F.interpolate(h, scale_factor=2, mode="nearest"), skips.pop()], 1))
        return self.out(h)


class Reader:
    """Pictures -> COCO label maps; see `load`."""

    def __init__(self, model: Judge, classes: tuple[int, ...]) -> None:
        self.model, self.classes = model.eval(), classes
        self._index = torch.tensor(classes)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """B x H x W x 3 in 0..1 -> LongTensor B x H x W of COCO label indices."""
        scores = self.model(images.permute(0, 3, 1, 2).float())
        return self._index[scores.argmax(1)]


def load(path: str | Path) -> Reader:
    """Read a judge file (safetensors with its class list in the metadata). ValueError if it is none."""
    with safe_open(str(path), framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("fgdm_iconworld", "{}"))
        if "classes" not in about:
            raise ValueError(f"{path}: no judge file (its metadata lists no classes)")
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (no mapping)
    classes = tuple(about["classes"])
    model = Judge(len(classes))
    model.load_state_dict(state)
    return Reader(model, classes)
