"""What a user chooses from when maps and pictures are edited. By itself, so that schemas load nothing else."""

from __future__ import annotations

from enum import Enum


class Masks(str, Enum):
    """Where a concept acts, inside its region if it has one."""

    BOTH = "attention and noise"
    ATTENTION = "attention"
    NOISE = "noise"
    REGION = "region only"
