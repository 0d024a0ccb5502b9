"""Start noise of search candidates: candidate k of a run with ``seed`` is the run with ``seed + k``, alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

SEED_MODULUS = 2**64


def candidate_seed(seed: int, index: int) -> int:
    """Seed of candidate ``index`` (0-based): ``(seed + index) mod 2**64``, always in 0 .. 2**64 - 1."""
    return (int(seed) + int(index)) % SEED_MODULUS


def candidate_noise(seed: int, index: int, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal noise of one candidate, float32 on the CPU, of exactly ``shape``.

    The noise depends on ``seed + index`` and ``shape`` alone: not on the number of candidates, the batch
    size, the device or the global random state. A leading axis of length 1 does not change the values.
    """
    generator = torch.Generator(device="cpu").manual_seed(candidate_seed(seed, index))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32, device="cpu")


def candidate_batch(seed: int, indices: Iterable[int], shape: Sequence[int]) -> torch.Tensor:
    """Noise of several candidates: [len(indices), *shape], row j equal to ``candidate_noise(seed, indices[j], shape)``."""
    rows = [candidate_noise(seed, index, shape) for index in indices]
    return torch.stack(rows) if rows else torch.empty((0, *shape))
