"""Factor graphs: order, refusals by name, and joint evaluation against a chain of Gaussians that is known exactly."""

import itertools
import random

import pytest
import torch

from comfyui_fgdm.sampling.graph import GraphError, Variable, View, euler_next, order, seen_of

CHAIN = (
    Variable("image", ("normal", "segmentation")),
    Variable("normal", ("depth",)),
    Variable("depth", ("segmentation",)),
    Variable("segmentation"),
)


def test_parents_come_first_and_ties_stay_as_listed():
    assert order(CHAIN) == ("segmentation", "depth", "normal", "image")
    free = [Variable(name) for name in "dbac"]
    assert order(free) == tuple("dbac")


@pytest.mark.parametrize("seed", range(20))
def test_any_graph_without_cycles_is_ordered(seed):
    rng = random.Random(seed)
    names = [f"v{n}" for n in range(rng.randint(1, 9))]
    variables = [Variable(name, tuple(p for p in names[:n] if rng.random() < 0.4)) for n, name in enumerate(names)]
    rng.shuffle(variables)
    done = order(variables)
    assert sorted(done) == sorted(names)
    for v in variables:
        assert all(done.index(parent) < done.index(v.name) for parent in v.parents)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ([Variable("a"), Variable("b"), Variable("a")], ["'a'", "twice"]),
        ([Variable("a", ("ghost",)), Variable("b")], ["'a'", "'ghost'", "'b'", "add it"]),
        ([Variable("a", ("c",)), Variable("b", ("a",)), Variable("c", ("b",))], ["a -> c -> b -> a"]),
        ([Variable("a", ("a",))], ["a -> a"]),
        ([Variable("b"), Variable("a", ("b", "b"))], ["'a'", "'b' twice"]),
        ([Variable("b"), Variable("a", ("b",), given=True)], ["'a'", "given"]),
        ([Variable("")], ["no name"]),
    ],
)
def test_no_graph_is_refused_by_name(variables, words):
    with pytest.raises(GraphError) as error:
        order(variables)
    for word in words:
        assert word in str(error.value)


def test_a_child_sees_the_prediction_or_the_next_latent_at_unit_variance():
    x, x0 = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    sigma = torch.full((2,), 4.0)
    assert seen_of(x, x0, sigma, 1.0, View.X0) is x0
    torch.testing.assert_close(seen_of(x, x0, sigma, 1.0), (x0 + (x - x0) / 4) / 2**0.5)
    torch.testing.assert_close(seen_of(x, x0, sigma, 0.0), x0)


def test_euler_next_ends_on_x0_and_keeps_the_noise_on_the_way():
    x0, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    sigma = torch.tensor([1.0, 5.0, 14.0])
    x = x0 + sigma[:, None, None, None] * noise
    torch.testing.assert_close(euler_next(x, x0, sigma, 0.0), x0, atol=1e-5, rtol=0)
    torch.testing.assert_close(euler_next(x, x0, sigma, 0.7), x0 + 0.7 * noise, atol=1e-5, rtol=1e-5)


A, S = 0.9, 0.3  # child = A * parent + S * noise, parent standard normal


def root(x, sigma):
    return x / (1 + sigma[0] ** 2)  # the posterior mean of a standard normal


def child(x, sigma, parent):
    return (A * parent * sigma[0] ** 2 + x * S**2) / (S**2 + sigma[0] ** 2)


def levels(steps):
    return [*torch.logspace(1.9, -2, steps).tolist(), 0.0]


def run(view, steps=60, count=200_000):
    """Euler over both variables at once; returns (variance of the child, its covariance with the parent)."""
    generator = torch.Generator().manual_seed(0)
    sigmas = levels(steps)
    parent, kid = (sigmas[0] * torch.randn(count, 1, generator=generator) for _ in range(2))
    for now, after in itertools.pairwise(sigmas):
        sigma = torch.full((count,), now)
        above = root(parent, sigma)
        below = child(kid, sigma, seen_of(parent, above, sigma, after, view))
        parent, kid = euler_next(parent, above, sigma, after), euler_next(kid, below, sigma, after)
    return float(parent.var()), float(kid.var()), float((parent * kid).mean())


def test_a_joint_run_draws_the_chain_of_gaussians():
    """Seeing the parent's next latent, as in the paper, the child gets the variance and covariance it should have, though
    its denoiser only knows clean parents; seeing the predicted x0, a mean, it loses a part of both."""
    parent, kid, both = run(View.NEXT)
    assert parent == pytest.approx(1.0, abs=0.1), "60 Euler steps"
    assert both == pytest.approx(A * parent, abs=0.02)
    assert kid == pytest.approx(A**2 * parent + S**2, abs=0.02)
    same, less, weaker = run(View.X0)
    assert same == parent
    assert less < kid - 0.2 and weaker < both - 0.1


def test_a_sequential_run_is_exact():
    generator = torch.Generator().manual_seed(1)
    count, sigmas = 200_000, levels(60)
    parent = torch.randn(count, 1, generator=generator)
    x = sigmas[0] * torch.randn(count, 1, generator=generator)
    for now, after in itertools.pairwise(sigmas):
        sigma = torch.full((count,), now)
        x = euler_next(x, child(x, sigma, parent), sigma, after)
    assert float(x.var()) == pytest.approx(A**2 + S**2, abs=0.02)
    assert float((x * parent).mean()) == pytest.approx(A, abs=0.01)
