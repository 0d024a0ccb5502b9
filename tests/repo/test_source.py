"""What people forget in source files: encodings, paths of one machine, calls that a pack must not make."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.archive import archive_files, tracked_files

ROOT = Path(__file__).resolve().parents[2]
TEXT = {".py", ".js", ".mjs", ".json", ".toml", ".md", ".txt", ".ini", ".cfg", ".yml", ".yaml", ".sh", ""}
SOURCE = [name for name in tracked_files(ROOT) if Path(name).suffix in TEXT]
CODE = [name for name in SOURCE if name.endswith((".py", ".js", ".mjs"))]
PYTHON = [name for name in CODE if name.endswith(".py")]
SHIPPED = [name for name in archive_files(ROOT) if name.endswith(".py")]

# Written in two parts so that this file does not name what it forbids.
MACHINE_PATHS = re.compile(r"(?<![\w./$])/(?:work|home|root|Users|mnt|opt|srv)/\w|[A-Z]:\\\\Users")
REGISTRY_HOSTS = re.compile(
    "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.", "registry\\.npmjs", "deb\\.debian", "archive\\.ubuntu"])
)


def read(name: str) -> str:
    return (ROOT / name).read_bytes().decode("utf-8")


@pytest.mark.parametrize("name", SOURCE)
def test_source_is_ascii(name: str) -> None:
    lines = [number for number, line in enumerate(read(name).splitlines(), 1) if not line.isascii()]
    assert not lines, f"{name}: characters beyond ASCII in lines {lines[:5]}; editors on cp1252 would break them"


@pytest.mark.parametrize("name", SOURCE)
def test_no_machine_path_and_no_registry_host(name: str) -> None:
    text = read(name)
    assert not MACHINE_PATHS.search(text), f"{name}: names a path of one machine: {MACHINE_PATHS.search(text)}"
    assert not REGISTRY_HOSTS.search(text), f"{name}: names a registry host; pip and npm know theirs"


@pytest.mark.parametrize("name", CODE)
def test_files_hold_one_idea(name: str) -> None:
    assert read(name).count("\n") <= 400, f"{name} is over 400 lines: is it still one idea?"


def calls(tree: ast.AST) -> set[str]:
    """Dotted names that are called in a module, as written."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_code_keeps_the_hosts_and_the_registrys_rules(name: str) -> None:
    tree = ast.parse(read(name))
    called, imported = calls(tree), imports(tree)
    banned_calls = {"eval", "exec", "compile", "__import__", "os.system", "torch.cuda.empty_cache"}
    assert not called & banned_calls, f"{name} calls {called & banned_calls}"
    assert not {call for call in called if call.endswith(".cuda")}, f"{name}: let comfy.model_management place tensors"
    top = {module.split(".")[0] for module in imported}
    banned = {"subprocess", "pickle", "ctypes", "cv2", "mediapipe", "onnxruntime", "ultralytics", "requests", "urllib"}
    assert not top & banned, f"{name} imports {top & banned}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            weights_only = [key.value for key in node.keywords if key.arg == "weights_only"]
            assert weights_only and ast.unparse(weights_only[0]) == "True", f"{name}: torch.load without weights_only"


def test_the_root_module_exports_the_entry_point_only() -> None:
    tree = ast.parse(read("__init__.py"))
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    names |= {ast.unparse(target) for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    assert names == {"comfy_entrypoint", "WEB_DIRECTORY"}  # with NODE_CLASS_MAPPINGS the host ignores the entry point


def resolved(name: str, tree: ast.AST) -> set[str]:
    """Modules a file imports, relative ones resolved against the repository root."""
    found = imports(tree)
    package = list(Path(name).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = [*base, *(node.module.split(".") if node.module else [])]
            found |= {".".join([*module, alias.name]) for alias in node.names}
    return found


@pytest.mark.parametrize("name", [name for name in PYTHON if name.startswith(("comfyui_fgdm/", "nodes/"))])
def test_arrows_point_one_way(name: str) -> None:
    """nodes -> host -> engine; only host/ imports ComfyUI; nodes see it through comfy_api and comfy.samplers."""
    found = resolved(name, ast.parse(read(name)))
    comfy = {module for module in found if module.split(".")[0] in HOST_MODULES}
    if name.startswith("comfyui_fgdm/host/"):
        core_nodes = {module for module in comfy if module.split(".")[0] == "comfy_extras"}
        assert not core_nodes, f"{name}: core's node classes are no interface: {core_nodes}"
    elif name.startswith("nodes/"):
        allowed = ("comfy_api.latest", "comfy.samplers")
        assert all(module.startswith(allowed) for module in comfy), f"{name} imports {comfy}; go through host/"
    else:
        assert not comfy, f"{name} imports {comfy}; only comfyui_fgdm/host may"
    if not name.startswith(("comfyui_fgdm/training/", "comfyui_fgdm/iconworld/")):
        outward = {module for module in found if module.startswith("comfyui_fgdm.training")}
        assert not outward, f"{name} imports the training: {outward}"
    if name.startswith("comfyui_fgdm/"):
        assert not {module for module in found if module.split(".")[0] == "nodes"}, f"{name} imports nodes"


HOST_MODULES = {
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfy_extras",
    "folder_paths",
    "latent_preview",
    "node_helpers",
    "server",
    "execution",
}
