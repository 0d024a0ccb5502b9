"""What README.md promises is there: files, make targets, node names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tools.workflow import OTHER_WEIGHTS, model_files

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("ascii")
MADE = {".venv", ".cache", ".cache/frontend", "demo_output/", "scores.json", "ComfyUI/custom_nodes/"}
FOLDERS = {f"ComfyUI/models/{kind}/" for kind in ("checkpoints", "controlnet", "fgdm_factors", "fgdm_palettes")}
NOT_OURS = {"Comfy-Org/stable-diffusion-v1-5-archive", "control_v11p_sd15_seg.pth"}


def test_named_files_exist() -> None:
    named = {word for word in re.findall(r"`([\w./-]+)`", README) if "/" in word or "." in word}
    named -= MADE | FOLDERS | NOT_OURS | set(files_of_users())
    embedded = {file.name for file in ROOT.glob("comfyui_fgdm/data/weights/**/*.safetensors")}
    missing = [word for word in named if word not in embedded and not (ROOT / word).exists()]
    assert named
    assert not missing


def files_of_users() -> dict[str, str]:
    """The model files that shipped workflows name and the pack does not hold, each with its kind of folder."""
    found: dict[str, str] = {}
    for file in (ROOT / "workflows" / "api").glob(f"{OTHER_WEIGHTS}*.json"):
        found |= model_files(json.loads(file.read_text("utf-8")))
    return found


def test_every_file_that_users_need_is_named_with_its_folder() -> None:
    rows = [line for line in README.splitlines() if line.startswith("|")]
    assert files_of_users()
    for name, kind in files_of_users().items():
        assert any(f"| `{name}` | `ComfyUI/models/{kind}/` |" in row for row in rows), name


def test_every_workflow_is_in_a_table() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `workflows/")]
    shipped = {f"| `workflows/{file.name}` |" for file in (ROOT / "workflows").glob("*.json")}
    assert {row[: row.index("|", 2) + 1] for row in rows} == shipped


def test_named_templates_are_those_that_the_browser_offers() -> None:
    """By their whole names: numbers change when templates are added."""
    offered = {file.stem for file in (ROOT / "workflows").glob("*.json")}
    named = set()
    for file in (ROOT / "README.md", *(ROOT / "web" / "docs").glob("*.md"), *(ROOT / "docs").glob("*.md")):
        text = " ".join(file.read_text(encoding="utf-8").split())
        assert not re.findall(r"\btemplates? \d+", text), f"{file.name}: write the template's name"
        named |= set(re.findall(r"\*((?:SD15 )?\d+ [A-Z][^*]+)\*", text))
    assert named and named <= offered


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("ascii"), re.MULTILINE))
    named = set(re.findall(r"^make ([\w-]+)|`make ([\w-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= {name for pair in named for name in pair if name} <= targets


def test_node_table_names_every_node(comfy_host: Any) -> None:
    rows = [
        line.split("|")[1].strip() for line in README.split("## Nodes")[1].split("\n## ")[0].splitlines() if "|" in line
    ]
    nodes = [cls.GET_SCHEMA() for key, cls in comfy_host.nodes.NODE_CLASS_MAPPINGS.items() if key.startswith("FGDM_")]
    assert sorted(rows[2:]) == sorted(node.display_name.removesuffix(" (FG-DM)") for node in nodes)
