"""Find a Chromium for the browser tests, or install Debian's where this user may.

Standard library only: the set-up runs it before any package is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find() -> str | None:
    """The path of a Chromium that starts (CHROMIUM, else the usual names), or None."""
    given = os.environ.get("CHROMIUM")
    for name in (given,) if given else NAMES:
        path = shutil.which(name)
        if path and _starts(path):
            return path
    return None


def why_missing() -> str:
    """One line for a skipped test or a set-up report: why there is no Chromium and how to get one."""
    given = os.environ.get("CHROMIUM")
    if given:
        return f"CHROMIUM={given} does not start"
    how = "set CHROMIUM to its path, or install it (on Debian: apt-get install chromium)"
    return f"no {', '.join(NAMES[:-1])} or {NAMES[-1]} on the PATH that starts; {how}"


def try_install(run: Callable[[list[str], str], None], say: Callable[[str], None]) -> str | None:
    """Install chromium through apt if possible; says why not otherwise. Never fails: browser tests are optional."""
    reason = None
    if os.environ.get("CHROMIUM"):
        reason = "a path is given, so none is installed"
    elif not sys.platform.startswith("linux") or not shutil.which("apt-get"):
        reason = "there is no apt-get to install one with"
    elif os.geteuid() != 0 and not _sudo_without_password():
        reason = "this user may not install packages"
    if reason:
        say(f"{why_missing()}; {reason}")
        return None
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    say("installing Chromium through apt-get")
    try:
        run([*sudo, "apt-get", "update", "-q"], "apt-get update")
        install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q"]
        run([*sudo, *install, "--no-install-recommends", "chromium"], "apt-get install chromium")
    except RuntimeError as error:
        say(f"Chromium could not be installed: {error}")
    return find()


def _starts(path: str) -> bool:
    # Ubuntu's chromium-browser is a stub that only asks for snap: ask for the version to find out.
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _sudo_without_password() -> bool:
    if not shutil.which("sudo"):
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
