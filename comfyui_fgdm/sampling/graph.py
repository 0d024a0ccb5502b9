"""Factor graphs: which variables there are, what each one depends on, and what it sees of that.

P(x, y1..yK | text) is a product of factors, one a variable, each conditioned on the text and on its parents. A graph
without cycles has an order in which every parent comes before its children; the paper numbers it K, K-1, ..., image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from torch import Tensor


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
    """One variable. parents: names of the variables that it depends on; given: it is known and not sampled."""

    name: str
    parents: tuple[str, ...] = ()
    given: bool = False


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


def euler_next(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: float) -> Tensor:
    """One Euler step (DDIM) of dx/dsigma = (x - x0) / sigma from sigma (B) to sigma_next; x itself is not changed."""
    s = sigma.reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    return x0 + (x - x0) * (sigma_next / s)


def seen_of(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: float, view: View = View.NEXT) -> Tensor:
    """What a child sees of a parent that is x at noise level sigma (B) and x0 by its prediction there: that prediction, or
    the latent at the level that the sampler goes to, scaled to unit variance. FG-DM paper, equations (4) to (6)."""
    if view is View.X0:
        return x0
    return euler_next(x, x0, sigma, sigma_next) / (1 + sigma_next**2) ** 0.5
