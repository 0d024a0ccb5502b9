"""Editing an inversion by concepts under the MODEL it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ...maps.reader import Reader
from ...sampling.edits import Concept, EditState, Predictions, edit
from ...sampling.inversion import InversionError
from .. import own
from ..progress import EditProgress
from ..reading import read_maps, reader_by_looks, to_image
from .capture import Capture, captured, grid_factor
from .concepts import Words, Written, acts_by_attention, classes_of, encode, in_cells, region_of
from .guider import BASE, Conditions, Walk, order_of, run
from .invert import Inverted, placed


@dataclass(frozen=True)
class Edited:
    """latent: as a LATENT has it. mask: MASK (B, H, W), 1 where any concept acted at any step. concepts: MASK (concepts x B,
    H, W), the share of steps at which each acted there. said: what a user should know, empty if nothing."""

    latent: torch.Tensor
    mask: torch.Tensor
    concepts: torch.Tensor
    said: str


def edit_inversion(
    model,
    clip,
    negative,
    inverted: Inverted,
    concepts: Sequence[Written],
    *,
    map_image: torch.Tensor | None = None,
    reader: Reader | None = None,
    hold: bool = True,
    start: int = 0,
) -> Edited:
    """Replay an inversion with concepts added and removed. One call of the model a step, of 1 + concepts prompts.

    negative: CONDITIONING as at the inversion; other ControlNets change the latent by themselves. map_image: IMAGE of the map
    whose classes concepts name as their `where`, read by ``reader`` (None: by its looks). hold: where all concepts have
    regions, keep the latents outside of these as they were. start: steps to leave out at the beginning.
    """
    inverted.check(model)
    if not concepts:
        raise InversionError("concepts: there is none. Connect a Concepts node, and write what to add or remove.")
    source = inverted.inversion.source
    scale = model.get_model_object("latent_format").spacial_downscale_ratio
    cells = (source.shape[-2], source.shape[-1])
    pixels = (cells[0] * scale, cells[1] * scale)
    labels = None if map_image is None else _labels(map_image, reader, len(source), pixels)
    words = [encode(clip, one.text, negative) for one in concepts]
    bounds = [_region(one, labels, reader, map_image, len(source), cells) for one in concepts]
    guided = [replace(one.how, region=bound) for one, bound in zip(concepts, bounds, strict=True)]
    held = [bound for bound in bounds if bound is not None]
    allowed = (
        torch.stack([b.expand(len(source), 1, *cells) for b in held]).amax(0)
        if hold and len(held) == len(bounds)
        else None
    )
    clone, capture = captured(model)
    factor = None
    if any(map(acts_by_attention, guided)):
        factor = grid_factor(model, cells)
        if factor is None:
            raise InversionError(
                "concepts: masks by attention need a model with cross-attention to words, such as Stable Diffusion. Choose the "
                "mask 'noise' or 'region only'."
            )
    guider = Conditions(clone, {BASE: negative, **{str(k): one.conditioning for k, one in enumerate(words)}})

    def begin(guider: Conditions, latent: torch.Tensor, options: dict):
        def move(t):
            return t.to(latent.device)

        placed_concepts = [replace(one, region=None if one.region is None else move(one.region)) for one in guided]
        predict = _predictor(guider, options, capture, factor, cells, words, guided)
        bound = None if allowed is None else move(allowed)
        return _counted(edit(predict, placed(inverted.inversion, move), placed_concepts, start=start, allowed=bound))

    progress = EditProgress(model, inverted.inversion.steps - start)
    walk = Walk(begin, lambda found: found[0])
    # The start is the inversion's own; the latent only tells core the shape, scaled back so that core scales it again.
    out = run(guider, walk, model.model.process_latent_out(source), inverted.inversion.sigmas, progress.step)
    _, shares = walk.result
    at_all = shares.amax(0) > 0
    return Edited(
        latent=to_image(out),
        mask=to_image(F.interpolate(at_all.float(), pixels)[:, 0]),
        concepts=to_image(F.interpolate(shares.flatten(0, 1), pixels)[:, 0]),
        said=_remarks(concepts, words, at_all, inverted),
    )


def _labels(image: torch.Tensor, reader: Reader | None, batch: int, pixels: tuple[int, int]) -> torch.Tensor:
    """Labels (1 or B, H, W) of the map that regions are taken from. InversionError where it does not belong to the latents."""
    if tuple(image.shape[1:3]) != pixels or len(image) not in (1, batch):
        raise InversionError(
            f"map: it has {len(image)} pictures of {image.shape[2]} x {image.shape[1]} pixels, but the inversion holds {batch} of "
            f"{pixels[1]} x {pixels[0]}. Connect the map that was inverted, or of the picture that was."
        )
    library = own.library()
    return read_maps(image, reader or reader_by_looks(image, library), name="map", others=library.all).labels


def _region(
    one: Written, labels: torch.Tensor | None, reader: Reader | None, image: torch.Tensor | None, batch: int, cells
) -> torch.Tensor | None:
    """The region of a concept in cells, float 1 or B x 1 x h x w; None if it may act anywhere."""
    found = None
    if one.where.strip():
        if labels is None or image is None:
            raise InversionError(
                f"where: {one.where!r} names classes of a map, but no map is connected. Connect it to 'map', or leave 'where' empty."
            )
        reading = reader or reader_by_looks(image, own.library())
        classes = classes_of(one.where, reading)
        if not torch.isin(labels, torch.tensor(classes)).any():
            names = reading.with_classes().labels
            there = ", ".join(names[label].name for label in labels.unique().tolist())
            raise InversionError(f"where: there is no {one.where} on the map; there is {there}.")
        found = in_cells(region_of(labels, classes, one.grow), cells)
    if one.mask is not None:
        mask = one.mask.float().cpu().reshape(-1, 1, *one.mask.shape[-2:]).clamp(0, 1)
        if len(mask) not in (1, batch):
            raise InversionError(
                f"mask: it holds {len(mask)} masks, but the inversion {batch} latents. Give one, or one each."
            )
        found = in_cells(mask, cells) if found is None else found * in_cells(mask, cells)
    return found


def _predictor(
    guider: Conditions, options: dict, capture: Capture, factor: int | None, cells, words: Sequence[Words], concepts: Sequence[Concept]
):  # fmt: skip
    """The engine's view of the model: all conditionings of a step in as few calls as memory allows."""

    def predict(x: torch.Tensor, sigma: torch.Tensor, acting: tuple[int, ...]) -> Predictions:
        names = [str(k) for k in acting]
        order = order_of(names)
        watched = {order.index(str(k)): words[k].tokens for k in acting if acts_by_attention(concepts[k])}
        mean = capture.watch(cells, factor, watched) if watched and factor is not None else None
        try:
            found = guider.predictions(x, sigma, names, options)
        finally:
            capture.mean = None
        maps = {} if mean is None else mean.maps()
        return Predictions(
            found[BASE], [found[name] for name in names], [maps.get(order.index(name)) for name in names]
        )

    return predict


def _counted(steps):
    """The walk, with its latents and the share of steps at which each concept acted at each cell, concepts x B x 1 x h x w."""
    total, count = None, 0
    while True:
        try:
            state: EditState = next(steps)
        except StopIteration as end:
            assert total is not None  # there is at least one step
            return end.value, (total / count).cpu()
        total, count = (state.masks.clone() if total is None else total + state.masks), count + 1
        yield state


def _remarks(concepts: Sequence[Written], words: Sequence[Words], at_all: torch.Tensor, inverted: Inverted) -> str:
    lines = [f"{'-' if one.how.remove else '+'}{one.text}" for one in concepts]
    said = [f"{' '.join(lines)}: {100 * float(at_all.float().mean()):.0f} % of the picture was open to change."]
    if lacking := [one.text for one, word in zip(concepts, words, strict=True) if word.unknown]:
        said.append(f"Words of {', '.join(map(repr, lacking))} are unknown to the text encoder and were left out.")
    if not inverted.exact:
        said.append("A source prompt guided the inversion, so what is not edited changes a little too.")
    return " ".join(said)
