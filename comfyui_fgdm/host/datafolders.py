"""Folders with training data that a workflow may name: those in the host's input folder that hold maps of a variable, or a
published data set."""

from __future__ import annotations

import contextlib
import hashlib
import re
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
    """What is written: pictures of a variable (or "image") as NAME-000.png ... with captions, one line each or one for
    all, none to leave them as they are. palette: of label maps."""

    variable: str
    folder: str
    name: str
    captions: str = ""
    palette: str = "coco183"
    overwrite: bool = False


def write(pictures: torch.Tensor, wanted: Examples) -> str:
    """Write an IMAGE batch (B, H, W, 3) into a training folder; returns its name.

    Label maps are read and painted in the exact colours of their palette, so that training finds whole labels. Nothing is
    written if anything does not fit: DataFolderError names it.
    """
    for key in ("folder", "name"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}", getattr(wanted, key)):
            raise DataFolderError(
                f"{key}: {getattr(wanted, key)!r} is no name; use letters, digits, '.', '_', '-' and spaces"
            )
    lines = [line.strip() for line in wanted.captions.splitlines() if line.strip()]
    if len(lines) not in (0, 1, len(pictures)):
        raise DataFolderError(
            f"captions: {len(lines)} lines for {len(pictures)} pictures; give one each, or one for all"
        )
    base = Path(folder_paths.get_input_directory()) / wanted.folder
    files = [base / wanted.variable / f"{wanted.name}-{number:03d}.png" for number in range(len(pictures))]
    texts = [base / "captions" / f"{file.stem}.txt" for file in files] if lines else []
    taken = [file for file in (*files, *texts) if file.exists()]
    if taken and not wanted.overwrite:
        raise DataFolderError(
            f"name: {taken[0].relative_to(base)} and {len(taken) - 1} more are in {wanted.folder} already; give another name, "
            "or switch 'overwrite' on"
        )
    shown = pictures[..., :3].float().cpu()
    if wanted.variable != "image":
        kind = kinds.get(wanted.variable)
        if kind.has_classes:
            palette = own.library().palette(wanted.palette)
            shown = kind.to_picture(kind.to_values(shown, palette=palette), palette=palette)
    from ..objects import charts  # here: the list of folders is asked for when the host starts

    for file, one in zip(files, shown, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        charts.picture(one).save(file)
    for number, text in enumerate(texts):
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(lines[number if len(lines) > 1 else 0] + "\n", encoding="utf-8")
    return wanted.folder


def output() -> Path:
    """Where trainings write: a folder in the host's output folder."""
    return Path(folder_paths.get_output_directory()) / OUTPUT
