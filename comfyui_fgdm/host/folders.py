"""Where model files live: registration with the host, look-up by name, checksums of the embedded ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths

from ..factors.files import FactorFileError

FACTORS = "fgdm_factors"
PALETTES = "fgdm_palettes"
EMBEDDED = Path(__file__).resolve().parents[1] / "data" / "weights"
EMBEDDED_MODELS = "checkpoints"
EMBEDDED_IMAGE_FACTORS = "controlnet"
CHECKSUMS = "SHA256SUMS"


def register() -> None:
    """Add the folders of factors and palettes to the host's model folders. Idempotent.

    The host's own kinds are left as they are: the embedded checkpoint and ControlNets have loaders of their own, and stand
    in no list that belongs to the user.

    The user's own folders come first: what an extra_model_paths.yaml put under the key,
    then ``models/fgdm_factors``, then the files of this pack.
    """
    for kind, known in ((FACTORS, folder_paths.supported_pt_extensions), (PALETTES, {".json"})):
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


def palette_files() -> list[Path]:
    """The JSON files of the palette folders, in the order of their names."""
    paths = (folder_paths.get_full_path(PALETTES, name) for name in folder_paths.get_filename_list(PALETTES))
    return [Path(path) for path in paths if path is not None]


def factor_names() -> list[str]:
    """Names of the factor files the host can see."""
    return folder_paths.get_filename_list(FACTORS)


def missing_factor_message(name: str) -> str:
    """What to tell a user whose workflow names a factor file that is not there."""
    folders = ", ".join(folder_paths.get_folder_paths(FACTORS))
    known = ", ".join(factor_names()) or "none"
    return (
        f"factor_name: there is no factor file {name!r}. Put it into one of these folders and refresh: "
        f"{folders}. Factor files found there now: {known}."
    )


def factor_path(name: str) -> Path:
    """Path of a factor file by name. Raises FactorFileError if it is not there."""
    path = folder_paths.get_full_path(FACTORS, name)
    if path is None:
        raise FactorFileError(missing_factor_message(name))
    return Path(path)


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
