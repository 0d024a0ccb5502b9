"""The formats of training data, by the names that a recipe gives them; which one a folder has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import ade20k, celebamask, cityscapes, coco, folder, listing, webdataset, wholebody
from .contents import Contents
from .sources import FolderError

AUTO = "auto"


@dataclass(frozen=True)
class Format:
    """One format. about: for people. variables: that it has; empty: any. recognised: whether a folder looks like it.
    look: (folder, variables, split) -> contents."""

    about: str
    variables: tuple[str, ...]
    recognised: Callable[[Path], bool]
    look: Callable[[Path, Sequence[str], str], Contents]


_PAIR = ("segmentation", "image")
FORMATS = {
    "folder": Format("the plain folder format (VARIABLE/NAME.png, captions/NAME.txt)", (), folder.recognised, folder.look),
    "webdataset": Format("WebDataset shards (*.tar)", (), webdataset.recognised, webdataset.look),
    "cityscapes": Format("Cityscapes (leftImg8bit, gtFine)", _PAIR, cityscapes.recognised, cityscapes.look),
    "ade20k": Format("ADE20K (ADEChallengeData2016)", _PAIR, ade20k.recognised, ade20k.look),
    "celebamask": Format("CelebAMask-HQ (CelebA-HQ-img, CelebAMask-HQ-mask-anno)", _PAIR, celebamask.recognised, celebamask.look),
    "wholebody": Format("COCO-WholeBody (coco_wholebody_train_v1.0.json)", ("pose", *_PAIR), wholebody.recognised, wholebody.look),
    "coco": Format("COCO 2017 (train2017, stuffthingmaps or panoptic maps)", _PAIR, coco.recognised, coco.look),
}  # fmt: skip
"""In the order in which a folder is tried."""


def recognise(place: Path, variables: Sequence[str] = ()) -> str | None:
    """The format that a folder has, by what lies in it; None for one that looks like none.

    variables: that are wanted. Where COCO and COCO-WholeBody lie together, it is the second if "pose" is among them.
    """
    if not place.exists():
        return None
    fits = [name for name, one in FORMATS.items() if one.recognised(place)]
    able = [name for name in fits if not FORMATS[name].variables or set(variables) <= set(FORMATS[name].variables)]
    if not variables or "pose" in variables:
        return (able or fits or [None])[0]
    return ([name for name in able if name != "wholebody"] or able or fits or [None])[0]


def look(place: Path, variables: Sequence[str], format: str = AUTO, split: str = "train") -> Contents:
    """What a folder holds for these variables, as a format has it. FolderError if it does not look like that, or lacks something."""
    if not (place.is_dir() or (place.is_file() and webdataset.recognised(place))):
        raise FolderError(f"data.folder: {place} is no folder, and no tar file")
    if format == AUTO:
        format = recognise(place, variables) or ""
        if not format:
            there = ", ".join(sorted(listing.names(place))[:8]) or "nothing"
            known = "; ".join(one.about for one in FORMATS.values())
            raise FolderError(
                f"data.folder: {place} holds nothing that is known: it has {there}. Known are: {known}. Put maps there as "
                f"{variables[0] if variables else 'segmentation'}/NAME.png"
            )
    if format not in FORMATS:
        raise FolderError(f"data.format: there is no format {format!r}; there are {', '.join((AUTO, *FORMATS))}")
    offered = FORMATS[format].variables
    lacking = [variable for variable in variables if offered and variable not in offered]
    if lacking:
        raise FolderError(
            f"data.format: {FORMATS[format].about} has no {lacking[0]} maps, only {', '.join(offered)}. Other maps are made of the "
            "photos (template 8 of the workflows does it) and read in the plain folder format"
        )
    return FORMATS[format].look(place, variables, split)


def palette_name(contents: Contents, wanted: str = AUTO) -> str:
    """Name of the palette of label maps: what the recipe says, "auto" for that of the format. FolderError if they differ."""
    own = contents.palette
    if own is not None and wanted not in (AUTO, own):
        raise FolderError(
            f'data.palette: the label maps of {contents.format} are those of {own!r}; write palette = "{own}"'
        )
    return own or ("coco183" if wanted == AUTO else wanted)
