"""A ComfyUI inside this process: real nodes, real execution, no HTTP. Used by host tests and the bench.

One process can hold one host. Importing this module changes nothing; `boot` does.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from tools import host_source, mend
from tools.client import Prompt
from tools.server import CACHE, PACK_FOLDER, make_base


class ExecutionFailed(RuntimeError):
    """A prompt that the host refused or that failed; `details` is what the host says about it."""

    def __init__(self, text: str, details: Any) -> None:
        super().__init__(text)
        self.details = details


class _Recorder:
    """What PromptExecutor needs of a server: it sends messages; here they are kept in order."""

    def __init__(self) -> None:
        self.client_id: str | None = None
        self.last_node_id: str | None = None
        self.last_prompt_id: str | None = None
        self.messages: list[tuple[Any, Any]] = []

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        self.messages.append((event, data))

    def queue_updated(self) -> None:
        self.messages.append(("queue_updated", None))


@dataclass
class InProcessRun:
    """Outputs by node id (one list per output socket), what nodes showed, and all messages in order."""

    outputs: dict[str, Sequence[Any]] = field(default_factory=dict)
    ui: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: list[tuple[Any, Any]] = field(default_factory=list)

    def output(self, node_id: str, socket: int = 0) -> Any:
        """The single value of one output socket."""
        (value,) = self.outputs[node_id][socket]
        return value


@dataclass
class InProcessHost:
    comfyui: Path
    base: Path
    nodes: ModuleType
    execution: ModuleType
    folder_paths: ModuleType
    pack: ModuleType

    def engine(self, name: str) -> ModuleType:
        """A module of the pack as the host loaded it, e.g. engine("comfyui_fgdm.objects.recall").

        The same file imported as `comfyui_fgdm.objects.recall` would be a second module with classes of its own.
        """
        return importlib.import_module(f"{self.pack.__name__}.{name}")

    def node(self, node_id: str) -> type:
        return self.nodes.NODE_CLASS_MAPPINGS[node_id]

    def call(self, node_id: str, **inputs: Any) -> tuple[Any, ...]:
        """Call a node's function directly, as the host does, and return its outputs."""
        import torch

        cls = self.node(node_id)
        with torch.inference_mode():
            if hasattr(cls, "define_schema"):
                return cls.EXECUTE_NORMALIZED(**inputs).result
            return getattr(cls(), cls.FUNCTION)(**inputs)

    def run(self, prompt: Prompt, wanted: Sequence[str] | None = None) -> InProcessRun:
        """Validate and execute a prompt in API form with an empty cache.

        `wanted` names the nodes to compute; by default the output nodes. Raises ExecutionFailed.
        """
        return asyncio.run(self._run(prompt, wanted))

    async def _run(self, prompt: Prompt, wanted: Sequence[str] | None) -> InProcessRun:
        if wanted is None:
            valid, error, wanted, node_errors = await self.execution.validate_prompt("run", prompt, None)
            if not valid or wanted is None:
                raise ExecutionFailed(f"refused: {error} {node_errors}", node_errors)
        else:
            checked: dict[str, Any] = {}
            for node_id in wanted:
                valid, reasons, _ = await self.execution.validate_inputs("run", prompt, node_id, checked)
                if not valid:
                    raise ExecutionFailed(f"refused: {reasons}", reasons)
        recorder = _Recorder()
        executor = self.execution.PromptExecutor(
            recorder,
            cache_type=self.execution.CacheType.CLASSIC,
            cache_args={"lru": 0, "ram": 0.0, "ram_inactive": 0.0},
        )
        await executor.execute_async(prompt, "run", {"client_id": "in-process"}, list(wanted))
        run = InProcessRun(messages=recorder.messages)
        for event, data in [*executor.status_messages, *recorder.messages]:
            if event == "execution_error":
                raise ExecutionFailed(data["exception_message"], data)
            if event == "execution_interrupted":
                raise InterruptedError(f"interrupted in node {data['node_id']}")
            if event == "executed" and data.get("output"):
                run.ui[data["node"]] = data["output"]
        for node_id in prompt:
            entry = await executor.caches.outputs.get(node_id)
            if entry is not None:
                run.outputs[node_id] = entry.outputs
        return run


def boot(base: Path, *, cpu: bool = True, pack: bool = True) -> InProcessHost:
    """Import ComfyUI into this process, load its nodes and this pack. `base` becomes its base folder."""
    host = host_source.locate(CACHE)
    mend.install()
    # First on the path: the host has top-level modules `nodes` and `server`, the pack folders of those names.
    sys.path.insert(0, str(host.path))
    # Collecting tests/server leaves a package of that name, without a file, which would hide the host's module.
    if getattr(sys.modules.get("server"), "__file__", None) is None:
        sys.modules.pop("server", None)
    make_base(base)

    cli_args = importlib.import_module("comfy.cli_args")
    cli_args.args.cpu = cpu
    cli_args.args.base_directory = str(base)
    cli_args.args.disable_api_nodes = True
    folder_paths = importlib.import_module("folder_paths")
    nodes = importlib.import_module("nodes")
    if not str(nodes.__file__).startswith(str(host.path)):
        raise RuntimeError(f"`nodes` is {nodes.__file__}, not the host's: boot the host before importing others")
    asyncio.run(nodes.init_builtin_extra_nodes())
    module = ModuleType("no_pack")
    if pack:
        folder = str(base / "custom_nodes" / PACK_FOLDER)
        if not asyncio.run(nodes.load_custom_node(folder)):
            raise RuntimeError("the host did not load the pack; its reason is in the log above")
        module = sys.modules[folder.replace(".", "_x_")]
    execution = importlib.import_module("execution")
    return InProcessHost(host.path, base, nodes, execution, folder_paths, module)


@dataclass(frozen=True)
class Embedded:
    """The embedded family, loaded by the pack's nodes. mapped: the base with the segmentation factor; net: the image factor of its maps."""

    model: Any
    clip: Any
    vae: Any
    factor: Any
    mapped: Any
    net: Any


def embedded(host: InProcessHost) -> Embedded:
    """Load the embedded family in a host."""
    from comfyui_fgdm.iconworld.family import export

    files = export.files()
    model, clip, vae = host.call("FGDM_LoadEmbedded", model_name=files.base.name)
    (factor,) = host.call("FGDM_LoadFactor", factor_name=files.factor("segmentation").name)
    (net,) = host.call("FGDM_LoadEmbeddedImageFactor", image_factor_name=files.control("segmentation").name)
    whole = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    (mapped,) = host.call("FGDM_ApplyFactor", model=model, factor=factor, **whole)
    return Embedded(model, clip, vae, factor, mapped, net)
