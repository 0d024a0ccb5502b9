"""Objects by a language model inside the host: which endpoint its owner has set up, and what happens where it fails.

Address and key come from the environment of the server (FGDM_LLM_URL, FGDM_LLM_KEY, FGDM_LLM_MODEL) or from ComfyUI's user
settings, never from a workflow: a workflow of somebody else must not send the key, or a prompt, to an address of its own.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management
import folder_paths

from ..objects import by_model, words
from ..objects.by_model import AnswerError
from ..objects.choices import Scope, Shots
from ..objects.endpoint import Endpoint, EndpointError, ask
from .asking import Asking, palette_of
from .asking import ask as by_table
from .models.factor import Factor

log = logging.getLogger(__name__)

VARIABLES = {"url": "FGDM_LLM_URL", "key": "FGDM_LLM_KEY", "model": "FGDM_LLM_MODEL"}
SETTINGS = {"url": "fgdm.llm.url", "key": "fgdm.llm.key", "model": "fgdm.llm.model"}
_MAX_SETTINGS = 4_000_000

_failures = 0  # part of the fingerprint, so that a question that failed is asked again in the next run


@dataclass(frozen=True)
class Question:
    """How a language model is asked. model: empty: the one that is set up. stop: raise where it fails, rather than read the
    text by the table."""

    asking: Asking = Asking()
    shots: Shots = Shots.ZERO
    scope: Scope = Scope.NAMED
    model: str = ""
    timeout: float = 30.0
    stop: bool = False


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


def ask_model(text: str, factor: Factor | None, question: Question) -> tuple[words.ObjectQuery, str]:
    """(objects, who read them, in a line). Where no endpoint is set up, or it fails or lies, the table reads the text; with
    ``stop`` that is a ValueError."""
    global _failures
    palette = palette_of(factor, question.asking.palette)
    classes = () if factor is None else factor.info.classes
    try:
        if not text.strip():
            raise EndpointError("the text is empty")
        endpoint = _endpoint(question.model)
        conversation = by_model.messages(text, palette, classes, question.shots, question.scope)
        check = comfy.model_management.throw_exception_if_processing_interrupted
        reply = ask(endpoint, conversation, question.timeout, check)
        query = by_model.read_answer(by_model.content_of(reply), palette, classes, question.asking.counts)
        return query, f"listed by {endpoint.model} at {endpoint.host}, {question.shots.value}"
    except (EndpointError, AnswerError) as error:
        _failures += bool(set_up()["url"])
        if question.stop:
            raise ValueError(f"the language model could not be used: {error}.") from None
        log.warning("FGDM: the language model could not be used, the table of words reads the text: %s", error)
        return by_table(
            text, factor, question.asking
        ), f"read by the table of words; the language model could not be used: {error}"


def _endpoint(model: str) -> Endpoint:
    found = set_up()
    if not found["url"]:
        raise EndpointError(
            f"no endpoint is set up; set {VARIABLES['url']} (such as http://127.0.0.1:11434/v1) and {VARIABLES['model']} in the "
            "environment of the server, or the settings of FG-DM"
        )
    return Endpoint(found["url"], model.strip() or found["model"], found["key"])


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
