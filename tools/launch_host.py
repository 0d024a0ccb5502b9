"""Run ComfyUI's main.py with this interpreter: `python tools/launch_host.py PATH_TO_COMFYUI [main.py options]`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent)
import mend  # noqa: E402  (a sibling file: this script runs outside any package)


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit("usage: launch_host.py PATH_TO_COMFYUI [options of ComfyUI's main.py]")
    comfyui = Path(sys.argv[1]).resolve()
    mend.install()
    sys.path[0] = str(comfyui)
    sys.argv = [str(comfyui / "main.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
