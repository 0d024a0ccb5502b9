"""Folders with training data that a workflow may name: those in the host's input folder that hold maps of a variable, or a
published data set."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import folder_paths
import torch

from ..maps import kinds
from . import own

OUTPUT = "fgdm_training"
"""Below the host's output folder: what trainings write."""


class DataFolderError(ValueError):
    """A folder of training data that is not there; the text says where it is looked for and what it has to hold."""


SIGNS = (
    *("ADEChallengeData2016", "CelebAMask-HQ", "CelebAMask-HQ-mask-anno", "annotations", "gtFine", "leftImg8bit"),
    *("stuffthingmaps", "train2017", "val2017"),
)
"""Folders by which published data sets are known at sight; training looks closer."""


def names() -> list[str]:
    """Names of the folders in the input folder in which a folder is named for a variable or is a sign of a data set, or
    which hold shards (*.tar).

    Never raises: node definitions call it, and one that raises takes the nodes after it away.
    """
    try:
        folders = [path for path in Path(folder_paths.get_input_directory()).iterdir() if path.is_dir()]
    except OSError:
        return []
    return sorted(path.name for path in folders if _looks_like_data(path))


def _looks_like_data(place: Path) -> bool:
    try:
        return any((place / name).is_dir() for name in (*kinds.names(), *SIGNS)) or any(place.glob("*.tar"))
    except OSError:  # a folder that cannot be listed
        return False


def path_of(name: str) -> Path:
    """The folder of that name. DataFolderError if there is none, or if the name leads elsewhere."""
    if name not in names():
        there = ", ".join(names()) or "none yet"
        raise DataFolderError(
            f"folder: there is no training folder {name!r} in {folder_paths.get_input_directory()}; there is: {there}. A "
            "training folder holds segmentation/NAME.png (or the maps of another variable) and captions/NAME.txt, or a data set"
        )
    return Path(folder_paths.get_input_directory()) / name


def fingerprint(name: str) -> str:
    """A text that changes when a file of the folder is added, changed or removed; empty if there is no such folder."""
    if name not in names():
        return ""
    digest = hashlib.sha256()
    for file in sorted((Path(folder_paths.get_input_directory()) / name).rglob("*")):
        with contextlib.suppress(OSError):  # removed since it was listed
            stat = file.stat()
            digest.update(f"{file}:{stat.st_mtime_ns}:{stat.st_size};".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Examples:
    """What is written: pictures of a variable (or "image") with captions; no captions leave those there are as they are.

    names: one a picture, for files NAME.png, each with its own text of captions (a caption a line). Without names files are
    called ``name``-000.png ..., and there is one text of captions: a line for each picture, or one line for all.
    palette: of label maps.
    """

    variable: str
    folder: str
    name: str
    captions: tuple[str, ...] = ()
    palette: str = "coco183"
    overwrite: bool = False
    names: tuple[str, ...] = ()


def write(pictures: Sequence[torch.Tensor], wanted: Examples) -> str:
    """Write IMAGE batches (B, H, W, 3) of any sizes into a training folder; returns its name.

    Label maps are read and painted in the exact colours of their palette, so that training finds whole labels. Nothing is
    written if anything does not fit: DataFolderError names it.
    """
    for key in ("folder", "name"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}", getattr(wanted, key)):
            raise DataFolderError(
                f"{key}: {getattr(wanted, key)!r} is no name; use letters, digits, '.', '_', '-' and spaces"
            )
    singles = [one for batch in pictures for one in batch[..., :3].float().cpu()]
    stems, texts = _names(wanted, len(singles)), _captions(wanted, len(singles))
    base = Path(folder_paths.get_input_directory()) / wanted.folder
    files = [base / wanted.variable / f"{stem}.png" for stem in stems]
    notes = {base / "captions" / f"{stem}.txt": text for stem, text in zip(stems, texts, strict=True) if text}
    taken = [file for file in (*files, *notes) if file.exists()]
    if taken and not wanted.overwrite:
        raise DataFolderError(
            f"name: {taken[0].relative_to(base)} and {len(taken) - 1} more are in {wanted.folder} already; give another name, "
            "or switch 'overwrite' on"
        )
    kind = None if wanted.variable == "image" else kinds.get(wanted.variable)
    palette = own.library().palette(wanted.palette) if kind is not None and kind.has_classes else None
    from ..objects import charts  # here: the list of folders is asked for when the host starts

    for file, one in zip(files, singles, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind is not None and palette is not None:
            one = kind.to_picture(kind.to_values(one[None], palette=palette), palette=palette)[0]
        charts.picture(one).save(file)
    for file, text in notes.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    return wanted.folder


def _names(wanted: Examples, count: int) -> list[str]:
    """Names of the files without ending."""
    if not wanted.names:
        return [f"{wanted.name}-{number:03d}" for number in range(count)]
    if len(wanted.names) != count:
        raise DataFolderError(
            f"names: {len(wanted.names)} names for {count} pictures; connect the names of Load Training Pictures, whose pictures "
            "these are made of, one for one"
        )
    for name in wanted.names:
        if not re.fullmatch(r'[^\\/:*?"<>|.\x00-\x1f][^\\/:*?"<>|\x00-\x1f]{0,149}', name):
            raise DataFolderError(f"names: {name!r} cannot be the name of a file")
    twice = [name for name in wanted.names if wanted.names.count(name) > 1]
    if twice:
        raise DataFolderError(f"names: {twice[0]!r} is there twice; each picture takes a name of its own")
    return list(wanted.names)


def _captions(wanted: Examples, count: int) -> list[str]:
    """The text of captions of each picture, empty for none."""
    if wanted.names:
        if len(wanted.captions) == count:
            return [text.strip() for text in wanted.captions]
        if any(text.strip() for text in wanted.captions):
            raise DataFolderError(
                f"captions: {len(wanted.captions)} texts for {count} names; connect one a picture, or none"
            )
        return [""] * count
    lines = [line.strip() for text in wanted.captions for line in text.splitlines() if line.strip()]
    if len(lines) not in (0, 1, count):
        raise DataFolderError(f"captions: {len(lines)} lines for {count} pictures; give one each, or one for all")
    return lines * count if len(lines) == 1 else lines or [""] * count


def output() -> Path:
    """Where trainings write: a folder in the host's output folder."""
    return Path(folder_paths.get_output_directory()) / OUTPUT
