"""Weights of a frozen network held in half precision, unpacked where a layer runs: half the memory, arithmetic as before.

Half precision is that of most files of Stable Diffusion 1.x: of such a file nothing is lost. Neither pass keeps an unpacked
weight: the backward pass of a frozen layer needs its weight, but not its input, and unpacks it again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

HALF = torch.float16


class _Half(nn.Module):
    """A frozen layer whose weight is float16; given another weight for a call, it is any layer of its kind."""

    weight: Tensor

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dtype is not HALF or input.dtype is HALF:
            return super().forward(input)
        return _Unpacked.apply(input, self.weight, self)  # pyright: ignore[reportReturnType]

    def ahead(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's output with an unpacked weight."""
        raise NotImplementedError

    def back(self, gradient: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """The gradient of an input of that shape."""
        raise NotImplementedError


class HalfLinear(_Half, nn.Linear):
    def ahead(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight, self.bias)

    def back(self, gradient: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        return gradient @ weight


class HalfConv2d(_Half, nn.Conv2d):
    def ahead(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._conv_forward(x, weight, self.bias)

    def back(self, gradient: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        how = (self.stride, self.padding, self.dilation, self.groups)
        return conv2d_input(shape, weight, gradient, *how)  # pyright: ignore[reportArgumentType]


KINDS: dict[type[nn.Module], type[_Half]] = {nn.Linear: HalfLinear, nn.Conv2d: HalfConv2d}


def halve(network: nn.Module) -> None:
    """Hold the weights of all linear and convolution layers of a frozen network in float16, the rest in float32.

    The layers stay the same objects, under the same names: their class alone changes, which adds nothing to their state.
    """
    network.requires_grad_(False)
    for module in network.modules():
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            held = HALF if name == "weight" and type(module) in KINDS else torch.float32
            if value.is_floating_point():
                value.data = value.data.to(held)
        module.__class__ = KINDS.get(type(module), type(module))


class _Unpacked(torch.autograd.Function):
    """x, float16 weight, layer -> the layer's output in the precision of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: _Half) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.layer, ctx.shape = layer, x.shape
        return layer.ahead(x, weight.to(x.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        return ctx.layer.back(gradient, weight.to(gradient.dtype), ctx.shape), None, None
