"""The language model that the server's owner has set up, and one question to it.

Address and key come from the environment of the server (FGDM_LLM_URL, FGDM_LLM_KEY, FGDM_LLM_MODEL) or from ComfyUI's user
settings, never from a workflow: a workflow of somebody else must not send the key, or a prompt, to an address of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import comfy.model_management
import folder_paths

from ..objects.by_model import content_of
from ..objects.endpoint import Endpoint, EndpointError, ask

VARIABLES = {"url": "FGDM_LLM_URL", "key": "FGDM_LLM_KEY", "model": "FGDM_LLM_MODEL"}
SETTINGS = {"url": "fgdm.llm.url", "key": "fgdm.llm.key", "model": "fgdm.llm.model"}
_MAX_SETTINGS = 4_000_000

_failures = 0  # part of the fingerprint, so that a question that failed is asked again in the next run


def set_up() -> dict[str, str]:
    """Address, key and model that the server's owner has set, empty where nothing is."""
    settings = _settings()
    return {
        name: (os.environ.get(VARIABLES[name]) or str(settings.get(SETTINGS[name]) or "")).strip() for name in VARIABLES
    }


def fingerprint() -> str:
    """Changes when another endpoint or model is set up, and after a question that failed."""
    found = set_up()
    return f"{found['url']} {found['model']} {bool(found['key'])} {_failures}"


def failed() -> None:
    """A question was not answered, or not well; no matter where nobody could be asked."""
    global _failures
    _failures += bool(set_up()["url"])


def endpoint(model: str = "") -> Endpoint:
    """The one that is set up; model: another one there, by its name. EndpointError if none is, or it cannot be used."""
    found = set_up()
    if not found["url"]:
        raise EndpointError(
            f"no endpoint is set up; set {VARIABLES['url']} (such as http://127.0.0.1:11434/v1) and {VARIABLES['model']} in the "
            "environment of the server, or the settings of FG-DM"
        )
    return Endpoint(found["url"], model.strip() or found["model"], found["key"])


def answer(whom: Endpoint, messages: list[dict[str, str]], timeout: float) -> str:
    """What a model says. The user may interrupt it. EndpointError or AnswerError where it says nothing in so many seconds."""
    return content_of(ask(whom, messages, timeout, comfy.model_management.throw_exception_if_processing_interrupted))


def _settings() -> dict:
    """ComfyUI's settings of its default user; empty if there are none that can be read."""
    file = Path(folder_paths.get_user_directory()) / "default" / "comfy.settings.json"
    try:
        if file.stat().st_size > _MAX_SETTINGS:
            return {}
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
