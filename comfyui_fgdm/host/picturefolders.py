"""Folders of a user's own pictures in the host's input folder, with captions beside them: read in part, so that any number fits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import folder_paths
import numpy as np
import torch
from PIL import Image, ImageOps

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
CELL = 8  # edges are multiples of it, as those of a VAE


class PictureFolderError(ValueError):
    """Pictures that cannot be read; the text names the folder or the file, and says what to do."""


@dataclass(frozen=True)
class Pictures:
    """Pictures IMAGE (1, H, W, 3), each with its text of captions (empty for none) and its name."""

    images: list[torch.Tensor]
    captions: list[str]
    names: list[str]


def names() -> list[str]:
    """Names of the folders in the input folder that hold pictures. Never raises: node definitions call it."""
    try:
        folders = [path for path in Path(folder_paths.get_input_directory()).iterdir() if path.is_dir()]
    except OSError:
        return []
    return sorted(path.name for path in folders if _holds_pictures(path))


def _holds_pictures(place: Path) -> bool:
    try:
        return any(name.lower().endswith(ENDINGS) for name in os.listdir(place))
    except OSError:
        return False


def files(folder: str) -> list[Path]:
    """The pictures of a folder, by name. PictureFolderError if there is no such folder, or two pictures have one name."""
    if folder not in names():
        there = ", ".join(names()) or "none yet"
        raise PictureFolderError(
            f"folder: there is no folder {folder!r} with pictures in {folder_paths.get_input_directory()}; there is: {there}. Put "
            f"pictures into {folder}, and captions as NAME.txt beside them"
        )
    place = Path(folder_paths.get_input_directory()) / folder
    found: dict[str, Path] = {}
    for name in sorted(os.listdir(place)):
        stem, ending = os.path.splitext(name)
        if ending.lower() not in ENDINGS or name.startswith("."):
            continue
        if stem in found:
            raise PictureFolderError(
                f"folder: {found[stem].name} and {name} in {folder} have one name; rename one of them"
            )
        found[stem] = place / name
    return list(found.values())


def part(folder: str, first: int, count: int) -> list[Path]:
    """``count`` pictures of a folder from number ``first`` on. PictureFolderError if there are none."""
    found = files(folder)
    if first >= len(found):
        raise PictureFolderError(
            f"first: {folder} holds {len(found)} pictures, number 0 to {len(found) - 1}; all are done"
        )
    return found[first : first + count]


def load(folder: str, first: int, count: int, size: int) -> Pictures:
    """Pictures of a folder with their captions (NAME.txt beside them, or captions/NAME.txt).

    size: shorter edge in pixels, to which larger pictures shrink; 0: as they are. Edges are cut to multiples of ``CELL``.
    PictureFolderError names a file that cannot be read.
    """
    chosen = part(folder, first, count)
    return Pictures(
        [_image(file, size) for file in chosen], [_caption(file) for file in chosen], [file.stem for file in chosen]
    )


def fingerprint(folder: str, first: int, count: int) -> str:
    """A text that changes when one of these pictures or its captions do; empty where there is nothing to read."""
    try:
        chosen = part(folder, first, count)
    except PictureFolderError:
        return ""
    facts = [[_stamp(path) for path in (file, *_texts(file))] for file in chosen]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _stamp(path: Path) -> Sequence[object]:
    try:
        stat = path.stat()
    except OSError:
        return str(path), "absent"
    return str(path), stat.st_size, stat.st_mtime_ns


def _texts(file: Path) -> tuple[Path, Path]:
    return file.with_suffix(".txt"), file.parent / "captions" / f"{file.stem}.txt"


def _caption(file: Path) -> str:
    for text in _texts(file):
        if text.is_file():
            try:
                return text.read_text(encoding="utf-8-sig").strip()
            except (UnicodeDecodeError, OSError):
                raise PictureFolderError(f"folder: {text} is no text in UTF-8; save it as such") from None
    return ""


def _image(file: Path, size: int) -> torch.Tensor:
    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureFolderError(
            f"folder: {file} cannot be read as a picture ({error}); replace or remove it"
        ) from None
    width, height = picture.size
    shorter = min(width, height)
    if 0 < size < shorter:
        width, height = (max(size, round(edge * size / shorter)) for edge in (width, height))
        picture = picture.resize(
            (width, height), Image.Resampling.BOX if shorter >= 2 * size else Image.Resampling.LANCZOS
        )
    wide, high = (edge - edge % CELL for edge in (width, height))
    if not wide or not high:
        raise PictureFolderError(f"folder: {file} has {width} x {height} pixels; at least {CELL} x {CELL} are needed")
    left, top = (width - wide) // 2, (height - high) // 2
    return torch.from_numpy(np.array(picture.crop((left, top, left + wide, top + high)))).float()[None] / 255
