"""Image factors by name: the embedded ones, and the files of the host's folder of ControlNets."""

from __future__ import annotations

import logging
from pathlib import Path

import folder_paths

from ..factors.files import FactorFileError
from . import folders

log = logging.getLogger(__name__)

KIND = "controlnet"


def names() -> list[str]:
    """The embedded ones, then those that the host lists; never raises, since node definitions call it."""
    try:
        listed = folder_paths.get_filename_list(KIND)
    except Exception as error:  # a folder that is removed while it is listed, or a broken configuration
        log.warning("FGDM: the folders of ControlNets cannot be listed: %s", error)
        listed = []
    return [*folders.embedded_names(folders.EMBEDDED_IMAGE_FACTORS), *listed]


def path_of(name: str) -> Path:
    """The file of that name. FactorFileError if there is none, or if a file of the pack is damaged."""
    if name in folders.embedded_names(folders.EMBEDDED_IMAGE_FACTORS):
        path = folders.EMBEDDED / folders.EMBEDDED_IMAGE_FACTORS / name
        folders.verify_embedded(path)
        return path
    found = folder_paths.get_full_path(KIND, name)
    if found is None:
        raise FactorFileError(f"image factor: there is no {name!r} in models/controlnet; there is {', '.join(names())}")
    return Path(found)


def own() -> Path:
    """The folder in which trained image factors are put."""
    return Path(folder_paths.models_dir) / KIND


def check_name(name: str) -> None:
    """FactorFileError for a name under which no file is written."""
    folders.stem_of(name, FactorFileError)
