"""One joint run of a factor graph: all that is known while it lasts. Equations (4) to (6) of the paper.

Every variable is sampled by core's guider in a turn of its own (`sampling.turns`). Each time its sampler asks for a
prediction it waits, and goes on when all variables at that noise level have asked, parents first. So a variable sees what
its parents have become in this very step, whatever sampler drives it, and all that a MODEL carries works as in KSampler.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import torch

from ...sampling.graph import View, seen_of
from ...sampling.turns import Turn
from . import together
from .hints import Hint, Pictures, given_latent
from .starts import start_of, unmoved
from .variables import Given, Graph, Sampled, pack
from .voice import Value, VariableGuider

log = logging.getLogger(__name__)

SAME = 1e-5
"""Noise levels that differ by less than this share are one level."""


class JointRun:
    """Made for one run of a graph, and dropped after it. models: of each variable, with its factor; sigmas: of the run."""

    voices: dict[str, VariableGuider]

    def __init__(
        self, graph: Graph, nodes: Sequence[Sampled], models: Mapping[str, Any], vae, view: View, refresh: int, sigmas
    ) -> None:
        self.graph, self.nodes, self.models, self.vae = graph, nodes, models, vae
        self.view, self.refresh, self.sigmas = view, refresh, sigmas
        self.levels = [float(sigma) for sigma in sigmas]
        self.hints = {node.name: [Hint(control) for control in node.controls] for node in nodes}
        self.pictures = Pictures(graph, vae, in_the_making=True)
        self.values: dict[str, Value] = {}
        self.known = {
            node.name: given_latent(node, vae)
            for node in graph.nodes
            if isinstance(node, Given) and any(node.name in one.reads for one in nodes)
        }
        self.active: dict[int, Any] = {}  # of each base the MODEL whose patches it carries now
        self.resident: list[Any] = []  # the models of all variables, and the memory that their evaluation needs
        self.room: tuple[float, ...] = (0.0, 0.0)
        self.shared: dict[str, together.Shared] = {}
        self.apart = False  # once memory was short

    def sample(self, noises, latents, masks, sampler, callback, disable_pbar: bool) -> list[torch.Tensor]:
        """The latents of all variables. callback(step, x0, x, total) as core's, with packs of all variables."""
        self.voices = {}
        starts = [
            start_of(node, self.sigmas, noise, latent)
            for node, noise, latent in zip(self.nodes, noises, latents, strict=True)
        ]
        longest = max(starts, key=lambda start: len(start.sigmas))  # one bar in the log is enough
        for node, start, mask in zip(self.nodes, starts, masks, strict=True):
            voice = self.voices[node.name] = VariableGuider(
                self, node, self.models[node.name], start, self.hints[node.name], len(self.levels) - len(start.sigmas)
            )
            silent = disable_pbar or start is not longest
            voice.turn = Turn(lambda voice=voice, mask=mask, silent=silent: voice.play(sampler, mask, silent))
        for hint in (hint for hints in self.hints.values() for hint in hints):
            if isinstance(self.graph[hint.parent], Given):
                self.pictures.show(hint)
        try:
            for voice in self.voices.values():
                voice.turn.resume()  # to its first question
            self.load()
            while waiting := [voice for voice in self.voices.values() if not voice.turn.done]:
                self._round(waiting, callback)
            return [
                unmoved(node, start, self.levels[-1]) if voice.still else voice.turn.result
                for node, start, voice in zip(self.nodes, starts, self.voices.values(), strict=True)
            ]
        finally:
            self._end()

    def _end(self) -> None:
        """Let go of everything, whatever happened: tensors at once, not when the garbage of the run's circles is collected."""
        for voice in self.voices.values():
            voice.turn.end()
        for voice in self.voices.values():
            voice.model_patcher.eject_model()
            vars(voice).clear()
        for hint in (hint for hints in self.hints.values() for hint in hints):
            hint.forget()
        vars(self).clear()

    def _round(self, waiting: Sequence[VariableGuider], callback) -> None:
        """One evaluation of every variable that is at the highest noise level, parents first."""
        sigma = max(voice.sigma for voice in waiting)
        self.turn_of = [voice for voice in waiting if voice.sigma >= sigma * (1 - SAME)]
        for name, voice in self.voices.items():
            if not voice.begun and voice not in self.turn_of:
                self.values[name] = voice.waiting_at(sigma)
        for voice in list(self.turn_of):
            voice.turn.resume()
        reports = [voice.reported for voice in self.voices.values() if voice.reported is not None]
        if callback is not None and reports:
            x0, x = zip(*(voice.last() for voice in self.voices.values()), strict=True)
            callback(max(reports), pack(list(x0)), pack(list(x)), len(self.levels) - 1)
        for voice in self.voices.values():
            voice.reported = None

    def before(self, voice: VariableGuider) -> dict[str, torch.Tensor]:
        """Called as a variable goes on: show it its parents. Returns the latents that its factor reads."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._refresh(voice.node, voice.sigma)
        self.activate(voice.model_patcher)
        return self._parents(voice)

    def _parents(self, voice: VariableGuider) -> dict[str, torch.Tensor]:
        following = max((s for s in self.levels if s < voice.sigma * (1 - SAME)), default=0.0)
        return {name: self._seen(name, voice, following) for name in voice.node.reads}

    def _seen(self, name: str, voice: VariableGuider, following: float) -> torch.Tensor:
        if name in self.known:
            return voice.scaled_in(self.known[name])
        value = self.values[name]
        return seen_of(value.x, value.x0, value.sigma, following, self.view)

    def after(self, voice: VariableGuider, value: Value) -> None:
        """Called as a variable has been evaluated."""
        self.values[voice.node.name] = value
        self.turn_of = [other for other in self.turn_of if other is not voice]

    def _refresh(self, node: Sampled, sigma: float) -> None:
        """Show the control nets of a variable their parents anew, where it is time for it."""
        step = sum(s > sigma * (1 + SAME) for s in self.levels)
        for hint in self.hints[node.name]:
            if isinstance(self.graph[hint.parent], Given) or step == hint.step or not hint.acts(sigma):
                continue
            if hint.step < 0 or step % self.refresh == 0:
                hint.step = step
                self._decoding(hint, step)

    def _decoding(self, hint: Hint, step: int) -> None:
        parent = self.voices[hint.parent]
        self.pictures.show(hint, lambda: parent.scaled_out(self.values[hint.parent].x0.float()), step)
        self.load()  # decoding may have taken the room of the others

    def load(self) -> None:
        """Load the models of all variables at once, with room for the largest evaluation: before the first step (each has
        asked for its own by then), and again after anything else that may have taken their place. The VAE is loaded with them
        the first time, later it stays where there is room."""
        first = not self.resident
        if first:
            voices = [voice for voice in self.voices.values() if not voice.turn.done]
            if not voices:
                return
            bases = {id(voice.model_patcher.model): voice.model_patcher for voice in voices}
            others = {id(model.model): model for voice in voices for model in voice.loaded_models}
            self.resident = [*bases.values(), *(others[key] for key in others if key not in bases)]
            self.room = tuple(map(max, zip(*((voice.memory, voice.least_memory) for voice in voices), strict=True)))
        decoder = [self.vae.patcher] if first and self.vae is not None and any(self.hints.values()) else []
        most, least = self.room
        comfy.model_management.load_models_gpu(
            [*self.resident, *decoder], memory_required=most, minimum_memory_required=least
        )
        self.active.clear()

    def activate(self, model) -> None:
        """Let a base carry the patches of this MODEL: several clones of it take turns."""
        base = id(model.model)
        if self.active.get(base) is model:
            return
        for voice in self.voices.values():
            if voice.model_patcher is not model and voice.model_patcher.model is model.model:
                voice.model_patcher.eject_model()
        model.unpatch_model(unpatch_weights=False)
        model.patch_model(load_weights=False)
        model.model_patches_to(model.load_device)
        model.model.current_patcher = model
        self.active[base] = model

    def predict_together(self, voice: VariableGuider) -> together.Shared | None:
        """What a shared call of the UNet gives for this variable, if it can share one with others that wait to be evaluated
        at this noise level; else None. Tried no more in this run once memory was short."""
        if (found := self.shared.pop(voice.node.name, None)) is not None or self.apart:
            return found
        pending = {other.node.name for other in self.turn_of}
        ready = [
            other
            for other in self.turn_of
            if other.node.name not in self.shared  # computed already, with another one
            and together.can_share(other)
            and not self.hints[other.node.name]
            and not pending & set(other.node.parents)
        ]
        if voice not in ready:
            return None
        parts = {other.node.name: self._part(other) for other in ready}
        for group in together.groups(list(parts.values())):
            if parts[voice.node.name] in group:
                return self._call(group, voice)
        return None

    def _part(self, voice: VariableGuider) -> together.Part:
        guided = not math.isclose(voice.cfg, 1.0) or bool(voice.options.get("disable_cfg1_optimization"))
        return together.Part(
            voice.node, voice.x, self._parents(voice), voice.conds, together.factor_wrapper(voice.model_patcher), guided
        )

    def _call(self, group: Sequence[together.Part], voice: VariableGuider) -> together.Shared | None:
        self.activate(voice.model_patcher)
        try:
            found = together.predict(group, voice.timestep, self.sigmas)
        except Exception as error:
            if not comfy.model_management.is_oom(error):
                raise
            found = None
        if found is None:
            self.apart = True
            comfy.model_management.soft_empty_cache()
            log.warning("FGDM: no memory for %d variables at once; going on one by one.", len(group))
            return None
        self.shared.update(found)
        return self.shared.pop(voice.node.name)
