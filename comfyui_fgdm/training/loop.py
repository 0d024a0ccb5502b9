"""The one training loop: fixed seeds, schedules as values, resumable checkpoints, a log. A generator of records."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .optimisers import Optimiser, make
from .processes import ALONE, Processes

Model = TypeVar("Model", bound=nn.Module)


class TrainingError(RuntimeError):
    """Training that cannot go on; the text says at which step, why, and what was kept."""


@dataclass(frozen=True)
class Budget:
    """samples: the length of the schedule; batch; lr: the peak, after `warmup` steps, cosine to zero; ema: decay (0: none);
    save_every: seconds between checkpoints; restart: after so many samples the rate has reached zero and starts anew from
    the peak (0: one cosine over all samples); hold: share of the schedule, after the warm-up, in which the rate stays at its
    peak before it falls; optimiser: see there; accumulate: batches whose gradients make one step, each sample counted once."""

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
    accumulate: int = 1

    @property
    def steps(self) -> int:
        return self.samples // (self.batch * self.accumulate)

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then (after `hold`) cosine to zero; once more after `restart`."""
        again = self.restart // (self.batch * self.accumulate)
        begin, end = (again, self.steps) if step >= again else (0, again)
        warm = min(1.0, (step - begin + 1) / self.warmup)
        falling = max(0.0, step - begin - self.hold * (end - begin))
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * falling / ((1 - self.hold) * (end - begin))))


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def generator_of(seed: int, step: int, number: int = 0) -> torch.Generator:
    """The random numbers of one batch: of this seed and step, and of the batch's number in the step.

    The CPU's generator takes 32 bits of its seed: the number has to change those.
    """
    return torch.Generator().manual_seed((seed * 1_000_003 + step + number * 2_654_435_761) % 2**63)


class Ema:
    """Exponential moving average of the trained parameters, by name; without a decay the parameters themselves, no copy."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.step = decay, 0
        own = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        self.shadow = {name: value.clone() for name, value in own.items()} if decay else own

    def load(self, shadow: Mapping[str, Tensor], step: int) -> None:
        """Goes on from saved averages, by name."""
        self.step = step
        if self.decay:
            self.shadow = {name: value.to(self.shadow[name].device) for name, value in shadow.items()}

    def update(self, model: nn.Module) -> None:
        self.step += 1
        if not self.decay:
            return
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.requires_grad:
                    self.shadow[name].lerp_(p.detach(), 1 - decay)

    def copy_to(self, model: nn.Module) -> None:
        if not self.decay:
            return
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.requires_grad:
                    p.copy_(self.shadow[name])


@dataclass(frozen=True)
class Watch:
    """Something to do at each ``every`` steps, and after the last: ``call(step)`` gives figures for the log (may be none).

    It runs without gradient, in eval mode, on the averaged weights; it must not touch the global random state.
    """

    every: int
    call: Callable[[int], Mapping[str, float]]


def train(
    name: str,
    model: nn.Module,
    loss_of: Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]],
    budget: Budget,
    folder: Path,
    seed: int = 0,
    stop_after: float = math.inf,
    log_every: int = 100,
    watches: Sequence[Watch] = (),
    save_steps: int = 0,
    autocast: torch.dtype | None = None,
    processes: Processes = ALONE,
) -> Generator[dict, None, None]:
    """Train the parameters of `model` that require a gradient; a generator of log records.

    loss_of(step, generator) gives the loss of one batch and figures for the log; the generator follows from the step and the
    number of the batch in it, so a resumed run sees the batches an unbroken one would. State lies in folder/name.pt, the log in folder/name.log.jsonl.
    stop_after: seconds of this slice; the run can be resumed by calling again. watches: see there; each gives a record of
    its own. save_steps: a checkpoint at each so many steps, beside those of budget.save_every seconds. autocast: the
    precision of the forward pass (bfloat16; float16 with the loss scaled), None for that of the weights. processes: share the
    batches of each step; only the first writes files and watches, and all have to be given the same arguments. On return the EMA weights are in
    `model` only if the run is complete or was stopped by the slice; the checkpoint keeps both.

    A generator that is closed, or interrupted, saves first. TrainingError for a loss or gradient that is no number (the state
    before it is kept), for a step without memory, and for a checkpoint that cannot be written (the one before it is kept).
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / f"{name}.pt", folder / f"{name}.log.jsonl"
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser: Any = make(
        budget.optimiser, model, budget.lr, budget.weight_decay
    )  # a scaler asks for torch's own class
    ema = Ema(model, budget.ema)
    steps, step, spent = budget.steps, 0, 0.0
    where = device()
    scaler = torch.amp.GradScaler(where.type, enabled=autocast is torch.float16)
    share = processes.batches(budget.accumulate)
    if file.exists():
        state = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        ema.load(state["ema"], state["ema_step"])
        step, spent = state["step"], state["spent"]
        if scaler.is_enabled() and state.get("scaler"):
            scaler.load_state_dict(state["scaler"])
        if processes.first:
            keep_log_until(log, step)
    start = saved = time.monotonic()
    sums: dict[str, float] = {}
    count = 0

    def save() -> None:
        if not processes.first:
            return
        write_state(
            {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "ema": ema.shadow,
                "ema_step": ema.step,
                "scaler": scaler.state_dict(),
                "step": step,
                "spent": spent + time.monotonic() - start,
            },
            file,
        )

    def logged(figures: Mapping[str, float]) -> dict:
        seconds = round(spent + time.monotonic() - start, 1)
        samples = step * budget.batch * budget.accumulate
        record = {"part": name, "step": step, "samples": samples, "seconds": seconds, **figures}
        if processes.first:
            with log.open("a") as out:
                out.write(json.dumps(record) + "\n")
        return record

    over_at_all = math.isfinite(stop_after)
    model.train()
    try:
        while step < steps and not (over_at_all and processes.any(time.monotonic() - start >= stop_after)):
            rate = budget.rate(step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            for number in share:
                with torch.autocast(where.type, autocast) if autocast else nullcontext():
                    loss, figures = loss_of(step, generator_of(seed, step, number))
                scaler.scale(loss / budget.accumulate).backward()
                for key, value in {"loss": float(loss.detach()), **figures}.items():
                    sums[key] = sums.get(key, 0.0) + value
                count += 1
            processes.add_gradients(parameters)
            scaler.unscale_(optimiser)
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            scaled = (
                scaler.is_enabled() and scaler.get_scale() > 1
            )  # an overflow is passed over, the next step scaled less
            if not math.isfinite(float(norm)) and not scaled:
                raise TrainingError(
                    f"{name}: the loss or its gradient is no number at step {step} (rate {rate:.2e}); the state of that step "
                    f"is kept in {file}. Lower the rate, or train in single precision, and go on"
                )
            scaler.step(optimiser)
            scaler.update()
            ema.update(model)
            step += 1
            if step % log_every == 0 or step == steps:
                record = logged({"lr": rate, **{key: round(value / count, 5) for key, value in sums.items()}})
                sums, count = {}, 0
                yield record
            for watch in watches if processes.first else ():
                if step % watch.every == 0 or step == steps:
                    with averaged(model, ema), torch.no_grad():
                        seen = watch.call(step)
                    if seen:
                        yield logged(seen)
            if time.monotonic() - saved > budget.save_every or (save_steps and step % save_steps == 0):
                save()
                saved = time.monotonic()
    except (torch.OutOfMemoryError, RuntimeError) as error:  # on a CPU it is a RuntimeError
        if isinstance(error, TrainingError) or not out_of_memory(error):
            raise
        raise TrainingError(
            f"{name}: there is no memory for step {step} ({str(error).splitlines()[0]}); the state before it is kept in {file}. "
            "Lower training.batch (and raise training.accumulate as much), data.size, distillation.samples or "
            "distillation.side, and go on"
        ) from error
    finally:  # also when interrupted: what was learned is kept
        save()
    ema.copy_to(model)
    model.eval()


def out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch, or the system under it, had no memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


@contextmanager
def averaged(model: nn.Module, ema: Ema) -> Iterator[None]:
    """The model in eval mode with its averaged weights; afterwards as it was."""
    own = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    ema.copy_to(model)
    model.eval()
    try:
        yield
    finally:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name in own:
                    p.copy_(own[name])
        model.train()


def write_state(state: dict, file: Path) -> None:
    """A checkpoint that is whole or absent. TrainingError if it cannot be written; what was there before stays."""
    temporary = file.with_suffix(".tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        temporary.unlink(missing_ok=True)
        kept = "the checkpoint before it is kept" if file.exists() else "there is none before it"
        raise TrainingError(f"{file} cannot be written ({error}); {kept}. Free some space and go on") from error


def keep_log_until(log: Path, step: int) -> None:
    """Drop records of steps that a resumed run does anew, and a last line that was cut off."""
    if not log.exists():
        return
    kept = []
    for line in log.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):
            continue
    log.write_text("".join(f"{line}\n" for line in kept))


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
