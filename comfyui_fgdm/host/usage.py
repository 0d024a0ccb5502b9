"""What a search took: how much of its budget, and how many evaluations of the UNet."""

from __future__ import annotations

from dataclasses import dataclass

import comfy.patcher_extension

KEY = "fgdm_count"


class Evaluations:
    """Counts the pictures that the UNet of a model is evaluated for; a step with guidance is two. What a cache of another
    pack answers is not counted."""

    def __init__(self, model) -> None:
        """model: a clone of the caller's own, which gets the counter."""
        self.count = 0
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, KEY, self)

    def __call__(self, executor, x, *args, **kwargs):
        self.count += len(x)
        return executor(x, *args, **kwargs)


@dataclass(frozen=True)
class Usage:
    """finished, dropped: candidates by number, from 0: sampled to the end, and pruned. stop_at: None where all were to be
    sampled. met: a map meets it. evaluations: of the UNet, for one picture each. note: what was asked for and not done."""

    budget: int
    finished: tuple[int, ...]
    dropped: tuple[int, ...] = ()
    stop_at: float | None = None
    met: bool = False
    interrupted: bool = False
    evaluations: int = 0
    note: str = ""

    @property
    def begun(self) -> int:
        return len(self.finished) + len(self.dropped)

    def sentence(self) -> str:
        """For people: "stopped after 2 of 10 candidates; 40 UNet evaluations"."""
        if self.interrupted:
            start = f"interrupted after {self.begun} of {self.budget} candidates"
        elif self.begun < self.budget:
            start = f"stopped after {self.begun} of {self.budget} candidates"
        else:
            start = f"all {self.budget} candidates" if self.budget > 1 else "one candidate"
        pruned = f", {len(self.dropped)} of them pruned" if self.dropped else ""
        note = f"; {self.note}" if self.note else ""
        return f"{start}{pruned}; {self.evaluations} UNet evaluations{note}"

    def report(self) -> dict:
        """For JSON."""
        return {
            "budget": self.budget,
            "candidates": self.begun,
            "finished": len(self.finished),
            "pruned": list(self.dropped),
            "stop_at": self.stop_at,
            "met": self.met,
            "interrupted": self.interrupted,
            "unet_evaluations": self.evaluations,
        }
