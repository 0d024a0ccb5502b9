"""LEDITS++ (arXiv 2311.16711): an inverted latent is replayed, and concepts are added or removed where masks allow.

Per step D = D(no prompt) + sum over concepts of +-scale (D(concept) - D(no prompt)) mask: guidance is linear, so predictions
of the clean latents serve as well as those of the noise, and all masks are the same. LEDITS++ has no momentum term (that of
SEGA, on which it builds, was left out); its masks are made anew at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .attention_maps import above_quantile, attention_mask
from .choices import Masks
from .inversion import Inversion, InversionError, Order, mean_of, steps_of


@dataclass(frozen=True)
class Concept:
    """One edit. scale: strength of its guidance. remove: away from it instead of towards it. threshold: the quantile, 0..1,
    of the two masks that are made; at most 1 - threshold of the picture is edited by each. warmup, cooldown: the first step at
    which it acts and the first at which it does not any more (None: it acts to the end), counted from the start of the edit.
    region: where it may act, 1 or B x 1 x h x w in 0..1; it weighs the guidance before masks are made of that.
    """

    scale: float = 5.0
    remove: bool = False
    threshold: float = 0.9
    warmup: int = 0
    cooldown: int | None = None
    masks: Masks = Masks.BOTH
    region: Tensor | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise InversionError(f"scale: {self.scale} is no finite number")
        if not 0.0 <= self.threshold <= 1.0:
            raise InversionError(f"threshold: {self.threshold} is out of range; give a quantile from 0 to 1")
        if self.warmup < 0 or (self.cooldown is not None and self.cooldown <= self.warmup):
            raise InversionError(
                f"warmup {self.warmup}, cooldown {self.cooldown}: the concept never acts; end after it has begun"
            )

    def acts(self, step: int) -> bool:
        return self.warmup <= step and (self.cooldown is None or step < self.cooldown)


class Predictions(NamedTuple):
    """Clean latents as predicted without a prompt and with each concept asked for, and the concepts' attention, see
    ``AttentionMean.maps``: None where none was seen."""

    base: Tensor
    concepts: Sequence[Tensor]
    attention: Sequence[Tensor | None]


Predict = Callable[[Tensor, Tensor, tuple[int, ...]], Predictions]
"""predict(x, sigma, concepts): x B x C x h x w, sigma (B), numbers of the concepts that act at this step."""


class EditState(NamedTuple):
    """After a step: its number from 0, the latents, the guided prediction, and the masks, concepts x B x 1 x h x w in 0..1."""

    step: int
    x: Tensor
    x0: Tensor
    masks: Tensor


def guidance(
    base: Tensor, predicted: Tensor, concept: Concept, attention: Tensor | None, attention_alone: bool = False
) -> tuple[Tensor, Tensor]:
    """(what a concept adds to the prediction, B x C x h x w; its mask, B x 1 x h x w).

    attention: B x gh x gw. attention_alone: leave out the mask by noise where both are asked for.
    """
    push = (-concept.scale if concept.remove else concept.scale) * (predicted - base)
    mask = torch.ones_like(push[:, :1])
    if concept.region is not None:
        push = push * concept.region
    if concept.masks in (Masks.BOTH, Masks.ATTENTION):
        if attention is None:
            raise InversionError(
                "masks: no attention to words was seen in this model at this size; choose 'noise' or 'region only'"
            )
        mask = attention_mask(attention, concept.threshold, (push.shape[-2], push.shape[-1])).to(mask)
    if concept.masks is Masks.NOISE or (concept.masks is Masks.BOTH and not attention_alone):
        mask = mask * above_quantile(push.abs().sum(1, keepdim=True), concept.threshold)
    push = push * mask
    return push, mask if concept.region is None else mask * concept.region


def edit(
    predict: Predict,
    inversion: Inversion,
    concepts: Sequence[Concept],
    *,
    start: int = 0,
    allowed: Tensor | None = None,
    attention_alone_above: float = math.inf,
) -> Generator[EditState, None, Tensor]:
    """Yields the state after each step; returns the edited latents, B x C x h x w.

    Without concepts, and with the denoiser of the inversion, that is its source. start: steps to leave out, 0..N - 1.
    allowed: 1 or B x 1 x h x w in 0..1; where it is 0 the path of the inversion is held, which leaves the source there.
    attention_alone_above: noise level above which ``Masks.BOTH`` is attention alone (diffusers: that of t = 800).
    What the last step cannot reach of the source is added back where no mask ever was.
    """
    steps = steps_of(inversion.sigmas, inversion.order)
    if not 0 <= start < len(steps):
        raise InversionError(f"start: {start} of {len(steps)} steps cannot be left out; give 0 to {len(steps) - 1}")
    batch = len(inversion.source)

    def level(number: int) -> Tensor:
        return inversion.sigmas[number].expand(batch)

    x, before = inversion.path[start], None
    if start and inversion.order is Order.SECOND:  # the noise of this step was solved for with the prediction before it
        before = predict(inversion.path[start - 1], level(start - 1), ()).base
    touched = torch.zeros_like(x[:, :1])
    for number in range(start, len(steps)):
        step = steps[number]
        acting = tuple(k for k, concept in enumerate(concepts) if concept.acts(number - start))
        found = predict(x, level(number), acting)
        x0, masks = found.base, x.new_zeros((len(concepts), *touched.shape))
        for k, predicted, attention in zip(acting, found.concepts, found.attention, strict=True):
            alone = step.sigma > attention_alone_above
            push, masks[k] = guidance(found.base, predicted, concepts[k], attention, alone)
            x0 = x0 + push
            touched = torch.maximum(touched, masks[k])
        x = mean_of(x, x0, before, step) + step.std * inversion.noises[number]
        if allowed is not None:
            x = torch.lerp(inversion.path[number + 1], x, allowed.expand_as(x))
        before = x0
        yield EditState(number - start, x, x0, masks)
    return x + inversion.residual * (1 - touched)
