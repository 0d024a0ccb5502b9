"""The loop that every part of the tiny family is trained by: fixed seeds, a time budget, resumable checkpoints, a log."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from .optimisers import Optimiser, make

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Budget:
    """samples: the length of the schedule; batch; lr: the peak, after `warmup` steps, cosine to zero; ema: decay (0: none);
    save_every: seconds between checkpoints; restart: after so many samples the rate has reached zero and starts anew from
    the peak (0: one cosine over all samples); hold: share of the schedule, after the warm-up, in which the rate stays at its
    peak before it falls; optimiser: see there."""

    samples: int
    batch: int
    lr: float
    warmup: int = 200
    ema: float = 0.999
    weight_decay: float = 0.01
    save_every: float = 120.0
    restart: int = 0
    hold: float = 0.0
    optimiser: Optimiser = Optimiser.ADAMW

    @property
    def steps(self) -> int:
        return self.samples // self.batch

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then (after `hold`) cosine to zero; once more after `restart`."""
        again = self.restart // self.batch
        begin, end = (again, self.steps) if step >= again else (0, again)
        warm = min(1.0, (step - begin + 1) / self.warmup)
        falling = max(0.0, step - begin - self.hold * (end - begin))
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * falling / ((1 - self.hold) * (end - begin))))


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Ema:
    """Exponential moving average of the trained parameters (and copies of the buffers), by name."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.step = decay, 0
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def update(self, model: nn.Module) -> None:
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.requires_grad:
                    self.shadow[name].lerp_(p.detach(), 1 - decay)

    def copy_to(self, model: nn.Module) -> None:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.requires_grad:
                    p.copy_(self.shadow[name])


def train(
    name: str,
    model: nn.Module,
    loss_of: Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]],
    budget: Budget,
    folder: Path,
    seed: int = 0,
    stop_after: float = math.inf,
    log_every: int = 100,
) -> Iterator[dict]:
    """Train the parameters of `model` that require a gradient; a generator of log records.

    loss_of(step, generator) gives the loss of one batch and figures for the log; the generator is seeded by the step, so a
    resumed run sees the batches an unbroken one would. State lies in folder/name.pt, the log in folder/name.log.jsonl.
    stop_after: seconds of this slice; the run can be resumed by calling again. On return the EMA weights are in `model`
    only if the run is complete or was stopped by the slice; the checkpoint keeps both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / f"{name}.pt", folder / f"{name}.log.jsonl"
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = make(budget.optimiser, model, budget.lr, budget.weight_decay)
    ema = Ema(model, budget.ema)
    steps, step, spent = budget.steps, 0, 0.0
    if file.exists():
        state = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        ema.shadow = {key: value.to(device()) for key, value in state["ema"].items()}
        ema.step, step, spent = state["ema_step"], state["step"], state["spent"]
    start = saved = time.monotonic()
    sums: dict[str, float] = {}
    count = 0

    def save() -> None:
        temporary = file.with_suffix(".tmp")
        torch.save(
            {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "ema": ema.shadow,
                "ema_step": ema.step,
                "step": step,
                "spent": spent + time.monotonic() - start,
            },
            temporary,
        )
        os.replace(temporary, file)

    model.train()
    try:
        while step < steps and time.monotonic() - start < stop_after:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            rate = budget.rate(step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss, figures = loss_of(step, generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            ema.update(model)
            step += 1
            for key, value in {"loss": float(loss.detach()), **figures}.items():
                sums[key] = sums.get(key, 0.0) + value
            count += 1
            if step % log_every == 0 or step == steps:
                seconds = spent + time.monotonic() - start
                record = {
                    "part": name,
                    "step": step,
                    "samples": step * budget.batch,
                    "seconds": round(seconds, 1),
                    "lr": rate,
                    **{key: round(value / count, 5) for key, value in sums.items()},
                }
                sums, count = {}, 0
                with log.open("a") as out:
                    out.write(json.dumps(record) + "\n")
                yield record
            if time.monotonic() - saved > budget.save_every:
                save()
                saved = time.monotonic()
    finally:  # also when interrupted: what was learned is kept
        save()
    ema.copy_to(model)
    model.eval()


def spent(file: Path) -> tuple[int, float]:
    """(steps, seconds) that went into a training checkpoint; its tensors are not read."""
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return state["step"], state["spent"]


def load_ema(model: Model, file: Path) -> Model:
    """Put the averaged weights of a training checkpoint into a model of the same shape; eval mode."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in state["ema"]:
                p.copy_(state["ema"][name])
    return model.eval()
