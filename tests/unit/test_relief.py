"""Normals that follow from depth."""

from __future__ import annotations

import math

import pytest
import torch

from comfyui_fgdm.maps import normal, relief
from comfyui_fgdm.maps.pictures import MapError


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")


def test_a_plane_has_its_normal_everywhere_up_to_the_edge():
    y, x = grid(40, 60)
    found = relief.normals((0.1 + 0.004 * x + 0.006 * y)[None], relief=2.0)
    across, down = 0.004 * 2 * 40, 0.006 * 2 * 40
    wanted = torch.tensor([across, down, 1.0]) / math.hypot(across, down, 1.0)
    assert torch.allclose(found, wanted.expand_as(found), atol=1e-5)
    # it rises to the right and downwards, so it faces left (red) and up (green)
    red, green, blue = normal.draw(found)[0, 20, 30].tolist()
    assert red > 0.5 and green > 0.5 and blue > 0.5


def test_the_edge_of_an_object_is_no_slope():
    """Two flat levels face the viewer up to the last pixel; a slope beside a wall stays what it is."""
    y, x = grid(48, 48)
    block = torch.where((x > 15) & (x < 33) & (y > 10) & (y < 30), 0.9, 0.2)
    assert torch.equal(relief.normals(block[None]), torch.tensor(normal.FACING).expand(1, 48, 48, 3))
    ramp = torch.where(x < 24, 0.005 * x, torch.full_like(x, 0.8))
    found = relief.normals(ramp[None])[0, :, :, 0]
    slope = 0.005 * 48 / math.hypot(0.005 * 48, 1)
    assert torch.allclose(found[:, :24], torch.full((48, 24), slope), atol=1e-5)
    assert torch.allclose(found[:, 24:], torch.zeros(48, 24), atol=1e-5)


def test_a_ball_in_eight_bits():
    """Within 3 degrees in the mean of the normals of the surface that was rounded to 256 levels."""
    y, x = grid(256, 256)
    u, v = (x - 127.5) / 128, (y - 127.5) / 128
    inside = u**2 + v**2 < 0.6
    rise = torch.sqrt((1 - u**2 - v**2).clamp(min=0.2))
    height = rise * 0.5  # in shorter sides, which are two radii
    found = relief.normals(((height * 255).round() / 255)[None], relief=1.0)[0]
    true = torch.nn.functional.normalize(torch.stack([-u / rise, -v / rise, torch.ones_like(u)], -1), dim=-1)
    angle = torch.rad2deg(torch.arccos((found.double() * true).sum(-1).clamp(-1, 1)))
    assert angle[inside].mean() < 3


def test_mirrors_shapes_and_bad_input():
    depth = torch.rand(2, 20, 30, generator=torch.Generator().manual_seed(1))
    found = relief.normals(depth)
    assert torch.allclose(relief.normals(depth.flip(2)), normal.flip(found), atol=1e-5)
    assert torch.allclose(found.norm(dim=-1), torch.ones(2, 20, 30), atol=1e-5)
    assert torch.equal(relief.normals(depth, relief=0.0), torch.tensor(normal.FACING).expand(2, 20, 30, 3))
    for tiny in ((1, 1), (1, 9), (2, 5), (3, 3)):
        assert relief.normals(torch.rand(1, *tiny), radius=9).shape == (1, *tiny, 3)
    assert torch.isfinite(relief.normals(torch.full((1, 8, 8), torch.nan))).all()
    for bad in (torch.zeros(3, 3), torch.zeros(1, 3, 3, dtype=torch.uint8), torch.zeros(0, 3, 3)):
        with pytest.raises(MapError, match="expected nearness"):
            relief.normals(bad)
    with pytest.raises(MapError, match="relief"):
        relief.normals(depth, relief=math.inf)
