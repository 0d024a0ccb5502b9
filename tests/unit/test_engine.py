"""The engine as a whole: what importing it costs and pulls in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2]
ROOMS = ("maps", "objects", "factors", "sampling", "training")
MODULES = sorted(
    ".".join(path.relative_to(PACK).with_suffix("").parts)
    for room in ROOMS
    for path in (PACK / "comfyui_fgdm" / room).rglob("*.py")
    if path.stem != "__init__"
)
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "nodes", "server", "execution"}


def run(code: str) -> dict:
    done = subprocess.run([sys.executable, "-c", code], cwd=PACK, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_the_package_imports_nothing_else() -> None:
    code = """
import json, sys, time
before, start = set(sys.modules), time.perf_counter()
import comfyui_fgdm
seconds = time.perf_counter() - start
print(json.dumps({"new": sorted(set(sys.modules) - before), "seconds": seconds}))
"""
    result = run(code)
    assert [name for name in result["new"] if not name.startswith("__")] == ["comfyui_fgdm"]
    assert result["seconds"] < 0.05


def test_modules_import_without_comfyui_and_without_network() -> None:
    code = f"""
import json, socket, sys
def refuse(*args, **kw):
    raise AssertionError("network used at import")
socket.socket.connect = refuse
import importlib
for name in {MODULES!r}:
    importlib.import_module(name)
print(json.dumps(sorted(m.partition(".")[0] for m in sys.modules)))
"""
    assert not HOST & set(run(code))
