"""What README.md promises is there: files, make targets, node names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("ascii")
MADE = {".venv", ".cache", "demo_output/", "scores.json", "ComfyUI/custom_nodes/", "ComfyUI/models/fgdm_factors/"}


def test_named_files_exist() -> None:
    named = {word for word in re.findall(r"`([\w./-]+)`", README) if "/" in word or "." in word} - MADE
    embedded = {file.name for file in ROOT.glob("comfyui_fgdm/data/weights/**/*.safetensors")}
    missing = [word for word in named if word not in embedded and not (ROOT / word).exists()]
    assert named
    assert not missing


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
