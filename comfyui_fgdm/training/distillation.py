"""Attention distillation (equation 7 of the paper): the adapted model attends to what the base attends to.

Teacher and student see the same noisy latent, timestep and prompt, on the same grid; the teacher is the frozen base without
the adapter. The gradient reaches the student: its maps are neither detached nor taken in a checkpointed region.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import AttentionMaps, combined_cross, combined_own

FLOOR = 1e-8  # attention below it counts as this much: a softmax in half precision may reach zero


@dataclass(frozen=True)
class Distillation:
    """weight: of the loss beside that of the prediction, 0 for none. every: only at each so many steps. side: cells of the
    common grid, along an edge; memory grows with its fourth power. samples: of the batch that are distilled, the first."""

    weight: float = 0.0
    every: int = 1
    side: int = 8
    samples: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"distillation.weight must be a number from 0, got {self.weight}")
        for name in ("every", "side", "samples"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"distillation.{name} must be a whole number from 1, got {value!r}")

    def due(self, step: int) -> bool:
        return self.weight > 0 and step % self.every == 0


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher || student) of distributions over the last axis, B x queries x keys: the mean over batch and queries."""
    t, s = teacher.float().clamp_min(FLOOR), student.float().clamp_min(FLOOR)
    return (t * (t.log() - s.log())).sum(-1).mean()


def distillation(teacher: AttentionMaps, student: AttentionMaps, side: int) -> Tensor:
    """The sum of the divergences of self and cross attention, each of the mean of its layers at side x side cells.

    ValueError if the two do not hold the same layers.
    """
    if len(teacher.cross) != len(student.cross) or len(teacher.own or ()) != len(student.own or ()):
        raise ValueError("teacher and student have different numbers of attention layers")
    with torch.no_grad():
        wanted = combined_cross(teacher.cross, side)
        wanted_own = combined_own(teacher.own, side) if teacher.own else None
    loss = divergence(wanted, combined_cross(student.cross, side))
    if wanted_own is not None and student.own:
        loss = loss + divergence(wanted_own, combined_own(student.own, side))
    return loss
