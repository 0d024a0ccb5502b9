"""Training an image factor, P(image | map, prompt): a ControlNet on the frozen base, whole or as low-rank changes of it.

The network begins as the base's own encoder, and what it adds passes convolutions that begin at zero, so that the first
prediction is exactly the base's. The last layer of the hint block begins at zero, too, as in the ControlNet paper (with 300
steps of the tiny family it made no difference to the map being followed whether it did). The map is never left out in
training, unlike the parents of a condition factor: an image without a map is sampled without the ControlNet, from the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..factors.files import FactorFileError, LoraPair
from ..factors.image_files import HINT, OWN, ImageFactorFile
from ..maps import palettes
from . import objective
from .backbone import Backbone, Control
from .factor import Batch
from .hints import worn
from .lowrank import LowRank

LAST_OF_HINT = f"{HINT}14.weight"


@dataclass(frozen=True)
class ImageFactorSettings:
    """rank: of a Control-LoRA, 0 for a whole ControlNet. worn: share of the maps that are shown as sampled ones look."""

    rank: int = 0
    worn: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.worn <= 1:
            raise ValueError(f"worn must be a share, 0 to 1, got {self.worn}")


class ImageFactorNetwork(nn.Module):
    """The trained part of an image factor. What is not trained of its ControlNet is no part of this module, nor of its
    checkpoints: the base has it, or the file that training started from."""

    def __init__(self, control: Control, trained: Iterable[str], lora: LowRank | None = None) -> None:
        super().__init__()
        self._control = (control,)  # in a tuple, which modules do not look into
        there = dict(control.module.named_parameters())
        control.module.requires_grad_(False)
        self.own = nn.ParameterDict({_key(name): there[control.names[name]].requires_grad_() for name in trained})
        self.lora = lora

    @classmethod
    def new(cls, base: Backbone, rank: int) -> ImageFactorNetwork:
        """One that begins as the base's encoder and changes nothing yet; its random weights are those of the hint block (and
        of ``down`` in low-rank changes)."""
        control, weights = base.control(), base.weights
        own = [name for name in control.names if name not in weights]
        with torch.no_grad():
            for name in own:
                _begin(name, control.module.get_parameter(control.names[name]))
        if not rank:
            _fill(control, {name: weights[name] for name in control.names if name in weights})
            return cls(control, control.names)
        return cls(control, own, LowRank(_shared(control, weights), rank))

    @classmethod
    def of(cls, base: Backbone, file: ImageFactorFile, hint_alone: bool = False) -> ImageFactorNetwork:
        """That of a file, to be trained further: what its kind trains, or the hint block alone.

        FactorFileError names a weight that the base's network does not have, or has in another shape.
        """
        control = base.control()
        own = [name for name in control.names if name not in base.weights]
        if file.low_rank and not hint_alone:
            _check(file, file.whole, control, own)
            lora = _lora(file, _shared(control, base.weights))
            _fill(control, file.whole)
            return cls(control, own, lora)
        weights = file.weights(base.weights)
        _check(file, weights, control, control.names)
        _fill(control, weights)
        return cls(control, [name for name in own if name.startswith(HINT)] if hint_alone else control.names)

    def predict(self, base: Backbone, x: Tensor, t: Tensor, prompts: Tensor, hint: Tensor) -> Tensor:
        """The base's prediction under a map picture: hint B x 3 x H x W in 0..1, of as many pixels as x stands for."""
        (control,) = self._control
        changed = self.lora.weights(base.weights) if self.lora else {}
        named = {control.names[name]: weight for name, weight in changed.items()}
        residuals = torch.func.functional_call(control.module, named, (x, hint, t, prompts))
        return base.predict(x, t, prompts, control=residuals)

    def trained(self) -> dict[str, Tensor]:
        """The weights that are trained whole, as files call them."""
        return {name.replace("/", "."): value.detach() for name, value in self.own.items()}

    def pairs(self) -> dict[str, LoraPair] | None:
        """The low-rank changes, None for a whole ControlNet."""
        return self.lora.pairs() if self.lora else None


def loss_of_batch(
    network: ImageFactorNetwork,
    base: Backbone,
    batch: Batch,
    settings: ImageFactorSettings,
    palette: palettes.Palette | None,
    generator: torch.Generator,
    place: torch.device | str = "cpu",
) -> tuple[Tensor, dict[str, float]]:
    """The prediction loss of one batch of pictures under their maps, and figures for the log. palette: of maps with classes.

    All random numbers come from ``generator``, on the CPU: timesteps, noise, how maps are shown.
    """
    if batch.hint is None:
        raise ValueError("an image factor learns from batches with the pictures of maps")
    t = objective.levels(len(batch.latent), generator)
    x, target = objective.drawn(batch.latent, t, base.facts.prediction, generator)
    hint = worn(batch.hint, generator, palette, settings.worn) if settings.worn else batch.hint
    x, t, target, prompts, hint = (value.to(place) for value in (x, t, target, batch.prompts, hint))
    loss = F.mse_loss(network.predict(base, x, t, prompts, hint).float(), target)
    return loss, {"prediction": float(loss.detach())}


def _key(name: str) -> str:
    """A parameter's name as a key of a ParameterDict, which takes no dots."""
    return name.replace(".", "/")


def _begin(name: str, parameter: Tensor) -> None:
    """First values of what the base does not have: zero, but for the layers of the hint block before its last."""
    if not name.startswith(OWN):
        raise ValueError(f"{name} is neither a weight of the base nor of {', '.join(OWN)}")
    if name.startswith(HINT) and parameter.ndim == 4 and name != LAST_OF_HINT:
        nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    else:
        parameter.zero_()


def _fill(control: Control, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            control.module.get_parameter(control.names[name]).copy_(weight)


def _shared(control: Control, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives the network the base's own weights, without a copy where they are in single precision; and those by name."""
    shared = {name: weights[name].detach().float() for name in control.names if name in weights}
    for name, weight in shared.items():
        owner, _, leaf = control.names[name].rpartition(".")
        setattr(control.module.get_submodule(owner), leaf, nn.Parameter(weight, requires_grad=False))
    return shared


def _lora(file: ImageFactorFile, shared: Mapping[str, Tensor]) -> LowRank:
    try:
        return LowRank.of(shared, file.pairs)
    except ValueError as error:
        raise FactorFileError(f"{file.path}: {error}") from None


def _check(file: ImageFactorFile, weights: Mapping[str, Tensor], control: Control, wanted: Iterable[str]) -> None:
    """FactorFileError unless these are the wanted weights in the network's shapes."""
    shapes = {name: tuple(control.module.get_parameter(control.names[name]).shape) for name in wanted}
    missing = [name for name in shapes if name not in weights]
    extra = [name for name in weights if name not in shapes]
    other = [name for name in shapes if name in weights and tuple(weights[name].shape) != shapes[name]]
    if missing or extra or other:
        what = (
            f"{missing[0]} is missing" if missing
            else f"{other[0]} is {tuple(weights[other[0]].shape)}, not {shapes[other[0]]}" if other
            else f"{extra[0]} is not of it"
        )  # fmt: skip
        raise FactorFileError(
            f"{file.path}: its weights do not fit this base ({what}); choose an image factor of the same family"
        )
