"""Parts of the host's models that training computes with in copies of its own: a ControlNet for a UNet, a VAE's decoder."""

from __future__ import annotations

import comfy.cldm.cldm
import comfy.ops
import torch
from torch import Tensor, nn

from ...training.backbone import Control, Residuals


def new_control(model, device: torch.device) -> Control:
    """The host's own ControlNet for the UNet of a MODEL, as its loader would build it, in single precision."""
    config = {
        **model.model.model_config.unet_config,
        "hint_channels": 3,
        "dtype": torch.float32,
        "device": device,
        "operations": comfy.ops.disable_weight_init,
    }
    config.pop("out_channels", None)
    module = _ControlNet(**config)
    return Control(module, {name: name for name, _ in module.named_parameters()})


class _ControlNet(comfy.cldm.cldm.ControlNet):
    def forward(self, x: Tensor, hint: Tensor, t: Tensor, prompts: Tensor) -> Residuals:
        found = super().forward(x, hint, t, prompts)
        return found["output"], found["middle"][0]


class Decoder:
    """A copy of a VAE's decoder through which a gradient passes: the host's own tensors cannot be trained through."""

    def __init__(self, vae, device: torch.device) -> None:
        self.vae, self.module = vae, _Decoding(vae.first_stage_model)
        self.weights = {
            name: value.detach().to(device, torch.float32, copy=True)
            for name, value in [*self.module.named_parameters(), *self.module.named_buffers()]
            if "encoder" not in name
        }

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents as the VAE takes them -> pictures B x 3 x H x W in 0..1."""
        return self.vae.process_output(torch.func.functional_call(self.module, self.weights, (latents,)))


class _Decoding(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor) -> Tensor:
        return self.model.decode(latents)
