"""A part of a base that is needed now and then, and takes no memory of the device in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Resting:
    """A frozen network with two states. Awake it lies on the device. At rest it waits in main memory; where that is the device
    itself and it can be loaded again, it is dropped."""

    def __init__(self, network: Any, device: torch.device, again: Callable[[], Any] | None = None) -> None:
        """again: loads the same network from its file."""
        self.device, self.again = device, again
        self._network: Any = _placed(network, device)

    def __call__(self) -> Any:
        """The network, on the device. OSError, or what ``again`` raises, if its file is gone."""
        if self._network is None and self.again is not None:
            self._network = self.again()
        self._network = _placed(self._network, self.device)
        return self._network

    def rest(self) -> None:
        if self.device.type != "cpu":
            self._network.to("cpu")
        elif self.again is not None:
            self._network = None


def _placed(network: Any, device: torch.device) -> Any:
    return network.requires_grad_(False).eval().to(device)
