"""Pictures packed without loss: those of a whole data set lie in one piece of memory or file, and are unpacked as needed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Self = TypeVar("Self", bound="Packed")


def pack(levels: np.ndarray) -> bytes:
    """A picture uint8 S x S x 3 without loss."""
    return zlib.compress(levels.tobytes(), 1)


@dataclass(frozen=True)
class Packed:
    """N pictures of side S, packed: data uint8, ends int64 N (where each picture's bytes end)."""

    data: np.ndarray
    ends: np.ndarray
    side: int

    @classmethod
    def join(cls: type[Self], packed: list[bytes], side: int) -> Self:
        """Pictures of that side from what `pack` made of each."""
        ends = np.cumsum([len(part) for part in packed], dtype=np.int64)
        return cls(np.frombuffer(b"".join(packed), np.uint8), ends, side)

    @classmethod
    def opened(cls: type[Self], path: Path) -> Self:
        """The pictures of a ``Packer``, mapped into memory."""
        with np.load(path.with_suffix(".ends.npz")) as about:
            return cls(np.memmap(path, np.uint8, "r"), about["ends"], int(about["side"]))

    def __len__(self) -> int:
        return len(self.ends)

    def levels(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        """uint8 B x S x S x 3 of the pictures with these numbers."""
        result = np.empty((len(index), self.side, self.side, 3), np.uint8)
        for at, k in enumerate(index):
            raw = self.data[self.ends[k - 1] if k else 0 : self.ends[k]]
            result[at] = np.frombuffer(zlib.decompress(raw.tobytes()), np.uint8).reshape(self.side, self.side, 3)
        return result

    def tensor(self, index: Sequence[int] | np.ndarray) -> Tensor:
        """float32 B x 3 x S x S in 0..1."""
        return torch.from_numpy(self.levels(index)).permute(0, 3, 1, 2).float() / 255


class Packer:
    """Packs pictures into a file, one after another; ``close`` makes it readable by ``Packed.opened``."""

    def __init__(self, path: Path, side: int) -> None:
        self.path, self.side = path, side
        self.file, self.ends = path.open("wb"), [0]

    def add(self, pictures: Tensor) -> None:
        """B x 3 x S x S in 0..1, in steps of 1 / 255."""
        for levels in (pictures * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy():
            self.ends.append(self.ends[-1] + self.file.write(pack(levels)))

    def close(self) -> None:
        self.file.close()
        np.savez(self.path.with_suffix(".ends.npz"), ends=np.array(self.ends[1:], np.int64), side=np.array(self.side))
