"""Factor graphs: order, refusals by name, and joint evaluation against a chain of Gaussians that is known exactly."""

import itertools
import random

import pytest
import torch

from comfyui_fgdm.sampling.graph import GraphError, Variable, View, euler_next, evaluate, order, waves

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


def test_children_see_what_was_just_computed():
    trace = []

    def denoise(name):
        def call(x, sigma, seen):
            trace.append((name, {k: v.clone() for k, v in seen.items()}))
            return 0.5 * x + sum(seen.values(), torch.zeros_like(x))

        return call

    variables = [next(v for v in CHAIN if v.name == name) for name in order(CHAIN)]
    x = {v.name: torch.full((2, 1, 1, 1), float(n)) for n, v in enumerate(variables)}
    sigma = torch.full((2,), 4.0)
    x0 = evaluate(variables, {v.name: denoise(v.name) for v in variables}, x, {}, sigma, 1.0, View.X0)
    assert [name for name, _ in trace] == ["segmentation", "depth", "normal", "image"]
    for name, seen in trace:
        for parent, value in seen.items():
            torch.testing.assert_close(value, x0[parent], atol=0, rtol=0, msg=f"{name} sees {parent}")
    trace.clear()
    x0 = evaluate(variables, {v.name: denoise(v.name) for v in variables}, x, {}, sigma, 1.0, View.NEXT)
    for _, seen in trace:
        for parent, value in seen.items():
            step = (x0[parent] + (x[parent] - x0[parent]) / 4) / 2**0.5
            torch.testing.assert_close(value, step)


def test_a_given_variable_is_seen_and_not_sampled():
    variables = [Variable("map", given=True), Variable("image", ("map",))]
    value = torch.randn(1, 1, 2, 2)
    x0 = evaluate(
        variables, {"image": lambda x, s, seen: seen["map"]}, {"image": value * 0}, {"map": value}, torch.ones(1), 0.0
    )
    assert list(x0) == ["image"]
    torch.testing.assert_close(x0["image"], value)


def test_euler_next_ends_on_x0_and_keeps_the_noise_on_the_way():
    x0, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    sigma = torch.tensor([1.0, 5.0, 14.0])
    x = x0 + sigma[:, None, None, None] * noise
    torch.testing.assert_close(euler_next(x, x0, sigma, 0.0), x0, atol=1e-5, rtol=0)
    torch.testing.assert_close(euler_next(x, x0, sigma, 0.7), x0 + 0.7 * noise, atol=1e-5, rtol=1e-5)


A, S = 0.9, 0.3  # child = A * parent + S * noise, parent standard normal


def root(x, sigma, _seen):
    return x / (1 + sigma[0] ** 2)  # the posterior mean of a standard normal


def child(x, sigma, seen):
    prior = A * seen["parent"]
    return (prior * sigma[0] ** 2 + x * S**2) / (S**2 + sigma[0] ** 2)


def levels(steps):
    return [*torch.logspace(1.9, -2, steps).tolist(), 0.0]


def run(view, steps=60, count=200_000):
    """Euler over both variables at once; returns (variance of the child, its covariance with the parent)."""
    variables = [Variable("parent"), Variable("child", ("parent",))]
    generator = torch.Generator().manual_seed(0)
    sigmas = levels(steps)
    x = {v.name: sigmas[0] * torch.randn(count, 1, generator=generator) for v in variables}
    for now, after in itertools.pairwise(sigmas):
        sigma = torch.full((count,), now)
        x0 = evaluate(variables, {"parent": root, "child": child}, x, {}, sigma, after, view)
        x = {name: euler_next(x[name], x0[name], sigma, after) for name in x}
    parent, kid = x["parent"][:, 0], x["child"][:, 0]
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
    variables = [Variable("parent", given=True), Variable("child", ("parent",))]
    for now, after in itertools.pairwise(sigmas):
        sigma = torch.full((count,), now)
        x0 = evaluate(variables, {"child": child}, {"child": x}, {"parent": parent}, sigma, after)
        x = euler_next(x, x0["child"], sigma, after)
    assert float(x.var()) == pytest.approx(A**2 + S**2, abs=0.02)
    assert float((x * parent).mean()) == pytest.approx(A, abs=0.01)


def test_waves_hold_what_does_not_depend_on_each_other():
    variables = [
        Variable("a"), Variable("b", ("a",)), Variable("c"), Variable("map", given=True), Variable("d", ("b", "c")),
        Variable("e", ("map",)), Variable("f", after=("b",)),
    ]  # fmt: skip
    assert [[v.name for v in wave] for wave in waves(variables)] == [["a", "c", "e"], ["b"], ["d", "f"]]


def test_groups_are_offered_and_may_be_taken_in_part():
    variables = [Variable("a"), Variable("b"), Variable("c"), Variable("d", ("a", "c"))]
    x = {v.name: torch.full((2, 1, 1, 1), float(n)) for n, v in enumerate(variables)}
    alone, offered = [], []

    def denoise(name):
        def call(own, _sigma, seen):
            alone.append(name)
            return 0.5 * own + sum(seen.values(), torch.zeros_like(own))

        return call

    def together(jobs, _sigma):
        offered.append(list(jobs))
        return {name: 0.5 * own for name, (own, _) in jobs.items() if name != "b"}

    arguments = (variables, {v.name: denoise(v.name) for v in variables}, x, {}, torch.full((2,), 4.0), 1.0)
    found = evaluate(*arguments, together=together)
    assert offered == [["a", "b", "c"]] and alone == ["b", "d"], "a lone variable is not offered"
    for name, value in evaluate(*arguments).items():
        torch.testing.assert_close(found[name], value, atol=0, rtol=0)
