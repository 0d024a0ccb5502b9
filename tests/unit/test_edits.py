"""Inversion and edits: exact reconstruction, masks, regions, and refusals, on a denoiser that is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from comfyui_fgdm.objects.changes import read_changes
from comfyui_fgdm.sampling import attention_maps, edits, inversion
from comfyui_fgdm.sampling.attention_maps import AttentionMean, Tokens
from comfyui_fgdm.sampling.choices import Masks
from comfyui_fgdm.sampling.edits import Concept, Predictions
from comfyui_fgdm.sampling.inversion import InversionError, Order

SHAPE = (2, 3, 8, 8)
SCHEDULES = {
    "to level 0": [14.6, 7.0, 3.1, 1.4, 0.6, 0.2, 0.0],
    "above 0": [3.0, 1.5, 1.4999, 0.4, 0.0292],
    "one step": [2.0, 0.0],
}


def towards(mean: torch.Tensor):
    """The denoiser of pictures that are normal about `mean` with variance 1/4, with a kink that couples the cells."""

    def denoise(x, sigma):
        weight = 0.25 / (0.25 + sigma[:, None, None, None] ** 2)
        return mean + weight * (x - mean) + 0.1 * torch.tanh(x.roll(1, -1))

    return denoise


def drain(steps):
    states = []
    while True:
        try:
            states.append(next(steps))
        except StopIteration as end:
            return states, end.value


def inverted(levels=SCHEDULES["to level 0"], order=Order.SECOND, shape=SHAPE, denoise=None):
    source = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    sigmas = torch.tensor(levels)
    auxiliary = inversion.auxiliary_noise(7, len(levels) - 1, shape)
    states, found = drain(inversion.invert(denoise or towards(torch.zeros(())), source, sigmas, order, auxiliary))
    assert len(states) == found.steps == len(levels) - 1
    return found


def predictor(*means, attention=None):
    def predict(x, sigma, acting):
        found = [towards(torch.tensor(means[k]))(x, sigma) for k in acting]
        return Predictions(towards(torch.zeros(()))(x, sigma), found, [attention] * len(acting))

    return predict


@pytest.mark.parametrize("levels", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("order", Order)
def test_a_replay_gives_the_source_from_any_step(levels, order):
    found = inverted(levels, order)
    for start in range(found.steps):
        _, result = drain(edits.edit(predictor(), found, [], start=start))
        assert (result - found.source).abs().max() <= 1e-5
    if levels[-1] == 0:
        assert not found.noises[-1].any()
        assert found.residual.abs().max() > 1e-2  # what an inversion that does not keep it would lose


def test_each_latent_of_a_batch_is_inverted_as_alone():
    both, second = inverted(), inversion.auxiliary_noise(8, 6, (1, *SHAPE[1:]))
    torch.testing.assert_close(both.path[0][1] - both.source[1], 14.6 * second[0, 0])


def test_order_one_is_ancestral_euler_and_order_two_its_extrapolation():
    levels = [3.0, 1.5, 0.5]
    (first, second), plain = (
        inversion.steps_of(torch.tensor(levels), Order.SECOND),
        inversion.steps_of(torch.tensor(levels), Order.FIRST),
    )
    for step, (a, b) in zip(plain, zip(levels, levels[1:])):
        up = min(b, math.sqrt(b**2 * (a**2 - b**2) / a**2))  # k-diffusion, get_ancestral_step with eta 1
        down = math.sqrt(b**2 - up**2)
        assert step.std == pytest.approx(up) and step.kept == pytest.approx(down / a)
        assert step.gain == pytest.approx(1 - down / a) and step.slope == 0
    assert first == plain[0]
    assert second.slope == pytest.approx(0.5 * (1 - 1 / 9) * math.log(3) / math.log(2))


def test_a_concept_moves_only_what_its_region_covers_and_nothing_where_the_path_is_held():
    found = inverted()
    region = torch.zeros(1, 1, 8, 8)
    region[..., 2:5, 3:7] = 1
    for remove, sign in ((False, 1), (True, -1)):
        concept = Concept(3.0, remove, masks=Masks.REGION, region=region)
        states, result = drain(edits.edit(predictor(2.0), found, [concept], allowed=region))
        moved = result - found.source
        assert moved[region.expand(SHAPE) == 0].abs().max() <= 1e-5
        assert (sign * moved[region.expand(SHAPE) == 1]).min() > 0.5
        assert all(torch.equal(state.masks[0], region.expand(2, 1, 8, 8)) for state in states)


def test_the_mask_by_noise_is_the_share_that_changes_most_and_warm_up_and_cool_down_are_steps():
    found = inverted()
    target = torch.linspace(3.0, 0.1, 64).reshape(1, 1, 8, 8)
    concept = Concept(1.0, threshold=0.75, warmup=1, cooldown=4, masks=Masks.NOISE)
    states, _ = drain(edits.edit(predictor(target.tolist()), found, [concept, Concept(warmup=99)]))
    for number, state in enumerate(states):
        share = state.masks[0].mean((1, 2, 3))
        assert torch.equal(share > 0, torch.full((2,), 1 <= number < 4))
        assert not state.masks[1].any()
        if 1 <= number < 4:
            assert share.tolist() == [0.25, 0.25] and not state.masks[0][:, :, 2:].any()


def test_attention_of_words_becomes_a_mask_on_the_grid_that_is_fine_enough():
    pairs = {(64, 64): 4, (96, 96): 4, (32, 32): 2, (40, 64): 2, (16, 16): 1, (8, 8): 1}
    assert {size: attention_maps.best_factor(size) for size in pairs} == pairs
    assert attention_maps.best_factor((16, 16), (2, 4)) == 2
    # Keys of one word point at the queries of one corner; texts of 3 and 6 tokens are repeated to one length.
    q = torch.zeros(2, 16, 8)
    q[0, [0, 1, 4, 5], 0] = 9.0
    q[1, [10, 11, 14, 15], 0] = 9.0
    k = torch.zeros(2, 6, 8)
    k[:, [1, 4], 0] = 9.0
    store = AttentionMean((8, 8), 2, {0: Tokens((1,), 3), 1: Tokens((1, 4), 6)})
    store.add(q, k, 2, [1, 0])
    store.add(q[:, :4], k, 2, [1, 0])  # of another grid
    store.add(q, q, 2, [1, 0])  # self-attention
    maps = store.maps()
    corner = torch.zeros(4, 4)
    corner[:2, :2] = 1
    assert torch.equal((maps[1][0] > 0.5).float(), corner) and torch.equal(
        (maps[0][0] > 0.5).float(), corner.flip(0, 1)
    )
    mask = attention_maps.attention_mask(maps[1], 0.75, (8, 8))
    assert torch.equal(mask[0, 0], corner.repeat_interleave(2, 0).repeat_interleave(2, 1))
    with pytest.raises(InversionError, match="no attention to words was seen"):
        drain(edits.edit(predictor(1.0), inverted(), [Concept()]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: inverted([1.0]), "at least two noise levels"),
        (lambda: inverted([1.0, 2.0]), "must fall"),
        (lambda: inverted([1.0, float("nan")]), "at least two noise levels"),
        (lambda: Concept(threshold=1.5), "threshold: 1.5"),
        (lambda: Concept(scale=float("inf")), "scale: inf"),
        (lambda: Concept(warmup=5, cooldown=5), "never acts"),
        (lambda: drain(edits.edit(predictor(), inverted(), [], start=6)), "start: 6 of 6 steps"),
        (lambda: drain(inversion.invert(towards(torch.zeros(())), torch.zeros(SHAPE), torch.tensor([1.0, 0.0]), Order.FIRST, torch.zeros(2, *SHAPE))), "auxiliary"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(make, words):
    with pytest.raises(InversionError, match=words):
        make()


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("+elephant -dog", [("elephant", False), ("dog", True)]),
        ("a t-shirt, - red car\n\u2212 traffic light; hot-air balloon", [("a t-shirt", False), ("red car", True), ("traffic light", True), ("hot-air balloon", False)]),
        ("wine glass +cup", [("wine glass", False), ("cup", False)]),
        (" , - ; +\n--", []),
    ],
)  # fmt: skip
def test_changes_are_read_as_they_are_written(text, changes):
    assert read_changes(text) == changes
