"""What the registry archive holds, that it works without the rest, and that pyproject.toml says so."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tools.archive import archive_files, tracked_files, write_archive_tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
FILES = archive_files(ROOT)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_archive_holds_what_users_need() -> None:
    needed = ["__init__.py", "pyproject.toml", "LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "requirements.txt"]
    assert not set(needed) - set(FILES)
    for folder in (
        "comfyui_fgdm/",
        "comfyui_fgdm/data/weights/",
        "nodes/",
        "web/docs/",
        "workflows/",
        "subgraphs/",
        "locales/en/",
        "locales/zh/",
    ):
        assert any(name.startswith(folder) for name in FILES), folder


def test_archive_holds_nothing_else() -> None:
    known = ("comfyui_fgdm/", "nodes/", "web/", "workflows/", "locales/", "subgraphs/")
    stray = [name for name in FILES if "/" in name and not name.startswith(known)]
    assert not stray
    suffixes = {Path(name).suffix for name in FILES}
    assert suffixes <= {".py", ".json", ".md", ".txt", ".toml", ".safetensors", ".jpg", ".png", ".js", ".mjs", ""}


def test_repository_and_archive_stay_small() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in tracked_files(ROOT)}
    assert sum(sizes[name] for name in FILES) <= 45 * 2**20
    weights = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    assert weights <= 40 * 2**20
    big = [name for name, size in sizes.items() if size > 2**20 and not name.endswith(".safetensors")]
    assert not big, "only weights may be larger than 1 MiB"


def test_weights_match_their_checksums() -> None:
    folder = ROOT / "comfyui_fgdm" / "data" / "weights"
    listed = dict(reversed(line.split(maxsplit=1)) for line in (folder / "SHA256SUMS").read_text("ascii").splitlines())
    listed = {name.lstrip("*"): digest for name, digest in listed.items()}
    present = {str(file.relative_to(folder)).replace("\\", "/"): file for file in folder.rglob("*.safetensors")}
    assert sorted(listed) == sorted(present)
    for name, file in present.items():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == listed[name], name


def test_project_metadata() -> None:
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,98}", project["name"]) and "comfyui" not in project["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert (ROOT / project["license"]["file"]).read_text("ascii").lstrip().startswith("Apache License")
    assert project["urls"]["Repository"]
    assert comfy["PublisherId"] and comfy["DisplayName"] and comfy["requires-comfyui"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert {"train", "eval", "dev"} <= set(project["optional-dependencies"])


def test_nothing_is_installed_beside_comfyui() -> None:
    assert (ROOT / "requirements.txt").read_text("ascii").strip() == ""
    assert [
        line for line in PROJECT["project"]["dependencies"] if not line.startswith("comfyui-frontend-package")
    ] == []


def test_icon_is_square_and_small() -> None:
    with Image.open(ROOT / "assets" / "icon.png") as icon:
        assert icon.width == icon.height <= 400


def test_the_archive_alone_loads_in_a_host(tmp_path: Path) -> None:
    """Installed under another folder name, without tools and tests, in a process of its own."""
    write_archive_tree(ROOT, tmp_path / "custom_nodes" / "fgdm")
    code = (
        "import sys; sys.path.append(sys.argv[1]); from pathlib import Path; from tools.inprocess import boot\n"
        "host = boot(Path(sys.argv[2]))\n"
        "assert not (Path(sys.argv[2]) / 'custom_nodes' / 'fgdm').is_symlink()\n"
        "query = host.call('FGDM_Objects', text='a dog and a tree', mode='auto')\n"
        "print('names:', query[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "names: dog, tree" in done.stdout
