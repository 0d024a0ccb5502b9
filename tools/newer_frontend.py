"""A front end newer than the host's own, kept beside it: for `make test-frontend`, which runs the browser's tests with it.

Standard library only: the set-up runs it before any package is installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

PACKAGE = "comfyui-frontend-package"


def version(requirements: Path) -> str:
    """The one that tools/requirements/frontend.txt names."""
    lines = (requirements / "frontend.txt").read_text(encoding="utf-8").splitlines()
    return next(line.partition("==")[2].strip() for line in lines if line.startswith(f"{PACKAGE}=="))


def folder(cache: Path, number: str) -> Path:
    """What to give to ComfyUI as --front-end-root."""
    return cache / "frontend" / number / "comfyui_frontend_package" / "static"


def ensure(cache: Path, requirements: Path, python: str, run: Callable[[list[str], str], None], say: Callable[[str], None]) -> Path:  # fmt: skip
    """The folder of the newer front end, after fetching it where that is needed. `run(command, what)` runs a command."""
    number = version(requirements)
    place = folder(cache, number)
    if not (place / "index.html").is_file():
        say(f"fetching front end {number}")
        whole = cache / "frontend" / number
        shutil.rmtree(whole, ignore_errors=True)  # what an interrupted set-up left
        command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"]
        command += ["--target", str(whole), "-r", str(requirements / "frontend.txt")]
        run(command, f"pip install {PACKAGE}")
    return place
