"""Progress and previews while candidates appear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.nested_tensor
import comfy.utils
import latent_preview
import torch
from PIL import Image

from ..objects import charts

PREVIEW_SIDE = 1024
"""Longest side in pixels of a preview; small maps are enlarged by whole factors as far as that allows."""


class CandidateProgress:
    """One progress bar over all steps of all candidates that a search may take.

    The preview is a sheet of the finished maps; where the host has latent previews switched
    on, the maps in the making follow them.
    """

    def __init__(self, model, count: int, steps: int):
        self.total = count * steps
        self.bar = comfy.utils.ProgressBar(self.total)
        self.previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self.done: list[Image.Image] = []
        self.behind = 0  # steps of candidates that are not in the making any more, taken or saved
        self.limit = steps

    def expect(self, steps: int) -> None:
        """The next run takes so many steps of each candidate."""
        self.limit = steps

    def step(self, batch: int, step: int, x0: torch.Tensor) -> None:
        """Report that ``step`` (0-based) of a run of ``batch`` candidates is done; x0 (B, C, h, w)."""
        preview = None
        if self.previewer is not None:
            started = [self.previewer.decode_latent_to_preview(x0[i : i + 1]) for i in range(batch)]
            preview = sheet(self.done + started)
        value = self.behind + batch * min(step + 1, self.limit)  # samplers may take more steps than asked for
        self.bar.update_absolute(min(value, self.total), self.total, preview)

    def passed(self, steps: int) -> None:
        """So many steps of single candidates lie behind."""
        self.behind += steps

    def finished(self, pictures: list[torch.Tensor]) -> None:
        """Show all maps decoded so far, given as IMAGE batches (B, H, W, 3)."""
        self.done = [charts.picture(one) for one in torch.cat(pictures)]
        self.bar.update_absolute(min(self.behind, self.total), self.total, sheet(self.done))


class GraphProgress:
    """Steps of a graph: passes them on to core's callback, and shows all variables in the making side by side.

    models: the MODEL of each variable, in the order of the pack.
    """

    def __init__(self, models: Sequence, callback):
        self.models, self.callback = models, callback
        found: dict[int, Any] = {}
        for model in models:
            if id(model.model) not in found:
                found[id(model.model)] = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self.previewers = [found[id(model.model)] for model in models]

    def step(self, step: int, x0, x, total: int) -> None:
        """x0: of all variables, a tensor or core's pack of several, each as its own model scales latents."""
        parts = x0.unbind() if x0.is_nested else [x0]
        if self.callback is not None:
            self.callback(step, self._as_first(parts) if x0.is_nested else x0, x, total)
        if len(parts) > 1 and all(self.previewers):
            pictures = [
                previewer.decode_latent_to_preview(part[:1])
                for previewer, part in zip(self.previewers, parts, strict=True)
            ]
            comfy.utils.ProgressBar(total).update_absolute(step + 1, total, sheet(pictures))

    def _as_first(self, parts: Sequence[torch.Tensor]) -> comfy.nested_tensor.NestedTensor:
        """All parts as the first model scales latents: core scales what the callback gets back by that one model."""
        first = self.models[0].model
        return comfy.nested_tensor.NestedTensor(
            [
                part if own.model is first else first.process_latent_in(own.model.process_latent_out(part))
                for own, part in zip(self.models, parts, strict=True)
            ]
        )


def show_result(chart: torch.Tensor, total: int) -> None:
    """Make a chart (1, H, W, 3) the last preview of the running node, in its full size; total: of its progress.

    The classic front end keeps a node's last live preview on top of the pictures it puts out.
    """
    comfy.utils.ProgressBar(total).update_absolute(total, total, ("PNG", charts.picture(chart[0]), None))


def show_text(text: str, node: type) -> None:
    """Show a line of words on the running ``node``, a class whose schema asks for ``io.Hidden.unique_id``.

    Both renderers show such text, as core's own nodes use it; of a node's ``ui`` text they show nothing. Nothing
    happens where there is no server.
    """
    from server import PromptServer

    server, hidden = getattr(PromptServer, "instance", None), node.hidden
    if server is not None and hidden is not None and hidden.unique_id:
        server.send_progress_text(text, hidden.unique_id)


def send(event: str, data: dict, node: type) -> None:
    """Tell the browser that queued the run something about the running ``node``, a class whose schema asks for
    ``io.Hidden.unique_id``: an event with the execution id as "node". Nothing happens where there is no server."""
    from server import PromptServer

    server, hidden = getattr(PromptServer, "instance", None), node.hidden
    if server is not None and hidden is not None and hidden.unique_id:
        server.send_sync(event, {"node": hidden.unique_id, **data}, server.client_id)


def sheet(pictures: list[Image.Image]) -> tuple[str, Image.Image, int]:
    """Pictures side by side in a near-square grid, as a preview for the host's progress bar.

    Pictures are scaled to the largest among them, or to a multiple of it, without smoothing: maps have hard edges.
    """
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    columns = 1
    while columns * columns < len(pictures):
        columns += 1
    rows = -(-len(pictures) // columns)
    grow = max(1, PREVIEW_SIDE // max(columns * width, rows * height))
    width, height = grow * width, grow * height
    out = Image.new("RGB", (columns * width, rows * height), (32, 32, 32))
    for index, picture in enumerate(pictures):
        scaled = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        out.paste(scaled, (index % columns * width, index // columns * height))
    return "PNG", out, PREVIEW_SIDE


class EditProgress:
    """Steps of an edit: the first picture in the making, where the host has latent previews switched on, and beside it the mask
    of each concept at this step, white where it acts."""

    def __init__(self, model, steps: int):
        self.bar, self.steps = comfy.utils.ProgressBar(steps), steps
        self.previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

    def step(self, number: int, state, _x, _total: int) -> None:
        """state: of ``sampling.edits.edit``."""
        shown = [] if self.previewer is None else [self.previewer.decode_latent_to_preview(state.x0[:1])]
        grey = (state.masks[:, 0, 0].float().cpu().clamp(0, 1) * 255).to(torch.uint8)
        shown += [Image.fromarray(one.numpy()).convert("RGB") for one in grey]
        self.bar.update_absolute(number + 1, self.steps, sheet(shown))
