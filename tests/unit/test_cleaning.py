"""Cleaning label maps, on maps drawn by hand."""

import pytest
import torch

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.cleaning import clean

VOID = palettes.COCO.void
SKY, GRASS, DOG = 156, 123, 17


def scene():
    """20 x 20: sky above grass, a dog of 16 pixels, a speck of 3, and void along the border of the dog."""
    labels = torch.full((1, 20, 20), SKY)
    labels[:, 10:] = GRASS
    labels[:, 11:17, 3:9] = VOID
    labels[:, 12:16, 4:8] = DOG
    labels[:, 2, 14:17] = DOG
    return labels


def test_specks_and_void_take_what_is_next_to_them():
    found = clean(scene(), VOID, 10 / 400)
    assert (found != VOID).all()
    assert (found[:, 2, 14:17] == SKY).all(), "the speck of three pixels is gone"
    assert (found[:, 12:16, 4:8] == DOG).all(), "the dog stays"
    rim = found[0, 11:17, 3:9]
    assert set(rim.unique().tolist()) <= {DOG, GRASS, SKY}
    outside = scene()[0] != VOID
    outside[2, 14:17] = False
    torch.testing.assert_close(found[0][outside], scene()[0][outside])


def test_the_limit_is_a_share_of_the_map():
    assert (clean(scene(), VOID, 3 / 400)[:, 2, 14:17] == DOG).all(), "three pixels are not fewer than three"
    assert (clean(scene(), VOID, 17 / 400) != DOG).all(), "now the dog is a speck too"


def test_nothing_is_changed_where_nothing_is_to_do():
    labels = scene()
    assert clean(labels, VOID, 0.0) is labels
    whole = torch.full((2, 8, 8), GRASS)
    torch.testing.assert_close(clean(whole, VOID), whole)
    empty = torch.full((1, 8, 8), VOID)
    torch.testing.assert_close(clean(empty, VOID), empty)
    before = labels.clone()
    clean(labels, VOID)
    torch.testing.assert_close(labels, before, msg="the input is not written to")


def test_cleaning_twice_is_cleaning_once():
    noisy = torch.randint(0, 3, (3, 32, 32), generator=torch.Generator().manual_seed(0))
    noisy[:, :16] = 7
    once = clean(noisy, VOID, 0.02)
    torch.testing.assert_close(clean(once, VOID, 0.02), once)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match="0..1"):
        clean(scene(), VOID, share)
