"""Several processes that train one model: which of them this one is, and what they have to agree on.

A step is the mean over ``accumulate`` batches, whoever computes them: process r of n takes the batches r, r + n, ... Each batch
follows from the seed, the step and its number, so that the result does not depend, but for rounding, on the number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from . import extras

Said = TypeVar("Said")


@dataclass(frozen=True)
class Processes:
    """rank: of this process, 0..count - 1; the one of rank 0 writes files and watches. count: how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def batches(self, accumulate: int) -> range:
        """The numbers of the batches of a step that this process computes. ValueError if they cannot be shared evenly."""
        if accumulate % self.count:
            raise ValueError(
                f"training.accumulate: {accumulate} batches a step cannot be shared by {self.count} processes; "
                f"give a multiple of {self.count}"
            )
        return range(self.rank, accumulate, self.count)

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace every gradient by the sum over the processes; one that a process lacks counts as zero."""
        if self.count == 1:
            return
        flat = torch.cat([_gradient(p).flatten() for p in parameters])
        torch.distributed.all_reduce(flat)
        at = 0
        for p in parameters:
            p.grad = flat[at : at + p.numel()].view_as(p).clone()
            at += p.numel()

    def any(self, said: bool) -> bool:
        """Whether one of the processes says yes."""
        if self.count == 1:
            return said
        votes = torch.tensor([float(said)], device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        torch.distributed.all_reduce(votes)
        return bool(votes.item())

    def said_by_first(self, value: Said) -> Said:
        """The value that the first process has; the others' is not looked at."""
        if self.count == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, 0)
        return box[0]


def _gradient(p: nn.Parameter) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


ALONE = Processes()


def launched() -> Processes:
    """The processes that a launcher started (``accelerate launch`` or ``torchrun``); ``ALONE`` without one.

    MissingPackageError if accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return ALONE
    accelerate = extras.load("accelerate", "training by several processes")
    state = accelerate.PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes)
