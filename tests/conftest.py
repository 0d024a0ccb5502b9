"""Fixtures for all tests.

comfy_host   ComfyUI with this pack inside the test process (tools/inprocess.py): nodes, execution, models.
             `comfy_host.run(prompt, wanted=["5"]).output("5")`, `comfy_host.call("FGDM_Objects", text=...)`,
             `comfy_host.engine("comfyui_fgdm.objects.recall")` for classes that must be the ones the host loaded.
live_server  a real server subprocess that keeps what it has computed, shared by the session (server and browser tests).
api_workflow loads a shipped API workflow by file name: `api_workflow("fgdm_best_of_10")`.
pack_root    the root of the repository.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PACK_ROOT = Path(__file__).resolve().parent.parent
# Last on the path: the pack's folders `nodes` and `tests` must never hide a module of the host.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != PACK_ROOT]
sys.path.append(str(PACK_ROOT))

from tools import newer_frontend  # noqa: E402
from tools.client import Prompt  # noqa: E402
from tools.inprocess import InProcessHost, boot  # noqa: E402
from tools.server import CACHE, Server, make_base  # noqa: E402
from tools.toy_folder import write_pictures  # noqa: E402


@pytest.fixture(scope="session")
def pack_root() -> Path:
    return PACK_ROOT


@pytest.fixture(scope="session")
def comfy_host(tmp_path_factory: pytest.TempPathFactory) -> InProcessHost:
    return boot(tmp_path_factory.mktemp("comfy_host"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--newer-frontend", action="store_true", help="the shared server has the front end of tools/newer_frontend.py"
    )


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    base, options = tmp_path_factory.mktemp("live_server"), ["--cache-classic"]
    if request.config.getoption("--newer-frontend"):
        number = newer_frontend.version(PACK_ROOT / "tools" / "requirements")
        make_base(base, settings={"Comfy.InstalledVersion": number})
        options += ["--front-end-root", str(newer_frontend.folder(CACHE, number))]
    write_pictures(base / "input" / "my_pictures")  # a user's own, for the workflow that makes maps of them
    with Server(base, options=options) as server:
        yield server


@pytest.fixture(scope="session")
def api_workflow() -> Callable[[str], Prompt]:
    loaded: dict[str, Any] = {}

    def load(name: str) -> Prompt:
        if name not in loaded:
            file = PACK_ROOT / "workflows" / "api" / f"{name}.json"
            loaded[name] = json.loads(file.read_text(encoding="utf-8"))
        return copy.deepcopy(loaded[name])

    return load


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share a server stay in one process, and so do those that share the host: each starts once. Of others, a file does."""
    from xdist.scheduler import LoadFileScheduling

    @functools.cache
    def shared(file: str) -> str:
        if file.startswith(("server/", "browser/")):
            return "served"
        return "host" if "comfy_host" in (PACK_ROOT / "tests" / file).read_text(encoding="utf-8") else file

    class Shared(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared(nodeid.partition("::")[0])

    return Shared(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Seconds a file of tests took, set-up of shared fixtures included, the slowest first."""
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                file = report.nodeid.partition("::")[0]
                seconds[file] = seconds.get(file, 0.0) + report.duration
    slowest = sorted(seconds.items(), key=lambda pair: -pair[1])[:25]
    if sum(seconds.values()) > 30:
        terminalreporter.section(f"seconds a file, of {sum(seconds.values()):.0f} in all")
        for file, spent in slowest:
            terminalreporter.write_line(f"{spent:7.1f}  {file}")
