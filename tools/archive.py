"""Which files the registry archive holds: what git tracks, less what .comfyignore names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def tracked_files(root: Path) -> list[str]:
    """Repository files as git lists them, with / as separator, without those deleted in the working tree."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True).stdout.decode()
    return [name for name in listing.split("\0") if name and (root / name).is_file()]


def ignored(name: str, patterns: list[str]) -> bool:
    """Whether a pattern of .comfyignore (/file, or /folder/) names this file. Others than these two are not used."""
    return any(
        f"/{name}" == pattern or (pattern.endswith("/") and f"/{name}".startswith(pattern)) for pattern in patterns
    )


def archive_files(root: Path) -> list[str]:
    lines = (root / ".comfyignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not all(pattern.startswith("/") and not set(pattern) & set("*?[!") for pattern in patterns):
        raise ValueError(".comfyignore: write paths from the root, /file or /folder/")
    return [name for name in tracked_files(root) if not ignored(name, patterns)]


def write_archive_tree(root: Path, target: Path) -> None:
    """Copy what the archive would hold to a folder, as an installer would unpack it."""
    for name in archive_files(root):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, file)
