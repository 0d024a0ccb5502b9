"""Objects by a language model inside the host: the question, and what happens where it fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..objects import by_model, words
from ..objects.by_model import AnswerError
from ..objects.choices import Scope, Shots
from ..objects.endpoint import EndpointError
from . import chat
from .asking import Asking, palette_of
from .asking import ask as by_table
from .models.factor import Factor

log = logging.getLogger(__name__)


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


def ask_model(text: str, factor: Factor | None, question: Question) -> tuple[words.ObjectQuery, str]:
    """(objects, who read them, in a line). Where no endpoint is set up, or it fails or lies, the table reads the text; with
    ``stop`` that is a ValueError."""
    palette = palette_of(factor, question.asking.palette)
    classes = () if factor is None else factor.info.classes
    try:
        if not text.strip():
            raise EndpointError("the text is empty")
        whom = chat.endpoint(question.model)
        conversation = by_model.messages(text, palette, classes, question.shots, question.scope)
        answer = chat.answer(whom, conversation, question.timeout)
        query = by_model.read_answer(answer, palette, classes, question.asking.counts)
        return query, f"listed by {whom.model} at {whom.host}, {question.shots.value}"
    except (EndpointError, AnswerError) as error:
        chat.failed()
        if question.stop:
            raise ValueError(f"the language model could not be used: {error}.") from None
        log.warning("FGDM: the language model could not be used, the table of words reads the text: %s", error)
        return by_table(
            text, factor, question.asking
        ), f"read by the table of words; the language model could not be used: {error}"
