"""What a run is watched by beside its loss: recall of the maps that it samples, and TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..maps.reader import Reader
from ..objects import recall, words
from . import extras


def map_recall(pictures: Tensor, prompts: Sequence[str], reader: Reader) -> float | None:
    """Mean object recall (0..1) of sampled maps B x 3 x H x W in 0..1 against the objects of their B prompts.

    Prompts that name no class of the palette are passed over; None if all are, or if maps of this kind have no classes.
    """
    if reader.palette is None:
        return None
    values = []
    for picture, prompt in zip(pictures, prompts, strict=True):
        query = words.read(prompt, palette=reader.palette)
        if query.items:
            labels = reader.clean(reader.read(picture.permute(1, 2, 0)[None].float()))
            values.append(float(recall.score(labels, query).recall))
    return sum(values) / len(values) if values else None


class TensorBoard:
    """The figures and sheets of one run in a folder of event files; a run that goes on continues the same lines."""

    def __init__(self, folder: Path, step: int) -> None:
        """step: of the checkpoint that the run goes on from; what was written of later steps is dropped.

        MissingPackageError if tensorboard is not installed.
        """
        extras.load("tensorboard", "watch.tensorboard")
        writer = extras.load("torch.utils.tensorboard", "watch.tensorboard")
        self.writer = writer.SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def record(self, record: dict) -> None:
        """The figures of one record of the log."""
        for name, value in record.items():
            if isinstance(value, float) and name != "seconds":
                self.writer.add_scalar(name, value, record["step"])

    def sheet(self, step: int, picture: Image.Image) -> None:
        self.writer.add_image("samples", np.array(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


@contextmanager
def board(folder: Path | None, step: int) -> Iterator[TensorBoard | None]:
    """A ``TensorBoard`` in a folder, closed at the end; None without a folder."""
    if folder is None:
        yield None
        return
    opened = TensorBoard(folder, step)
    try:
        yield opened
    finally:
        opened.close()
