"""Telling maps of one palette from those of another, and from photographs."""

from __future__ import annotations

import pytest
import torch

from comfyui_fgdm.maps import likeness, palettes
from comfyui_fgdm.maps.likeness import BY_CHANCE, chance, looks_like
from comfyui_fgdm.maps.palettes import COCO

ALL = [palettes.get(name) for name in palettes.NAMES]


def regions(palette: palettes.Palette, seed: int, count: int = 10, side: int = 48) -> torch.Tensor:
    """A map of regions around random points, of random classes."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 2, generator=generator) * side
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1).float()
    classes = torch.tensor([label for label in range(len(palette)) if label != palette.void])
    chosen = classes[torch.randint(len(classes), (count,), generator=generator)]
    return chosen[torch.cdist(grid, points).argmin(-1)]


def noisy(palette: palettes.Palette, seed: int, levels: float) -> torch.Tensor:
    picture = palettes.encode(regions(palette, seed), palette)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed)) * levels / 255
    return (picture + noise).clamp(0, 1)


def photographs(count: int, side: int = 48) -> torch.Tensor:
    """Random fields in the colours and with the spectrum of photographs: energy falls with the cube of the frequency."""
    generator = torch.Generator().manual_seed(0)
    frequency = torch.fft.fftfreq(side)
    radius = (frequency[:, None] ** 2 + frequency[None] ** 2).sqrt()
    radius[0, 0] = 1
    spectrum = torch.fft.fft2(torch.randn(count, 4, side, side, generator=generator)) / radius**1.5
    field = torch.fft.ifft2(spectrum).real
    field = (field - field.mean((2, 3), keepdim=True)) / field.std((2, 3), keepdim=True)
    tint = 0.2 + 0.6 * torch.rand(count, 3, 1, 1, generator=generator)
    return (0.22 * (0.8 * field[:, :1] + 0.4 * field[:, 1:]) + tint).clamp(0, 1).permute(0, 2, 3, 1)


@pytest.mark.parametrize("levels", [0.0, 4.0])
def test_maps_of_every_palette_are_told_from_those_of_every_other(levels: float) -> None:
    for palette in ALL:
        for seed in range(4):
            maps = noisy(palette, seed, levels)[None]
            assert looks_like(maps, palette, ALL) is None, (palette.name, seed)
            for other in ALL:
                if other is not palette:
                    assert looks_like(maps, other, ALL) == palette, (palette.name, other.name, seed)


def test_badly_sampled_maps_are_never_taken_for_those_of_another_palette() -> None:
    for palette in ALL:
        for seed in range(2):
            for levels in (8.0, 15.0, 30.0):
                assert looks_like(noisy(palette, seed, levels)[None], palette, ALL) is None, (palette.name, seed)


def test_one_class_of_ade20k_that_lies_beside_one_of_coco_is_enough() -> None:
    """Its wall is (120, 120, 120), and (128, 128, 128) is a class of COCO. White, its void, is a map of nothing."""
    ade = palettes.get("ade20k150")
    wall = palettes.encode(torch.full((1, 16, 16), ade.index("wall")), ade)
    assert looks_like(wall, COCO, ALL) == ade
    wall[:, 2:] = 1.0  # an eighth of it is wall still
    assert looks_like(wall, COCO, ALL) == ade and looks_like(wall[:, 2:], COCO, ALL) is None
    assert looks_like(torch.zeros(1, 16, 16, 3), COCO, ALL) is None, "black is in several, and read as it was told"


def test_a_batch_is_of_another_palette_only_as_a_whole() -> None:
    ade = palettes.get("ade20k150")
    both = torch.stack([noisy(ade, 0, 0), noisy(COCO, 0, 0)])
    assert looks_like(both, COCO, ALL) is None and looks_like(both[:1], COCO, ALL) == ade


def test_photographs_match_as_random_colours_do_and_maps_do_not() -> None:
    limit = BY_CHANCE * chance(COCO)
    photos = likeness.likeness(photographs(60), COCO)
    assert (photos < limit).float().mean() > 0.7 and photos.mean() < 2 * chance(COCO)
    for levels in (0.0, 4.0, 8.0, 15.0):
        maps = likeness.likeness(torch.stack([noisy(COCO, seed, levels) for seed in range(20)]), COCO)
        assert (maps > limit).all(), levels
    random = torch.rand(1, 200, 200, 3, generator=torch.Generator().manual_seed(1))
    assert likeness.likeness(random, COCO).item() == pytest.approx(chance(COCO), rel=0.2)


def test_a_faded_map_of_few_colours_is_one_and_a_photograph_is_not() -> None:
    """Where colours lie far apart, nearness is enough: all of these pixels are 25 levels off."""
    faces = palettes.get("celebamask19")
    faded = palettes.encode(regions(faces, 1), faces)[None]
    faded = faded + torch.where(faded > 0.5, -25 / 255, 0.0)
    everywhere = torch.zeros(1)
    assert likeness.is_map(faded, faces, everywhere).all() and not likeness.is_map(faded, faces, everywhere + 0.6).any()
    assert likeness.is_map(noisy(COCO, 0, 8.0)[None], COCO, everywhere).all()
    photos = photographs(20)
    assert likeness.is_map(photos, COCO, torch.zeros(20)).float().mean() < 0.3
