"""A small client of ComfyUI's HTTP and websocket interface.

HTTP goes through the standard library; the websocket through aiohttp, which every ComfyUI has.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Prompt = dict[str, dict[str, Any]]

# Kinds of binary websocket messages: 4 bytes big-endian, then the payload.
_PREVIEW = 1
_PREVIEW_WITH_METADATA = 4


class RequestError(RuntimeError):
    """The server answered with an error status; `status` and the parsed `body` are kept."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"HTTP {status}: {json.dumps(body)[:2000]}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Event:
    """One websocket message: its type and data. Previews have type "preview" and data["image"] bytes."""

    type: str
    data: dict[str, Any]


@dataclass
class Run:
    """What happened to one queued prompt."""

    prompt_id: str
    events: list[Event] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)  # node id -> what the node showed
    status: str = ""  # "success", "error" or "interrupted"
    error: dict[str, Any] = field(default_factory=dict)

    def data(self, event_type: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == event_type]

    @property
    def executed(self) -> list[str]:
        """Node ids that ran, in order, without those answered from the cache."""
        return [data["node"] for data in self.data("executing") if data.get("node")]

    @property
    def cached(self) -> set[str]:
        """Node ids that the server answered from its cache."""
        return {node for data in self.data("execution_cached") for node in data["nodes"]}

    @property
    def previews(self) -> list[bytes]:
        return [event.data["image"] for event in self.events if event.type == "preview"]


class Client:
    def __init__(self, url: str) -> None:
        self.url = url

    # -- HTTP --------------------------------------------------------------------------------------------------

    def get_bytes(self, path: str, timeout: float = 60, **query: str) -> bytes:
        suffix = "?" + urllib.parse.urlencode(query) if query else ""
        return self._send(urllib.request.Request(self.url + path + suffix), timeout)

    def get(self, path: str, timeout: float = 60, **query: str) -> Any:
        return json.loads(self.get_bytes(path, timeout, **query))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        answer = self._send(request, 60)
        return json.loads(answer) if answer else None

    def _send(self, request: urllib.request.Request, timeout: float) -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                body = json.loads(text)
            except json.JSONDecodeError:
                body = {"text": text}
            raise RequestError(error.code, body) from None

    def is_up(self) -> bool:
        try:
            self.get("/system_stats", timeout=2)
        except (OSError, RequestError, ValueError):
            return False
        return True

    def object_info(self, node_id: str = "") -> dict[str, Any]:
        return self.get(f"/object_info/{node_id}" if node_id else "/object_info")

    def interrupt(self) -> None:
        self.post("/interrupt")

    def free(self) -> None:
        """Ask the server to unload its models and drop its caches (it does so before the next prompt)."""
        self.post("/free", {"unload_models": True, "free_memory": True})

    def history(self, prompt_id: str) -> dict[str, Any]:
        return self.get(f"/history/{prompt_id}").get(prompt_id, {})

    def view(self, file: dict[str, str]) -> bytes:
        """The bytes of a file as an output names it: {"filename", "subfolder", "type"}."""
        return self.get_bytes("/view", filename=file["filename"], subfolder=file["subfolder"], type=file["type"])

    def images(self, run: Run, node_id: str) -> list[bytes]:
        """The encoded pictures that a node saved or previewed in a run."""
        return [self.view(file) for file in run.outputs.get(node_id, {}).get("images", [])]

    # -- queue and wait ----------------------------------------------------------------------------------------

    def run(self, prompt: Prompt, on_event: Callable[[Event], None] | None = None, timeout: float = 300) -> Run:
        """Queue a prompt in API form and wait until it ends, however it ends.

        `on_event` is called for each websocket message while the prompt runs. Raises RequestError if the server
        refuses the prompt, TimeoutError after `timeout` seconds.
        """
        # A thread of its own: a browser that is driven from this one has a loop running in it.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, asyncio.wait_for(self._run(prompt, on_event), timeout)).result()

    async def _run(self, prompt: Prompt, on_event: Callable[[Event], None] | None) -> Run:
        import aiohttp

        client_id = uuid.uuid4().hex
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/ws?clientId={client_id}", max_msg_size=0) as socket,
        ):
            # Only what the server sends after its first status message is addressed to this client.
            await socket.receive()
            answer = await asyncio.to_thread(self.post, "/prompt", {"prompt": prompt, "client_id": client_id})
            run = Run(answer["prompt_id"])
            async for message in socket:
                event = _parse(message)
                if event is None or event.data.get("prompt_id", run.prompt_id) != run.prompt_id:
                    continue
                run.events.append(event)
                if on_event is not None:
                    await asyncio.to_thread(on_event, event)
                if event.type == "executed" and event.data.get("output"):
                    run.outputs[event.data["node"]] = event.data["output"]
                elif event.type == "execution_success":
                    run.status = "success"
                elif event.type == "execution_error":
                    run.status, run.error = "error", event.data
                elif event.type == "execution_interrupted":
                    run.status = "interrupted"
                if run.status:
                    await asyncio.to_thread(self._wait_idle, run.prompt_id)
                    return run
        raise ConnectionError("the server closed the websocket before the prompt ended")

    def _wait_idle(self, prompt_id: str) -> None:
        """The history entry is written just after the last message: wait for it, so that a caller may read it."""
        for _ in range(200):
            if self.history(prompt_id):
                return
            time.sleep(0.02)


def _parse(message: Any) -> Event | None:
    import aiohttp

    if message.type == aiohttp.WSMsgType.TEXT:
        content = json.loads(message.data)
        return Event(content["type"], content.get("data") or {})
    if message.type == aiohttp.WSMsgType.BINARY:
        (kind,) = struct.unpack(">I", message.data[:4])
        if kind == _PREVIEW:
            return Event("preview", {"image": message.data[8:]})
        if kind == _PREVIEW_WITH_METADATA:
            (length,) = struct.unpack(">I", message.data[4:8])
            return Event("preview", {"image": message.data[8 + length :], **json.loads(message.data[8 : 8 + length])})
    return None
