"""What people forget in source files: encodings, paths of one machine, calls that a pack must not make."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tools.archive import archive_files, tracked_files

ROOT = Path(__file__).resolve().parents[2]
TEXT = {".py", ".js", ".mjs", ".json", ".toml", ".md", ".txt", ".ini", ".cfg", ".yml", ".yaml", ".sh", ""}
SOURCE = [name for name in tracked_files(ROOT) if Path(name).suffix in TEXT]
CODE = [name for name in SOURCE if name.endswith((".py", ".js", ".mjs"))]
PYTHON = [name for name in CODE if name.endswith(".py")]
SHIPPED = [name for name in archive_files(ROOT) if name.endswith(".py")]

# Written in two parts so that this file does not name what it forbids.
MACHINE_PATHS = re.compile(r"(?<![\w./$])/(?:work|home|root|Users|mnt|opt|srv)/\w|[A-Z]:\\\\Users")
TRANSLATED = re.compile(r"^locales/(?!en/)|^web/docs/\w+/")
REGISTRY_HOSTS = re.compile(
    "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.", "registry\\.npmjs", "deb\\.debian", "archive\\.ubuntu"])
)


def read(name: str) -> str:
    return (ROOT / name).read_bytes().decode("utf-8")


def test_source_is_ascii() -> None:
    """Editors on cp1252 would break other characters. Translations are the texts of another alphabet."""
    found = {
        name: [number for number, line in enumerate(read(name).splitlines(), 1) if not line.isascii()][:5]
        for name in SOURCE
        if not TRANSLATED.search(name)
    }
    assert not {name: lines for name, lines in found.items() if lines}, "characters beyond ASCII in these lines"


def test_no_machine_path_and_no_registry_host() -> None:
    for rule, why in (
        (MACHINE_PATHS, "a path of one machine"),
        (REGISTRY_HOSTS, "a registry host; pip and npm know theirs"),
    ):
        found = {name: match.group() for name in SOURCE if (match := rule.search(read(name)))}
        assert not found, why


def test_files_hold_one_idea() -> None:
    long = {name: lines for name in CODE if (lines := read(name).count("\n")) > 400}
    assert not long, "over 400 lines: is each still one idea?"


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


def broken_rules(name: str) -> list[str]:
    """What a shipped file does that a pack must not do."""
    tree = ast.parse(read(name))
    called, imported = calls(tree), imports(tree)
    banned_calls = {"eval", "exec", "compile", "__import__", "os.system", "torch.cuda.empty_cache"}
    found = [f"calls {call}" for call in called & banned_calls]
    found += [f"calls {call}: let comfy.model_management place tensors" for call in called if call.endswith(".cuda")]
    banned = {"subprocess", "pickle", "ctypes", "cv2", "mediapipe", "onnxruntime", "ultralytics", "requests", "urllib"}
    found += [f"imports {module}" for module in {module.split(".")[0] for module in imported} & banned]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            weights_only = [key.value for key in node.keywords if key.arg == "weights_only"]
            if not weights_only or ast.unparse(weights_only[0]) != "True":
                found.append("torch.load without weights_only")
    return found


def test_shipped_code_keeps_the_hosts_and_the_registrys_rules() -> None:
    assert not {name: broken for name in SHIPPED if (broken := broken_rules(name))}


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


# The only places that know the training: nothing of it is imported when the host starts.
TRAINERS = tuple(f"comfyui_fgdm/{place}" for place in ("training/", "iconworld/", "host/training/", "__main__.py"))


def wrong_arrows(name: str) -> set[str]:
    """Modules that a file of the pack must not import: nodes -> host -> engine, and only host/ imports ComfyUI."""
    found = resolved(name, ast.parse(read(name)))
    comfy = {module for module in found if module.split(".")[0] in HOST_MODULES}
    if name.startswith("comfyui_fgdm/host/"):
        wrong = {module for module in comfy if module.split(".")[0] == "comfy_extras"}  # node classes are no interface
    elif name.startswith("nodes/"):
        wrong = {module for module in comfy if not module.startswith(("comfy_api.latest", "comfy.samplers"))}
    else:
        wrong = comfy
    if not name.startswith(TRAINERS):
        wrong |= {module for module in found if module.startswith("comfyui_fgdm.training")}
    if name.startswith("comfyui_fgdm/"):
        wrong |= {module for module in found if module.split(".")[0] == "nodes"}
    return wrong


def test_arrows_point_one_way() -> None:
    files = [name for name in PYTHON if name.startswith(("comfyui_fgdm/", "nodes/"))]
    assert len(files) > 50
    assert not {name: wrong for name in files if (wrong := wrong_arrows(name))}


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
