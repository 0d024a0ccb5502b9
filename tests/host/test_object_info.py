"""The interface that users' workflows rely on: ids, inputs, their order, types and defaults, outputs.

A difference is either a mistake or a change that has to be compatible with saved workflows: then
copy the new file, whose path the failure gives, over golden_object_info.json.
"""

from __future__ import annotations

import json
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden_object_info.json")
OPTIONS_OF_THE_HOST = {
    "factor_name",
    "model_name",
    "image_factor_name",
    "sampler",
    "scheduler",
    "folder",
    "image_factor",
    "start",
    "inversion_name",
}


def interface(cls) -> dict:
    """What /object_info says of a node, without texts and without lists that depend on the host."""
    info = cls.GET_NODE_INFO_V1()
    inputs = {}
    for group, items in info["input"].items():
        for name, (kind, *rest) in items.items():
            options = dict(rest[0]) if rest else {}
            options.pop("tooltip", None)
            if name in OPTIONS_OF_THE_HOST and kind != "STRING":
                options.pop("options", None)
                kind = "COMBO"
            inputs[name] = {"group": group, "type": kind, **options}
    return {
        "inputs": inputs,
        "input_order": info["input_order"],
        "output": info["output"],
        "output_name": info["output_name"],
        "output_node": info["output_node"],
        "category": info["category"],
    }


def test_interface_is_as_recorded(comfy_host, tmp_path):
    ids = sorted(name for name in comfy_host.nodes.NODE_CLASS_MAPPINGS if name.startswith("FGDM_"))
    found = json.loads(json.dumps({name: interface(comfy_host.node(name)) for name in ids}))
    new = tmp_path / GOLDEN.name
    new.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text("utf-8")), f"the interface changed; see {new}"
