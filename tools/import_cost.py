"""What importing the pack costs a ComfyUI that is already up: seconds, new modules, network use.

Run in a process of its own: `python -m tools.import_cost BASE_FOLDER` prints one JSON object.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

from tools.inprocess import boot
from tools.server import ROOT

NETWORK_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")


def measure(base: Path) -> dict[str, Any]:
    """Import the pack as the host does (module, entry point, on_load, every schema) and watch it."""
    started = time.process_time()
    host = boot(base, pack=False)
    host_cpu = time.process_time() - started
    network: list[str] = []
    watching = True

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in NETWORK_EVENTS:
            network.append(f"{event} {arguments!r}")

    sys.addaudithook(audit)
    before = set(sys.modules)
    wall, cpu = time.perf_counter(), time.process_time()
    name = "pack_under_measure"
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    extension = asyncio.run(module.comfy_entrypoint())
    asyncio.run(extension.on_load())
    nodes = asyncio.run(extension.get_node_list())
    schemas = [node.GET_SCHEMA() for node in nodes]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    watching = False
    foreign = {other.split(".")[0] for other in set(sys.modules) - before} - {name}
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "host_cpu_s": host_cpu,
        "nodes": [schema.node_id for schema in schemas],
        "network": network,
        "new_top_level_modules": sorted(foreign),
        "comfyui": str(host.comfyui.name),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
