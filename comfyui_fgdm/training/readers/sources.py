"""Sources: where the picture, the labels or the keypoints of one variable of one example come from. Small values that are
made when a data set is listed, and opened only when their example is read."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from .view import View


class FolderError(ValueError):
    """Training data that cannot be used; the text names folder and files, and says what to do."""


class Source(ABC):
    """Where one variable of one example comes from; ``str`` is what errors call it."""

    @abstractmethod
    def stamp(self) -> list[Any]:
        """Facts, as JSON takes them, that change when the source does: its path, size and time of change."""


class PictureSource(Source):
    """A picture file: a photo, a grey or coloured map, a label map in indices or in the colours of a palette."""

    @abstractmethod
    def open(self) -> Image.Image:
        """The picture, fully read; FolderError for a file that is cut off or no picture."""


class LabelSource(Source):
    """Labels that are not simply the pixels of a picture. palette: name of that whose labels they are."""

    palette: str

    @abstractmethod
    def labels(self) -> np.ndarray:
        """int64 [H, W], labels of the palette, its void for pixels of no class. FolderError for what cannot be read so."""


class DrawnSource(Source):
    """Values that are drawn by their kind of variable, such as keypoints."""

    @abstractmethod
    def values(self, view: View, size: int) -> Any:
        """The values that a view shows, not mirrored yet, for a picture of size x size pixels."""


def file_stamp(path: Path) -> list[Any]:
    """Path, size in bytes and time of change of a file; FolderError if it is not there any more."""
    try:
        stat = path.stat()
    except OSError as error:
        raise FolderError(f"{path} cannot be read ({error.strerror or error}); replace or remove it") from None
    return [str(path), stat.st_size, stat.st_mtime_ns]


@dataclass(frozen=True)
class PictureFile(PictureSource):
    """A picture in a file of its own."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self) -> list[Any]:
        return file_stamp(self.path)

    def open(self) -> Image.Image:
        return opened(str(self.path), lambda: self.path.open("rb"))


def opened(name: str, stream: Callable[[], Any]) -> Image.Image:
    """The picture in a stream of bytes, which is closed. FolderError, in which it is called ``name``, if there is none."""
    try:
        with stream() as file, Image.open(file) as picture:
            picture.load()
            return picture.copy()
    except UnidentifiedImageError:
        what = "holds text" if _is_text(stream) else "holds something else"
        raise FolderError(f"{name} cannot be read as a picture: it {what}; replace or remove it") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FolderError(f"{name} cannot be read as a picture ({error}); replace or remove it") from None


def _is_text(stream: Callable[[], Any]) -> bool:
    with stream() as file:
        start = file.read(256)
    try:
        return (
            bool(start) and start.decode("utf-8").replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable()
        )
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True)
class Part:
    """Bytes of a larger file, such as a member of a tar. name: what messages call them. stamp: of the larger file."""

    file: Path
    name: str
    offset: int
    size: int
    file_stamp: tuple[Any, ...]

    def read(self) -> bytes:
        """The bytes; FolderError if the file ends before."""
        try:
            with self.file.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise FolderError(f"{self.file} cannot be read ({error.strerror or error})") from None
        if len(data) < self.size:
            raise FolderError(f"{self.file} ends in the middle of {self.name!r}: it was changed while it was in use")
        return data


@dataclass(frozen=True)
class PicturePart(PictureSource):
    """A picture that lies in a larger file."""

    part: Part

    def __str__(self) -> str:
        return f"{self.part.name!r} in {self.part.file}"

    def stamp(self) -> list[Any]:
        return [*self.part.file_stamp, self.part.name, self.part.offset, self.part.size]

    def open(self) -> Image.Image:
        return opened(str(self), lambda: io.BytesIO(self.part.read()))
