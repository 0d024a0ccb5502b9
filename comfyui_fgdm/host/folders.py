"""Where model files live: registration with the host, look-up by name, checksums of the embedded ones."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import folder_paths

from ..factors.checkpoints import READABLE
from ..factors.files import FactorFileError

log = logging.getLogger(__name__)

FACTORS = "fgdm_factors"
PALETTES = "fgdm_palettes"
EMBEDDED = Path(__file__).resolve().parents[1] / "data" / "weights"
EMBEDDED_MODELS = "checkpoints"
EMBEDDED_IMAGE_FACTORS = "controlnet"
CHECKSUMS = "SHA256SUMS"
SOURCE = "https://github.com/DeepakSridhar/fgdm"


def register() -> None:
    """Add the folders of factors and palettes to the host's model folders. Idempotent.

    The host's own kinds are left as they are: the embedded checkpoint and ControlNets have loaders of their own, and stand
    in no list that belongs to the user.

    The user's own folders come first: what an extra_model_paths.yaml put under the key,
    then ``models/fgdm_factors``, then the files of this pack.
    """
    for kind, known in ((FACTORS, set(READABLE)), (PALETTES, {".json"})):
        folder_paths.add_model_folder_path(kind, str(Path(folder_paths.models_dir) / kind))
        # A key the host does not know starts with no extensions, which would list every file.
        extensions = folder_paths.folder_names_and_paths[kind][1]
        if not extensions:
            extensions.update(known)
    folder_paths.add_model_folder_path(FACTORS, str(EMBEDDED / FACTORS))


def embedded_names(kind: str) -> list[str]:
    """Names of the embedded weights of a kind, EMBEDDED_MODELS or EMBEDDED_IMAGE_FACTORS; the one to begin with first."""
    return sorted((file.name for file in (EMBEDDED / kind).glob("*.safetensors")), key=lambda name: (len(name), name))


def not_embedded_message(kind: str, what: str, name: object) -> str:
    """What to tell a user whose workflow asks for weights that do not come with this pack; what: the input's name."""
    core = "Load Checkpoint" if kind == EMBEDDED_MODELS else "Load ControlNet Model"
    known = ", ".join(embedded_names(kind)) or "none: install the pack again"
    return f"{what}: {name!r} does not come with this pack. There is {known}. Files of your own are loaded by {core}."


def own_factors() -> Path:
    """The folder in which a user's own factors lie."""
    return Path(folder_paths.models_dir) / FACTORS


def palette_files() -> list[Path]:
    """The JSON files of the palette folders, in the order of their names."""
    paths = (folder_paths.get_full_path(PALETTES, name) for name in folder_paths.get_filename_list(PALETTES))
    return [Path(path) for path in paths if path is not None]


def factor_names() -> list[str]:
    """Names of the factor files that the host can see and this pack can read; none where the host cannot list them.

    Never raises: node definitions call it, and one that raises takes the nodes after it away.
    """
    try:
        names = folder_paths.get_filename_list(FACTORS)
    except Exception as error:  # a folder that is removed while it is listed, or a broken configuration
        log.warning("FGDM: the folders of factor files cannot be listed: %s", error)
        return []
    return [name for name in names if Path(name).suffix.lower() in READABLE]


def missing_factor_message(name: object) -> str:
    """What to tell a user whose workflow names a factor file that is not there."""
    own = [path for path in folder_paths.get_folder_paths(FACTORS) if Path(path) != EMBEDDED / FACTORS]
    what = f"there is no factor file {name!r}" if name else "say which factor file to load"
    return (
        f"factor_name: {what}. Found: {', '.join(factor_names()) or 'none'}. Files of your own go into "
        f"{' or '.join(own)}; then refresh. The authors' segmentation factor for Stable Diffusion 1.5 comes inside a "
        f"checkpoint that the README of {SOURCE} links to; take it out in the folder of this pack with "
        "'python -m comfyui_fgdm convert fgdm_seg.pth fgdm-segmentation.safetensors --half'."
    )


def factor_path(name: object) -> Path:
    """Path of a factor file by name. Raises FactorFileError if it is not there, or of a kind that is not read."""
    if not isinstance(name, str):
        raise FactorFileError(f"factor_name: expected the name of a factor file, got {name!r:.60}.")
    if name and Path(name).suffix.lower() not in READABLE:
        raise FactorFileError(f"factor_name: {name!r} is none of the kinds that are read: {', '.join(READABLE)}.")
    path = folder_paths.get_full_path(FACTORS, name)
    if path is None:
        raise FactorFileError(missing_factor_message(name))
    return Path(path)


def fingerprint(paths: Iterable[Path]) -> str:
    """A text that changes when one of these files is changed or removed. A file that is gone by now counts as such."""
    return ";".join(map(_stamp, paths))


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path}:gone"
    return f"{path}:{stat.st_mtime_ns}:{stat.st_size}"


def verify_embedded(path: Path) -> None:
    """If ``path`` is an embedded file, compare all embedded weights with their recorded SHA-256.

    All of them, since a factor is of no use beside a damaged base. Raises FactorFileError
    that names the file; a file of the user's own is left alone.
    """
    if not path.resolve().is_relative_to(EMBEDDED.resolve()):
        return
    sums = EMBEDDED / CHECKSUMS
    if not sums.is_file():
        raise FactorFileError(
            f"{sums} is missing, so the weights of this pack cannot be checked. Install the pack again."
        )
    for line in sums.read_text(encoding="ascii").splitlines():
        expected, _, relative = line.partition("  ")
        file = EMBEDDED / relative.strip()
        if not file.is_file():
            raise FactorFileError(f"{file} is missing from this pack. Install the pack again.")
        found = sha256(file)
        if found != expected:
            raise FactorFileError(
                f"{file} is damaged: its SHA-256 is {found[:16]}..., but {expected[:16]}... was recorded "
                f"({file.stat().st_size} bytes on disk). Install the pack again; with git, see that large files "
                "were fetched and line endings were not converted."
            )


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def stem_of(name: str, error: type[ValueError]) -> str:
    """What a file is to be called, without its suffix; ``error`` for a text that is no plain file name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise error(f"filename: {name!r} is no file name; use letters, digits, '.', '_' and '-'.")
    return name.removesuffix(".safetensors")


def free_path(folder: Path, stem: str, same: Callable[[Path], bool] = lambda there: False) -> Path:
    """Where a new safetensors file goes: under that name, or the first number of it that is free, or holds the ``same``. The
    folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    number, path = 1, folder / f"{stem}.safetensors"
    while path.exists() and not same(path):
        number += 1
        path = folder / f"{stem}-{number}.safetensors"
    return path


def input_file(name: str, suffixes: Collection[str]) -> Path | None:
    """Where a file of the host's input folder would lie; None for a name that leads out of it or has none of the suffixes."""
    base = Path(folder_paths.get_input_directory()).resolve()
    try:
        file = (base / name).resolve()
        file.exists()  # a name that the system refuses, such as one too long, is said here
    except (OSError, ValueError):
        return None
    inside = file.is_relative_to(base) and not Path(name).is_absolute() and "\0" not in name
    return file if inside and file.suffix.lower() in suffixes else None
