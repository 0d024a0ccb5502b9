"""Small tensors that a run needs at every call, copied to the device once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)


class Placed(Generic[Name]):
    """Tensors by name; each device and precision that asks for them gets copies once, kept until they are let go.

    A copy from the host's memory at every call would make the host wait for the device each time.
    """

    def __init__(self, tensors: Mapping[Name, torch.Tensor]):
        self.tensors = dict(tensors)
        self.copies: dict[tuple[torch.device, torch.dtype], dict[Name, torch.Tensor]] = {}

    def like(self, other: torch.Tensor) -> Mapping[Name, torch.Tensor]:
        """The tensors on the device and in the precision of another one."""
        key = other.device, other.dtype
        if key not in self.copies:
            self.copies[key] = {name: value.to(other) for name, value in self.tensors.items()}
        return self.copies[key]

    def forget(self) -> None:
        self.copies.clear()
