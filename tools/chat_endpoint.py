"""A chat endpoint on 127.0.0.1 for tests, that answers as it is told: honestly, late, with lies, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatEndpoint:
    """``with ChatEndpoint() as chat``: ``chat.url``; ``chat.answers`` is what it does next (the last one again and again): a
    text (the model's answer), or a function that is given the handler and writes the whole reply. ``chat.requests``: of each
    question the path, headers and body."""

    def __init__(self) -> None:
        self.answers: list[str | Callable[[Any], None]] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.closing = threading.Event()  # for answers that take for ever

    def __enter__(self) -> ChatEndpoint:
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                chat.requests.append((self.path, dict(self.headers), body))
                answer = chat.answers.pop(0) if len(chat.answers) > 1 else chat.answers[0]
                if callable(answer):
                    answer(self)
                else:
                    reply(self, {"choices": [{"message": {"role": "assistant", "content": answer}}]})

            def log_message(self, format: str, *args: Any) -> None: ...

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None: ...  # whoever asked has gone away

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"


def reply(handler: Any, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
    """Send JSON, or bytes as they are."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)
