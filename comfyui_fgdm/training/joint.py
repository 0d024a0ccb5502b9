"""Joint fine-tuning of a condition factor with the hint block of an image factor (appendix A.2.4 of the paper).

The paper trains the condition factor first, and then both together, "only updating" the ControlNet's input hint block; the
loss is the sum of equation 8. It leaves open which map the ControlNet is shown meanwhile. Here, as in joint sampling: both
variables are at one timestep t, with noise of their own; the factor predicts its finished map x0 from its noisy latent; that
is decoded, as drawn, not read and painted again, which has no gradient; and it is the hint under which the image factor
predicts at t. The image's loss so reaches the hint block, and through the decoded map every weight of the factor as well;
``image_gradient`` off keeps it to the hint block, in less memory, for large decoders.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import factor, objective
from .backbone import Backbone
from .factor import Batch, FactorSettings, Network
from .image_factor import ImageFactorNetwork


@dataclass(frozen=True)
class JointSettings:
    """factor: how the condition factor learns. image_gradient: whether the image's loss teaches it, too."""

    factor: FactorSettings = field(default_factory=FactorSettings)
    image_gradient: bool = True


class JointNetwork(nn.Module):
    """A condition factor and an image factor of which the hint block is trained."""

    def __init__(self, factor: Network, image: ImageFactorNetwork) -> None:
        super().__init__()
        self.factor, self.image = factor, image


def loss_of_batch(
    network: JointNetwork,
    base: Backbone,
    batch: Batch,
    settings: JointSettings,
    step: int,
    generator: torch.Generator,
    place: torch.device | str = "cpu",
) -> tuple[Tensor, dict[str, float]]:
    """The losses of both factors, summed, and as figures: "map" (prediction, and distillation where it is due) and "image".

    All random numbers come from ``generator``, on the CPU: first those of the map, then the image's noise.
    """
    if batch.image is None:
        raise ValueError("joint training learns from batches with the latents of pictures")
    one = factor.learned(network.factor, base, batch, settings.factor, step, generator, place)
    x, target = objective.drawn(batch.image, one.t.cpu(), base.facts.prediction, generator)
    with torch.autocast(
        torch.device(place).type, enabled=False
    ):  # autoencoders of half precision may overflow, or be slow
        hint = base.decode(one.x0.float() if settings.image_gradient else one.x0.detach().float())
    out = network.image.predict(base, x.to(place), one.t, batch.prompts.to(place), hint)
    image = F.mse_loss(out.float(), target.to(place))
    return one.loss + image, {"map": float(one.loss.detach()), "image": float(image.detach())}
