"""Run ComfyUI's main.py with this interpreter: `python tools/launch_host.py PATH_TO_COMFYUI [main.py options]`."""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent)
import mend  # noqa: E402  (a sibling file: this script runs outside any package)

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Let the kernel end this process when the one that started it is gone, however that one ended (Linux).

    Not by an interrupt: raised in the middle of an import, a KeyboardInterrupt may be caught there.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(os.environ["FGDM_SERVER_OF"]):  # it was gone before
            raise SystemExit("the process that started this server has ended")


def main() -> None:
    # A process that a shell started in the background ignores interrupts, and hands that on; ComfyUI ends by one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "FGDM_SERVER_OF" in os.environ:
        end_with_parent()
    if len(sys.argv) < 2:
        raise SystemExit("usage: launch_host.py PATH_TO_COMFYUI [options of ComfyUI's main.py]")
    comfyui = Path(sys.argv[1]).resolve()
    mend.install()
    sys.path[0] = str(comfyui)
    sys.argv = [str(comfyui / "main.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
