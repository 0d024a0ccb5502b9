"""Edit Map on pose maps: people in place of classes. They are read from the picture, edited, and drawn anew."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.model_management
import comfy.utils
import numpy as np
import torch

from ..editing import recipe
from ..editing.applying import edit_people
from ..editing.keys import Scale
from ..editing.redrawing import redraw
from ..maps import pose_reading
from ..maps.pictures import MapError
from ..maps.pose_reading import PeopleRead
from .editing import Outcome, tick
from .reading import pictures_of, to_image

LOST = "showed no joints or limbs (hands, faces) beside what moved, and are gone"


def read(maps: torch.Tensor) -> list[PeopleRead]:
    """The people on each picture of an IMAGE batch. MapError for a picture that is no pose map."""
    bar = comfy.utils.ProgressBar(len(maps))
    found = []
    for one in pictures_of(maps[..., :3], "map"):
        comfy.model_management.throw_exception_if_processing_interrupted()
        try:
            found.append(pose_reading.read(one))
        except MapError as error:
            raise MapError(f"map: {error}; set variable to what it is, or connect a pose map.") from None
        bar.update(1)
    return found


def drawn(people: PeopleRead, maps: torch.Tensor) -> np.ndarray:
    """The figures as they were read, as ``pose_reading.INDICES``, uint8 [H, W]."""
    return pose_reading.indices(people.draw(maps.shape[1], maps.shape[2]))


def edit(
    maps: torch.Tensor, crowds: Sequence[PeopleRead], operations: Sequence[recipe.Operation], scale: Scale = (1.0, 1.0)
) -> Outcome:
    """Apply operations to all maps of a batch, float (B, H, W, 3), whose people were read; see ``redraw`` for what stays as it was. scale: of
    the operations' coordinates."""
    given = pictures_of(maps[..., :3], "map")
    made, changes, report = [], [], []
    for picture, people in zip(given, crowds, strict=True):
        edited = edit_people(people.bodies, operations, scale=scale, tick=tick)
        one = redraw(picture, people, edited.values)
        differs = (one.picture != picture).any(-1).float()
        made.append(one)
        changes.append(differs)
        told = {"people": [len(people.bodies), len(edited.values)], "unknown": round(one.lost, 6)}
        report.append({**edited.report(), **told, "changed": round(float(differs.mean()), 6)})
    labels = torch.from_numpy(np.stack([one.labels for one in made]).astype(np.int64))
    pictures = torch.stack([one.picture for one in made])
    return Outcome(to_image(pictures), to_image(torch.stack(changes)), labels, report, LOST)
