"""`python -m tools.locales`: write down anew what the node schemas say, after a node, an input or a text has changed.

Rewrites locales/en/nodeDefs.json and node_list.json, and puts locales/zh/nodeDefs.json into the same order. What has no
Chinese yet, or was translated from another English text, is printed: write it into locales/zh/nodeDefs.json, and run this again
with --translated to record that every Chinese text says what the English one says now.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.inprocess import InProcessHost, boot
from tools.server import CACHE, ROOT

ENGLISH = ROOT / "locales" / "en" / "nodeDefs.json"
CHINESE = ROOT / "locales" / "zh" / "nodeDefs.json"
SOURCES = ROOT / "tests" / "repo" / "translated_from.json"
NODE_LIST = ROOT / "node_list.json"

Texts = dict[str, Any]


def english(host: InProcessHost) -> Texts:
    """{node id: display_name, description, inputs by name, outputs by index} of every node of the pack, sorted."""
    found: Texts = {}
    for node_id in sorted(name for name in host.nodes.NODE_CLASS_MAPPINGS if name.startswith("FGDM_")):
        schema: Any = host.node(node_id)
        schema = schema.GET_SCHEMA()
        found[node_id] = {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {
                item.id: {"name": item.display_name or item.id, "tooltip": item.tooltip} for item in schema.inputs
            },
            "outputs": {
                str(index): {"name": item.display_name, "tooltip": item.tooltip}
                for index, item in enumerate(schema.outputs)
            },
        }
    return found


def texts(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every text of a locale file, the path joined by slashes."""
    for key, value in tree.items():
        here = f"{path}/{key}".lstrip("/")
        if isinstance(value, str):
            yield here, value
        else:
            yield from texts(value, here)


def in_order_of(model: Mapping[str, Any], known: Mapping[str, Any]) -> Texts:
    """What is known of `model`'s keys, in their order."""
    return {
        key: in_order_of(value, known[key]) if isinstance(value, Mapping) else known[key]
        for key, value in model.items()
        if key in known
    }


def mark(text: str) -> str:
    """A short digest of an English text, recorded beside its translation."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_translate(english: Texts, chinese: Texts, sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """(path, English text) of everything that has no Chinese, or one of another English text."""
    have = dict(texts(chinese))
    return [(path, text) for path, text in texts(english) if path not in have or sources.get(path) != mark(text)]


def read(file: Path) -> Texts:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def write(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="locales", description=__doc__)
    parser.add_argument(
        "--translated", action="store_true", help="every Chinese text says what the English one says now"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="locales-", dir=CACHE) as base:
        now = english(boot(Path(base)))
    write(ENGLISH, now)
    write(NODE_LIST, {node_id: entry["description"] for node_id, entry in now.items()})
    chinese = in_order_of(now, read(CHINESE))
    write(CHINESE, chinese)
    have = dict(texts(chinese))
    if options.translated:
        write(SOURCES, {path: mark(text) for path, text in texts(now) if path in have})
    for path, text in to_translate(now, chinese, read(SOURCES)):
        print(f"to translate: {path}: {text}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
