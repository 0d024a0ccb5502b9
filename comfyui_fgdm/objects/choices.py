"""What a user chooses from when prompts are read and pictures judged. By itself, so that schemas load nothing else."""

from __future__ import annotations

from enum import Enum


class Denied(Enum):
    """What becomes of things that a text says are not there."""

    LEFT_OUT = "left out"
    ABSENT = "must be absent"


class Pairs(Enum):
    """Which of the selector's maps each picture was made from."""

    BEST_FIRST = "best first"
    ALL = "all, in order"


class Shots(Enum):
    """How many examples are shown."""

    ZERO = "zero-shot"
    ONE = "one-shot"


class Scope(Enum):
    """Which objects are asked for: those of the text, or, as in the paper, all that such a scene may hold."""

    NAMED = "named in the text"
    PLAUSIBLE = "all the scene may hold"
