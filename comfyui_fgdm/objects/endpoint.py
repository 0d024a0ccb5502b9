"""One question to a chat endpoint of the kind that OpenAI's is, with everything that may go wrong as one kind of error.

The key goes to the endpoint alone: not over plain http to another machine, not after a redirect, never into a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_REPLY = 1_000_000
"""Bytes of a reply that are read."""
_POLL = 0.1  # seconds between two looks whether the user has interrupted


class EndpointError(ValueError):
    """An endpoint that cannot be used, or gave no reply; says why, without the key."""


@dataclass(frozen=True)
class Endpoint:
    """url: base, such as http://127.0.0.1:11434/v1, or the full address of its chat completions. key: may be empty."""

    url: str
    model: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = _parts(self.url)
        if parts.scheme not in ("http", "https") or not parts.host or not parts.plain:
            raise EndpointError(
                "its address must be like http://127.0.0.1:11434/v1, without a name, password or question mark"
            )
        if self.key and (not self.key.isascii() or not self.key.isprintable() or " " in self.key):
            raise EndpointError("its key holds blanks or letters that no key has; copy it again")
        if self.key and parts.scheme == "http" and not _is_here(parts.host):
            raise EndpointError("its key would go over the network unencrypted; write https:// in its address")
        if not self.model.strip():
            raise EndpointError("no model is named; set FGDM_LLM_MODEL, or write it into the node")

    @property
    def address(self) -> str:
        base = self.url.rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"

    @property
    def host(self) -> str:
        """For messages."""
        parts = _parts(self.url)
        return f"{parts.host}:{parts.port}"


def ask(
    endpoint: Endpoint,
    messages: list[dict[str, str]],
    timeout: float = 30.0,
    check: Callable[[], None] = lambda: None,
) -> Any:
    """The endpoint's reply, parsed JSON. timeout: in seconds, for all of it. check: called while it waits; what it raises
    ends the question. EndpointError for everything else that goes wrong."""
    if not 0 < timeout <= 600:
        raise EndpointError(f"timeout must be more than 0 and at most 600 seconds, not {timeout}")
    outcome: list[Any] = []
    loop = asyncio.new_event_loop()
    task = loop.create_task(_ask(endpoint, messages, timeout))

    def work() -> None:
        try:
            outcome.append(loop.run_until_complete(task))
        except BaseException as error:  # handed over, not lost
            outcome.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="fgdm-endpoint", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            check()
            thread.join(_POLL)
    except BaseException:
        with contextlib.suppress(RuntimeError):  # it has just ended by itself
            loop.call_soon_threadsafe(task.cancel)
        raise
    found = outcome[0]
    if isinstance(found, EndpointError):
        raise EndpointError(_without(str(found), endpoint.key)) from None
    if isinstance(found, BaseException):
        raise EndpointError(f"{endpoint.host}: {_without(f'{type(found).__name__}: {found}', endpoint.key)}") from None
    return found


async def _ask(endpoint: Endpoint, messages: list[dict[str, str]], timeout: float) -> Any:
    import aiohttp  # comes with ComfyUI

    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    body = {"model": endpoint.model, "messages": messages, "temperature": 0, "max_tokens": 1500, "stream": False}
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout), headers=headers) as session:
            status, text = await _post(session, endpoint.address, {**body, "response_format": {"type": "json_object"}})
            if status in (400, 422):  # some know no response_format
                status, text = await _post(session, endpoint.address, body)
    except asyncio.TimeoutError:
        raise EndpointError(f"{endpoint.host} gave no reply within {timeout:g} seconds") from None
    except aiohttp.ClientError as error:
        raise EndpointError(f"{endpoint.host} cannot be reached ({type(error).__name__}); is it running?") from None
    if status in (301, 302, 303, 307, 308):
        raise EndpointError(f"{endpoint.host} sends elsewhere (status {status}); set its final address")
    if status in (401, 403):
        raise EndpointError(f"{endpoint.host} refuses the key (status {status}); check FGDM_LLM_KEY or the setting")
    if status != 200:
        raise EndpointError(f"{endpoint.host} answered with status {status}: {' '.join(text[:200].split())}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise EndpointError(f"{endpoint.host} sent no JSON, so it is no chat endpoint; check its address") from None


async def _post(session: Any, address: str, body: dict[str, Any]) -> tuple[int, str]:
    async with session.post(address, json=body, allow_redirects=False) as response:
        raw = bytearray()
        async for part in response.content.iter_chunked(65536):
            raw += part
            if len(raw) > MAX_REPLY:
                raise EndpointError(f"its reply is larger than {MAX_REPLY / 1e6:g} MB")
        return response.status, raw.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class _Parts:
    scheme: str
    host: str
    port: int | None
    plain: bool  # no name, password, query or fragment


def _parts(url: str) -> _Parts:
    from yarl import URL  # comes with aiohttp, and that with ComfyUI

    try:
        found = URL(url.strip())
        plain = not (found.user or found.password or found.query_string or found.fragment)
        return _Parts(found.scheme, found.host or "", found.port, plain)
    except ValueError:
        raise EndpointError("its address is none; write it like http://127.0.0.1:11434/v1") from None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text
