"""Low-rank deltas of the frozen base, where a factor file has them: weight + strength * up @ down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import comfy.lora
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...factors.files import LoraPair
from .placed import Placed


def misfit(weights: Mapping[str, torch.Tensor], pairs: Mapping[str, LoraPair]) -> str:
    """What keeps deltas from being added to these weights of a UNet, in words; empty if nothing does."""
    for key, pair in pairs.items():
        shape = weights[key].shape if key in weights else None
        if shape is None or (pair.up.shape[0], pair.down.shape[1]) != (shape[0], shape[1:].numel()):
            which = "which the model lacks" if shape is None else f"which is {list(shape)} in the model"
            return f"a low-rank change of {key}, {which}"
    return ""


def patch(model, pairs: Mapping[str, LoraPair], strength: float) -> None:
    """Add deltas to the weights of a clone, as core does for a LoRA."""
    named: dict[str, torch.Tensor] = {}
    targets = {f"diffusion_model.{key}": f"diffusion_model.{key}" for key in pairs}
    for key, pair in pairs.items():
        named[f"diffusion_model.{key}.lora_up.weight"] = pair.up
        named[f"diffusion_model.{key}.lora_down.weight"] = pair.down
    model.add_patches(comfy.lora.load_lora(named, targets), strength)


class LowRank:
    """Deltas that are added while a call of the UNet lasts, for runs in which others use the same loaded weights."""

    def __init__(self, pairs: Mapping[str, LoraPair], strength: float):
        self.strength = strength
        self.ups = Placed({key: pair.up for key, pair in pairs.items()})
        self.downs = Placed({key: pair.down for key, pair in pairs.items()})

    def __bool__(self) -> bool:
        return bool(self.ups.tensors)

    @contextlib.contextmanager
    def added_to(self, unet: UNetModel) -> Iterator[None]:
        """While this lasts, the UNet's layers use their weights with the deltas added; the weights stay as they are."""
        before = []
        try:
            for key in self.ups.tensors:
                layer = unet.get_submodule(key.removesuffix(".weight"))
                before.append((layer, layer.weight_function))
                layer.weight_function = [*layer.weight_function, self._function(key)]
            yield
        finally:
            for layer, functions in reversed(before):
                layer.weight_function = functions

    def forget(self) -> None:
        """Let go of copies on devices, after a run."""
        self.ups.forget()
        self.downs.forget()

    def _function(self, key: str):
        def add(weight: torch.Tensor) -> torch.Tensor:
            up, down = self.ups.like(weight)[key], self.downs.like(weight)[key]
            return torch.addmm(weight.reshape(len(weight), -1), up, down, alpha=self.strength).view_as(weight)

        return add
