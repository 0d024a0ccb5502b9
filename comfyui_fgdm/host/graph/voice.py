"""One variable of a joint run: core's guider, whose every prediction waits for its turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import comfy.sampler_helpers
import comfy.samplers
import torch

from ...sampling.turns import Turn
from ..models.apply import PARENTS
from .hints import Hint, with_hints
from .starts import Start
from .variables import Sampled


@dataclass(frozen=True)
class Value:
    """What is known of a sampled variable: its latent x at noise level sigma (B), and its clean value x0 (with what its mask
    keeps), as its model scales them."""

    x: torch.Tensor
    x0: torch.Tensor
    sigma: torch.Tensor


class Conductor(Protocol):
    """What a variable asks of the run that it is in; see `run.JointRun`."""

    def before(self, voice: VariableGuider) -> dict[str, torch.Tensor]: ...
    def after(self, voice: VariableGuider, value: Value) -> None: ...
    def predict_together(self, voice: VariableGuider) -> Any: ...


class VariableGuider(comfy.samplers.CFGGuider):
    """Samples one variable as KSampler would. Where its sampler asks for a prediction, the run lets it wait, and shows it
    what its parents have become.

    x, timestep, options, sigma: of the prediction that it waits for. begun: it has been evaluated. still: it does not move
    in this run. reported: the step that its sampler has just reported. memory, least_memory: that its run needs.
    """

    turn: Turn

    def __init__(self, run: Conductor, node: Sampled, model, start: Start, hints: Sequence[Hint], offset: int) -> None:
        super().__init__(model)
        self.run, self.node, self.begin, self.offset = run, node, start, offset
        size = tuple(start.latent.shape[-2:])
        nets: dict[int, Any] = {}
        self.set_conds(
            *(with_hints(_with_own_nets(prompt, nets), hints, size) for prompt in (node.positive, node.negative))
        )
        self.set_cfg(node.cfg)
        self.still, self.begun = len(start.sigmas) < 2, False
        self.sigma = 0.0
        self.reported: int | None = None
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def play(self, sampler, mask, disable_pbar: bool) -> torch.Tensor:
        """Sample the variable, from the first to the last of its noise levels."""
        if self.still:
            return self.begin.latent
        start = self.begin
        return self.sample(
            start.noise, start.latent, sampler, start.sigmas, mask, self._report, disable_pbar, self.node.seed
        ).to(start.latent.dtype)  # fmt: skip

    def _report(self, step: int, x0, x, _total: int) -> None:
        self.reported, self._last = self.offset + step, (x0, x)

    def last(self) -> tuple[torch.Tensor, torch.Tensor]:
        """x0 and x as last reported; before that, where it starts."""
        if self._last is None:
            start = self.scaled_in(self.begin.latent)
            return start, start
        return self._last

    def scaled_in(self, latent: torch.Tensor) -> torch.Tensor:
        """A LATENT as the model scales it; an empty one stays empty, as in core."""
        latent = latent.to(self.model_patcher.load_device, torch.float32)
        return self.model_patcher.model.process_latent_in(latent) if torch.count_nonzero(latent) else latent

    def scaled_out(self, latent: torch.Tensor) -> torch.Tensor:
        return self.model_patcher.model.process_latent_out(latent)

    def outer_sample(self, noise, *args, **kwargs):
        self.memory, self.least_memory = comfy.sampler_helpers.estimate_memory(
            self.model_patcher, list(noise.shape), self.conds
        )
        return super().outer_sample(noise, *args, **kwargs)

    def inner_sample(self, noise, latent_image, device, sampler, sigmas, denoise_mask, *args, **kwargs):
        self.mask, self.kept, self.levels = denoise_mask, self.scaled_in(latent_image), sigmas
        return super().inner_sample(noise, latent_image, device, sampler, sigmas, denoise_mask, *args, **kwargs)

    def outer_predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 (core's signature)
        self.x, self.timestep, self.options, self.sigma = x, timestep, model_options, float(timestep[0])
        self.turn.park()
        inner = model_options.get("transformer_options", {})
        seen = self.run.before(self)
        options = {**model_options, "transformer_options": {**inner, PARENTS: seen}}
        x0 = super().outer_predict_noise(x, timestep, options, seed)
        self.begun = True
        self.run.after(self, self._value(x, x0))
        return x0

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 (core's signature)
        pair = self.run.predict_together(self)
        if pair is None:
            return super().predict_noise(x, timestep, model_options, seed)
        return comfy.samplers.cfg_function(
            self.inner_model, pair.positive, pair.negative, self.cfg, x, timestep, model_options,
            self.conds["positive"], self.conds["negative"],
        )  # fmt: skip

    def _value(self, x: torch.Tensor, x0: torch.Tensor) -> Value:
        """What others see of this variable: where its mask keeps the latent, that (as core's sampler goes on with it)."""
        if self.mask is None:
            return Value(x, x0, self.timestep)
        mask: Any = self.mask
        if "denoise_mask_function" in self.options:
            extra = {"model": self, "sigmas": self.levels}
            mask = self.options["denoise_mask_function"](self.timestep, mask, extra_options=extra)
        return Value(x, x0 * mask + self.kept * (1.0 - mask), self.timestep)

    def waiting_at(self, sigma: float) -> Value:
        """What others see of it as long as it has not begun: its start, with the noise of this level."""
        start = self.scaled_in(self.begin.latent)
        x = start + sigma * self.begin.noise.to(start)
        return Value(x, start, torch.full((len(x),), sigma, device=x.device))


def _with_own_nets(conditioning, made: dict[int, Any]):
    """A prompt whose control nets are copies: a net keeps what it works out for one run (range, hint at size), and other
    variables may have the same prompt. made: copies so far, by the net that they are of."""

    def copy(net):
        if net is None:
            return None
        if id(net) not in made:
            made[id(net)] = net.copy()
            made[id(net)].set_previous_controlnet(copy(net.previous_controlnet))
        return made[id(net)]

    return [
        [embedding, {**options, "control": copy(options["control"])} if options.get("control") else options]
        for embedding, options in conditioning
    ]
