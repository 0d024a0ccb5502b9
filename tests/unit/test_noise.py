"""Candidate k has the noise of seed + k, whatever else is drawn beside it."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.sampling import noise

SHAPE = (4, 5, 6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), index=st.integers(0, 5000))
def test_candidate_is_the_run_with_the_next_seed(seed: int, index: int) -> None:
    alone = noise.candidate_noise((seed + index) % 2**64, 0, SHAPE)
    assert torch.equal(noise.candidate_noise(seed, index, SHAPE), alone)
    assert alone.dtype == torch.float32 and alone.shape == SHAPE


def test_noise_is_that_of_a_seeded_cpu_generator() -> None:
    torch.manual_seed(45)
    expected = torch.randn((1, *SHAPE))[0]
    assert torch.equal(noise.candidate_noise(42, 3, SHAPE), expected)
    assert torch.equal(noise.candidate_noise(42, 3, (1, *SHAPE))[0], expected)


def test_seeds_wrap_round() -> None:
    assert noise.candidate_seed(2**64 - 1, 1) == 0
    assert noise.candidate_seed(-1, 0) == 2**64 - 1
    assert torch.equal(noise.candidate_noise(2**64 - 1, 3, SHAPE), noise.candidate_noise(2, 0, SHAPE))


def test_batches_in_any_split_are_the_same_candidates() -> None:
    whole = noise.candidate_batch(7, range(10), SHAPE)
    split = torch.cat([noise.candidate_batch(7, part, SHAPE) for part in (range(4), range(4, 8), range(8, 10))])
    assert torch.equal(whole, split)
    assert torch.equal(noise.candidate_batch(7, [9, 2], SHAPE), whole[[9, 2]])
    assert noise.candidate_batch(7, [], SHAPE).shape == (0, *SHAPE)


def test_candidates_differ_and_are_standard_normal() -> None:
    batch = noise.candidate_batch(0, range(64), (4, 32, 32))
    assert len({row.sum().item() for row in batch}) == 64
    assert abs(batch.mean().item()) < 0.01 and abs(batch.std().item() - 1) < 0.01


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    noise.candidate_noise(5, 5, SHAPE)
    assert torch.equal(torch.rand(3), expected)
