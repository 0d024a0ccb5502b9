"""The search engine on tables of scores: against brute force, and on a real sampler that survivors are what they are alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import pytest
import torch

from comfyui_fgdm.sampling import colours, excite
from comfyui_fgdm.sampling.attention_maps import combined_cross
from comfyui_fgdm.sampling.ddim import ddim
from comfyui_fgdm.sampling.noise import candidate_batch
from comfyui_fgdm.sampling.search import Enough, Outcome, Pruning, Score, SearchPlan, Work, batches, drive

STEPS = 10


def run(plan: SearchPlan, final: Sequence[float], predicted: Sequence[float] = ()) -> tuple[Outcome, list[Work]]:
    asked: list[Work] = []

    def perform(work: Work) -> list[Score]:
        asked.append(work)
        table = final if work.stop == plan.steps else predicted
        return [(table[one],) for one in work.candidates]

    return drive(plan, perform), asked


def tables(count: int, seed: int) -> tuple[list[float], list[float]]:
    """Scores with ties, as recall has them: final, and predicted by chance alone."""
    rng = random.Random(seed)
    return [rng.randint(0, 4) / 4 for _ in range(count)], [rng.randint(0, 4) / 4 for _ in range(count)]


@pytest.mark.parametrize("seed", range(60))
def test_against_brute_force(seed: int) -> None:
    rng = random.Random(1000 + seed)
    budget, first, most = rng.randint(1, 13), rng.randint(1, 4), rng.randint(1, 6)
    stop_at = rng.choice([None, 0.0, 0.5, 0.8, 1.0])
    cut = rng.choice([None, Pruning(rng.randint(1, 9), rng.choice([0.2, 0.5, 1.0]), rng.randint(1, 4))])
    final, predicted = tables(budget, seed)
    outcome, _ = run(SearchPlan(budget, STEPS, stop_at, first, most, cut), final, predicted)

    finished: list[int] = []
    begun, size, met, steps = 0, min(first, most), False, 0
    while begun < budget and not met:  # the same, written down as a person would do it by hand
        batch = list(range(begun, min(begun + size, budget)))
        begun, size = begun + size, min(size * 2, most)
        if cut and len(batch) >= cut.least:
            steps += len(batch) * cut.step
            number = -int(-cut.keep * len(batch) // 1)
            order = sorted(batch, key=lambda one: -predicted[one])  # stable
            batch = [one for one in batch if one in order[:number]]
            steps += len(batch) * (STEPS - cut.step)
        else:
            steps += len(batch) * STEPS
        finished += batch
        met = stop_at is not None and max(final[one] for one in batch) >= stop_at
    assert list(outcome.scores) == finished
    assert set(outcome.dropped) == set(range(min(begun, budget))) - set(finished)
    assert (outcome.met, outcome.steps) == (met, steps)
    assert outcome.best == max(finished, key=lambda one: (final[one], -one))


def test_it_stops_at_the_first_batch_that_meets_the_threshold_else_returns_the_best_seen() -> None:
    final = [0.5, 0.75, 0.5, 1.0, 0.25, 1.0]
    outcome, asked = run(SearchPlan(6, STEPS, first=2), final)
    assert [work.candidates for work in asked] == [(0, 1), (2, 3, 4, 5)] and outcome.met and outcome.best == 3
    outcome, _ = run(SearchPlan(6, STEPS, 0.75, 2), final)
    assert outcome.met and list(outcome.scores) == [0, 1] and outcome.best == 1 and outcome.steps == 2 * STEPS
    outcome, _ = run(SearchPlan(3, STEPS), final)
    assert not outcome.met and outcome.best == 1 and len(outcome.scores) == 3


def test_the_order_of_candidates_does_not_change_the_score_that_is_found() -> None:
    """Without a threshold, and with pruning by a prediction that is right; for every order of five candidates."""
    final = [0.2, 0.4, 0.6, 0.8, 1.0]
    for order in permutations(range(5)):
        scores = [final[one] for one in order]
        for cut in (None, Pruning(6, 0.5)):
            outcome, _ = run(SearchPlan(5, STEPS, None, 5, 5, cut), scores, scores)
            assert order[outcome.best] == 4


def test_batches_grow_to_the_largest_and_end_with_the_budget() -> None:
    assert [len(one) for one in batches(SearchPlan(17, STEPS, most=8))] == [1, 2, 4, 8, 2]
    assert [len(one) for one in batches(SearchPlan(10, STEPS, first=2))] == [2, 4, 4]
    assert list(batches(SearchPlan(1, STEPS))) == [(0,)]
    assert [len(one) for one in batches(SearchPlan(3, STEPS, most=1))] == [1, 1, 1]


def test_a_search_that_is_told_enough_returns_the_best_so_far() -> None:
    def perform(work: Work) -> list[Score]:
        if work.candidates[0] >= 2:
            raise Enough
        return [(0.5,), (0.75,)]

    outcome = drive(SearchPlan(10, STEPS, first=2), perform)
    assert outcome.best == 1 and not outcome.met and list(outcome.scores) == [0, 1]
    with pytest.raises(Enough):
        drive(SearchPlan(10, STEPS, first=4), lambda work: perform(Work((5,), 0, STEPS)))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"budget": 0}, "budget: 0"),
        ({"steps": 0}, "steps: 0"),
        ({"stop_at": 1.2}, "stop_at: 1.2"),
        ({"stop_at": -0.1}, "stop_at: -0.1"),
        ({"stop_at": float("nan")}, "stop_at: nan"),
        ({"pruning": Pruning(10)}, "pruning: step 10"),
        ({"pruning": Pruning(0)}, "pruning: step 0"),
        ({"pruning": Pruning(5, 0.0)}, "pruning: a share of 0.0"),
    ],
)
def test_plans_out_of_range(fields: dict, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        SearchPlan(**{"budget": 4, "steps": STEPS, **fields})


def test_scores_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 scores were sent for 2 candidates"):
        drive(SearchPlan(4, STEPS, first=2), lambda work: [(1.0,)])


def test_survivors_are_the_candidates_they_would_have_been_alone() -> None:
    """DDIM, which is one step at a time: split where it is pruned, and in other batches, it gives the same to rounding."""
    torch.manual_seed(0)
    net = torch.nn.Conv2d(2, 2, 3, padding=1)
    context = torch.randn(1, 3, 2)

    def velocity(x: torch.Tensor, t: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        return net(x).tanh() * (1 + t.float().view(-1, 1, 1, 1) / 1000) + prompts.mean(1)[:, :, None, None]

    def sample(x: torch.Tensor, start: int, stop: int):
        both = context.expand(len(x), -1, -1)
        *_, last = ddim(velocity, x, both, torch.zeros_like(both), STEPS, 2.0, start, stop)
        return last

    latents: dict[int, torch.Tensor] = {}

    def perform(work: Work) -> list[Score]:
        noise = candidate_batch(3, work.candidates, (2, 4, 4))
        given = torch.stack([latents[k] for k in work.candidates]) if work.start else noise
        state = sample(given, work.start, work.stop)
        latents.update(zip(work.candidates, state.x, strict=True))
        return [(float(x0.mean()),) for x0 in state.x0]

    outcome = drive(SearchPlan(9, STEPS, None, 4, 4, Pruning(6, 0.5)), perform)
    assert len(outcome.scores) == 5 and len(outcome.dropped) == 4
    for k in outcome.scores:
        alone = sample(candidate_batch(3, [k], (2, 4, 4)), 0, STEPS).x[0]
        torch.testing.assert_close(latents[k], alone, atol=1e-5, rtol=0)


def test_colours_of_latents_are_found_where_they_are_linear() -> None:
    generator = torch.Generator().manual_seed(1)
    latents, weights = torch.randn(2, 4, 6, 5, generator=generator), torch.rand(5, 3, generator=generator) / 20
    weights[4] = 0.5
    small = torch.einsum("bchw,ck->bhwk", latents, weights[:4]) + weights[4]
    pictures = small.repeat_interleave(8, 1).repeat_interleave(8, 2)
    torch.testing.assert_close(colours.cells(pictures, latents), small)
    found = colours.fit(latents, pictures)
    torch.testing.assert_close(found.weights, weights, atol=1e-5, rtol=0)
    torch.testing.assert_close(found(latents[:1]), small[:1].clamp(0, 1), atol=1e-5, rtol=0)
    flat = colours.fit(torch.ones(1, 4, 6, 5), torch.full((1, 48, 40, 3), 0.25))  # of one colour: nothing to learn from
    torch.testing.assert_close(flat(torch.ones(1, 4, 6, 5)), torch.full((1, 6, 5, 3), 0.25))


def attend(x: torch.Tensor) -> torch.Tensor:
    """Attention of a 4 x 4 latent with one channel a token: start, two subjects, end."""
    return (3 * x).softmax(1).flatten(2).transpose(1, 2)


def test_excited_latents_attend_to_the_neglected_subject() -> None:
    x = torch.zeros(1, 4, 4, 4)
    x[0, 1, :2, :2] = 1.0  # token 1 is somewhere, token 2 nowhere
    before = excite.shares(attend(x), [1, 2], 3)
    assert before[0] > 0.9 and before[1] < 0.6
    how = excite.Excitement(size=0.05, targets=((0.0, 0.9),))
    after = excite.shares(attend(excite.excited(x, attend, [1, 2], 3, 0, 10, how)), [1, 2], 3)
    assert after.min() >= 0.9, "moved until both reach the target"
    once = excite.Excitement(size=0.05, targets=())
    assert excite.excited(x, attend, [1, 2], 3, 5, 10, once) is x, "no moves in the second half"
    assert excite.excited(x, attend, [], 3, 0, 10, once) is x
    first, last = (excite.excited(x, attend, [1, 2], 3, step, 10, once) - x for step in (0, 4))
    torch.testing.assert_close(last / last.norm(), first / first.norm())
    assert last.norm() / first.norm() == pytest.approx((1 - 0.5 * 4 / 9) ** 0.5, rel=1e-4)


def test_layers_of_attention_are_averaged_on_one_grid() -> None:
    fine, coarse = torch.zeros(1, 16, 2), torch.full((1, 4, 2), 0.5)
    fine[0, 0, 1] = 1.0  # of the first of four cells in the first quarter
    fine[0, :, 0] = 1.0 - fine[0, :, 1]
    mean = combined_cross([fine, coarse], 2)
    torch.testing.assert_close(mean[0, :, 1], torch.tensor([0.375, 0.25, 0.25, 0.25]))
    torch.testing.assert_close(mean.sum(-1), torch.ones(1, 4))
