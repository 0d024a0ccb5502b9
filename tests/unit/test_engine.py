"""The engine as a whole: what importing it costs and pulls in."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (PACK / "comfyui_fgdm").glob("*.py") if path.stem != "__init__")
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
    importlib.import_module("comfyui_fgdm." + name)
print(json.dumps(sorted(m.partition(".")[0] for m in sys.modules)))
"""
    assert not HOST & set(run(code))


@pytest.mark.parametrize("name", MODULES)
def test_no_module_of_the_engine_names_the_host(name: str) -> None:
    tree = ast.parse((PACK / "comfyui_fgdm" / f"{name}.py").read_text(encoding="utf-8"))
    imported = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= 1 and (node.module or "").partition(".")[0] not in {"host", "training", "iconworld"}
            imported.add((node.module or "").partition(".")[0])
    assert not imported & HOST
