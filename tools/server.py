"""Start and stop a real ComfyUI server with this pack, on 127.0.0.1, in a base folder of its own.

with Server(base=tmp_path) as server:
    run = server.client.run(prompt)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tools import host_source
from tools.client import Client

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
PACK_FOLDER = "fgdm"
START_TIMEOUT = 180.0
STOP_TIMEOUT = 20.0

# Without these the front end covers its canvas with a tour or a release note.
BROWSER_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "1.47.12",
    "Comfy.Minimap.Visible": False,
}


class ServerError(RuntimeError):
    """The server did not start or did not stay up; the text ends with its last log lines."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def make_base(base: Path, pack: Path = ROOT, settings: dict[str, object] | None = None) -> Path:
    """Lay out a ComfyUI base folder with the pack linked into custom_nodes. Existing content stays."""
    for name in ("custom_nodes", "input", "output", "temp", "models", "user/default"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link = base / "custom_nodes" / PACK_FOLDER
    if not link.exists():
        link.symlink_to(pack, target_is_directory=True)
    stored = base / "user" / "default" / "comfy.settings.json"
    if settings or not stored.exists():
        stored.write_text(json.dumps(BROWSER_SETTINGS | (settings or {})), encoding="utf-8")
    return base


class Server:
    """A ComfyUI subprocess. `start` returns when it answers; `stop` ends it and returns its exit code."""

    def __init__(self, base: Path, port: int | None = None, options: Sequence[str] = (), cpu: bool = True) -> None:
        self.base = base
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = Client(self.url)
        self.log_path = base / "server.log"
        self._options = [*(["--cpu"] if cpu else []), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def launch(self) -> Server:
        """Start the process without waiting for it."""
        if not port_is_free(self.port):
            raise ServerError(f"port {self.port} on 127.0.0.1 is in use; name another one or none at all")
        host = host_source.locate(CACHE)
        make_base(self.base)
        command = [sys.executable, str(ROOT / "tools" / "launch_host.py"), str(host.path)]
        command += ["--listen", "127.0.0.1", "--port", str(self.port), "--base-directory", str(self.base)]
        command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes", "--disable-auto-launch"]
        # No model of this pack comes from a hub: let a library that would ask one fail at once instead.
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        environment["FGDM_SERVER_OF"] = str(os.getpid())
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.base,
                start_new_session=True,
            )
        return self

    def wait_ready(self, timeout: float = START_TIMEOUT) -> Server:
        assert self._process is not None, "not launched"
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(
                    f"the server ended with code {self._process.returncode} at its start\n{self.log_tail()}"
                )
            if self.client.is_up():
                return self
            time.sleep(0.1)
        self.stop()
        raise ServerError(f"the server did not answer within {timeout:.0f} s\n{self.log_tail()}")

    def start(self) -> Server:
        return self.launch().wait_ready()

    def stop(self) -> int | None:
        """End the server: interrupt, then kill. Returns its exit code (0 for a clean end), None if never started."""
        process = self._process
        if process is None:
            return None
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
                try:
                    process.wait(STOP_TIMEOUT)
                except subprocess.TimeoutExpired:
                    continue
        self._process = None
        return process.returncode

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 25) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def peak_memory(self) -> int:
        """Highest resident memory of the server so far, in bytes (Linux only, else 0)."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return 0
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
