"""Factor graphs: which variables there are, what each one depends on, and one joint evaluation of all of them.

P(x, y1..yK | text) is a product of factors, one a variable, each conditioned on the text and on its parents. A graph
without cycles has an order in which every parent comes before its children; the paper numbers it K, K-1, ..., image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

Denoise = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]
"""(x, sigma, what it sees of each parent) -> x0; x and x0 B x C x h x w with x = x0 + sigma * noise, sigma a tensor B."""


Together = Callable[[Mapping[str, tuple[Tensor, Mapping[str, Tensor]]], Tensor], Mapping[str, Tensor]]
"""({name: (x, what it sees)} of variables that do not depend on each other, sigma) -> {name: x0} of those that it took."""


class GraphError(ValueError):
    """A set of variables that is no factor graph; the text names the variable and what to do."""


class Mode(str, Enum):
    """How the variables of a graph are sampled."""

    JOINT = "joint"
    SEQUENTIAL = "sequential"


class View(str, Enum):
    """What a child sees of a parent that is being sampled beside it."""

    NEXT = "next latent"
    """The parent's latent at the next noise level, scaled to unit variance: equations (5) and (6) of the paper."""
    X0 = "predicted x0"
    """The parent's clean value as predicted in this very step: a mean, so early on it is blurred."""


@dataclass(frozen=True)
class Variable:
    """One variable. parents: names of the variables it is conditioned on; given: it is known and not sampled; after:
    others that have to be evaluated before it, as their pictures are shown to it."""

    name: str
    parents: tuple[str, ...] = ()
    given: bool = False
    after: tuple[str, ...] = ()


def order(variables: Sequence[Variable]) -> tuple[str, ...]:
    """Names so that parents come before children, otherwise as listed.

    GraphError for an empty or doubled name, a missing parent, a parent named twice, a given variable with parents, a cycle.
    """
    by_name: dict[str, Variable] = {}
    for v in variables:
        if not v.name:
            raise GraphError("a variable has no name: give every variable one")
        if v.name in by_name:
            raise GraphError(f"variable {v.name!r} is in the graph twice: remove one or give it another name")
        by_name[v.name] = v
    for v in variables:
        if v.given and v.parents:
            raise GraphError(f"variable {v.name!r} is given, so it depends on nothing: it cannot have parents")
        for parent in v.parents:
            if parent not in by_name:
                known = ", ".join(repr(name) for name in by_name if name != v.name) or "none"
                raise GraphError(
                    f"variable {v.name!r} depends on {parent!r}, which is not in the graph (others are: {known}): "
                    "add it, sampled or given"
                )
            if v.parents.count(parent) > 1:
                raise GraphError(f"variable {v.name!r} names its parent {parent!r} twice")
    done: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise GraphError(f"the graph has a cycle: {circle}; remove one of these links")
        if name in done:
            return
        path.append(name)
        for parent in by_name[name].parents:
            visit(parent)
        path.pop()
        done.append(name)

    for v in variables:
        visit(v.name)
    return tuple(done)


def waves(variables: Sequence[Variable]) -> list[tuple[Variable, ...]]:
    """The sampled variables in groups: each depends on earlier groups (and given ones) alone, not on its own group.

    variables: in the order of `order`.
    """
    level: dict[str, int] = {}
    groups: list[tuple[Variable, ...]] = []
    for v in variables:
        if v.given:
            continue
        level[v.name] = max((level[name] + 1 for name in (*v.parents, *v.after) if name in level), default=0)
        if level[v.name] == len(groups):
            groups.append(())
        groups[level[v.name]] += (v,)
    return groups


def euler_next(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: float) -> Tensor:
    """One Euler step (DDIM) of dx/dsigma = (x - x0) / sigma from sigma (B) to sigma_next; x itself is not changed."""
    s = sigma.reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    return x0 + (x - x0) * (sigma_next / s)


def evaluate(
    variables: Sequence[Variable],
    denoise: Mapping[str, Denoise],
    x: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    sigma: Tensor,
    sigma_next: float,
    view: View = View.NEXT,
    together: Together | None = None,
) -> dict[str, Tensor]:
    """x0 of every sampled variable at one noise level, parents first; each sees what was just computed for its parents.

    variables: in the order of `order`. sigma: B; sigma_next: the level the sampler goes to, used by View.NEXT alone.
    together: is offered each group of variables that do not depend on each other, and may take some of them at once.
    FG-DM paper, equations (4) to (6).
    """
    x0: dict[str, Tensor] = {}
    seen = dict(given)
    for wave in waves(variables):
        jobs = {v.name: (x[v.name], {parent: seen[parent] for parent in v.parents}) for v in wave}
        done = together(jobs, sigma) if together and len(jobs) > 1 else {}
        for name, (own, parents) in jobs.items():
            out = done[name] if name in done else denoise[name](own, sigma, parents)
            x0[name] = out
            if view is View.X0:
                seen[name] = out
            else:
                seen[name] = euler_next(own, out, sigma, sigma_next) / (1 + sigma_next**2) ** 0.5
    return x0
