"""What nodes of maps and judges let a user choose from. By itself, so that their schemas load nothing else."""

from __future__ import annotations

from enum import Enum

OF_THE_FACTOR = "of the factor"
"""In place of the name of a palette: that of the factor, COCO without one."""

DRAWN_ON = ("segmentation", "depth", "sketch")
"""Kinds of maps that shapes can be drawn on."""
VARIABLES = (*DRAWN_ON, "pose")
"""Kinds of maps that can be edited."""


class WhenChanged(Enum):
    """What to do with a recipe that was made on another map."""

    ASK = "ask"
    APPLY = "apply"
    IGNORE = "ignore"


class Which(Enum):
    """Which of several regions of a class is meant."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"
    ALL = "all"


class By(Enum):
    """Who judges."""

    BOXES = "boxes"
    SEGMENTATION = "segmentation"
    EMBEDDED = "embedded judge"


class Asked(Enum):
    """When a language model is asked what instructions mean."""

    NEVER = "never"
    OTHERWISE = "where they are not understood"
    ALWAYS = "always"
