"""Ways to edit maps and pictures of the embedded family, each measured on one edit: what `make eval-edits` runs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

SIZE, STEPS, SKIP, GROW = 128, 10, 0.15, 8
MAP_CFG, IMAGE_CFG = 4.0, 3.0
KINDS = ("add", "remove", "replace")
HOW = {"scale": 4.0, "threshold": 0.9, "grow": GROW, "warm_up": 0, "cool_down": 0}
"""Chosen on eight held-out prompts from the 151st on, which are not measured here."""
GROUNDS = {148: "on the road", 123: "on the grass", 153: "on sand", 158: "on the snow", 154: "on the sea"}
PASTED, HARMONISED = 4, {"steps": 6, "denoise": 0.4}
"""Pixels by which what is pasted grows and then fades out; of the KSampler that harmonises it. As the shipped workflow has them."""
FAR = 40  # pixels by which objects are moved
ARRIVED, LEFT = 0.5, 0.25
"""Shares of its new place, outside of the old one, that a moved object has to cover, and of its old place that it may."""

Row = dict[str, list[float]]
"""[success, change elsewhere] by way."""


@dataclass(frozen=True)
class Edit:
    """One edit. goes, comes: labels, None where none does. moved: the label of what stays but moves."""

    kind: str
    goes: int | None = None
    comes: int | None = None
    moved: int | None = None

    @property
    def labels(self) -> list[int]:
        return [label for label in (self.goes, self.comes, self.moved) if label is not None]


class Ways:
    """The embedded family in a host, and all ways to edit with it."""

    def __init__(self, host: Any) -> None:
        from comfyui_fgdm.iconworld.family import export, judge
        from comfyui_fgdm.iconworld.world import classes
        from tools.inprocess import embedded

        family = embedded(host)
        self.host, self.world = host, classes
        self.model, self.clip, self.vae = family.model, family.clip, family.vae
        self.factor, self.net, self.mapped = family.factor, family.net, family.mapped
        self.judge = judge.load(export.files().reader("judge"))
        self.empty = self.encode("")

    def measure(self, text: str, seed: int, kind: str, pictures: bool) -> dict[str, Row] | None:
        """Rows of one edit of the map of a prompt, and of its picture, by what they are of; None for a map without a thing."""
        labels = self.clean(self.read(self.sample(self.mapped, text, self.empty, MAP_CFG, seed=seed)))
        edit = self.choose(kind, labels, seed)
        if edit is None:
            return None
        found, finished = self.maps(edit, labels, seed)
        rows = {"map": found}
        if pictures:
            old = self.factor.reader.draw(labels[None])
            before = self.decode(self.sample(self.model, *self.prompted(self.text(labels), old), IMAGE_CFG, seed=seed))
            inversion = self.invert(self.model, self.hinted(self.empty, old), self.latent_of(before), seed)
            rows["picture"] = self.pictures(edit, labels, finished, before, inversion, seed)
            if (moved := self.move(labels)) is not None:
                rows["moved"] = self.pictures(*moved, before, inversion, seed)
        return rows

    # What is edited

    def choose(self, kind: str, labels: torch.Tensor, seed: int) -> Edit | None:
        rng, there = random.Random(seed), self.present(labels)
        things = [label for label in self.world.CPU_THINGS if label in there]
        others = [label for label in self.world.CPU_THINGS if label not in there]
        if not things and kind != "add":
            return None
        return Edit(
            kind, None if kind == "add" else rng.choice(things), None if kind == "remove" else rng.choice(others)
        )

    def move(self, labels: torch.Tensor) -> tuple[Edit, torch.Tensor, torch.Tensor] | None:
        """The largest object that can move by FAR pixels to one side without leaving the map, and maps before and after."""
        regions = self.host.engine("comfyui_fgdm.maps.regions")
        for one in regions.find_regions(labels, self.world.CPU_THINGS):
            left, _, right, _ = one.box
            side = "left" if left >= SIZE - right else "right"
            if (left if side == "left" else SIZE - right) < FAR:
                continue
            words = f"move the {self.word(one.label)} {side} by {FAR} pixels"
            image = self.host.call("FGDM_EditByWords", map=self.factor.reader.draw(labels[None]), instructions=words, factor=self.factor)[0]  # fmt: skip
            return Edit("move", moved=one.label), labels, self.factor.reader.read(image)[0]
        return None

    def present(self, labels: torch.Tensor) -> set[int]:
        recall, palettes = (self.host.engine(f"comfyui_fgdm.{name}") for name in ("objects.recall", "maps.palettes"))
        areas = recall.class_areas(labels[None], len(palettes.COCO))[0]
        return set(recall.is_present(areas).nonzero().flatten().tolist())

    def succeeded(self, edit: Edit, found: torch.Tensor, old: torch.Tensor, new: torch.Tensor) -> bool:
        """Whether labels that were found show the edit of a map `old` into `new`."""
        if edit.moved is not None:
            seen, was, now = (one == edit.moved for one in (found, old, new))
            return bool(seen[now & ~was].float().mean() >= ARRIVED) and bool(seen[was & ~now].float().mean() < LEFT)
        there = self.present(found)
        return (edit.goes is None or edit.goes not in there) and (edit.comes is None or edit.comes in there)

    def text(self, labels: torch.Tensor, edit: Edit = Edit("none")) -> str:  # noqa: B008 (frozen)
        """A prompt of what the map is to hold."""
        there = self.present(labels) - {edit.goes} | ({edit.comes} if edit.comes is not None else set())
        words = [self.word(label) for label in self.world.CPU_THINGS if label in there]
        listed = [("an " if word[0] in "aeiou" else "a ") + word for word in words]
        ground = next((phrase for label, phrase in GROUNDS.items() if label in there), "")
        return f"{' and '.join([', '.join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)} {ground}".strip()

    def word(self, label: int) -> str:
        return self.world.THING_BY_INDEX[label].words[0][0]

    # Ways to edit a map

    def maps(self, edit: Edit, labels: torch.Tensor, seed: int) -> tuple[Row, torch.Tensor]:
        """All ways, and the map edited by text and finished."""
        image = self.factor.reader.draw(labels[None])
        latent, text = self.latent_of(image), self.text(labels, edit)
        inversion = self.invert(self.mapped, self.empty, latent, seed)
        out, mask = self.edit(self.mapped, self.empty, inversion, edit, image)
        done = self.host.call("FGDM_FinishMap", original=image, edited=self.decode(out), mask=mask, clean=0.0025, factor=self.factor)[0]  # fmt: skip
        finished = self.factor.reader.read(done)[0]
        ways = {
            "text": self.clean(self.read(out)),
            "text, finished": finished,
            "img2img": self.clean(self.read(self.sample(self.mapped, text, self.empty, MAP_CFG, latent, seed))),
            "recolour": self.recoloured(edit, labels),
        }
        if edit.goes is not None:
            inside = {**latent, "noise_mask": self.near(labels == edit.goes).float()[None]}
            ways["img2img in region"] = self.clean(
                self.read(self.sample(self.mapped, text, self.empty, MAP_CFG, inside, seed))
            )
        row = {}
        for way, found in ways.items():
            outside = ~self.near(self.affected(edit, labels) | self.affected(edit, found))
            changed = (found != labels)[outside].float().mean()
            row[way] = [float(self.succeeded(edit, found, labels, found)), float(changed)]
        return row, finished

    def recoloured(self, edit: Edit, labels: torch.Tensor) -> torch.Tensor:
        found = labels.clone()
        if edit.goes is not None:
            found[labels == edit.goes] = 182 if edit.comes is None else edit.comes
        elif edit.comes is not None:
            found[72:112, 48:88] = edit.comes
        return self.clean(found)

    def invert(self, model, negative, latent, seed: int):
        return self.host.call(
            "FGDM_Invert", model=model, negative=negative, latent=latent, seed=seed % 2**32, steps=STEPS, skip=SKIP,
            scheduler="sgm_uniform", order="2", source_cfg=1.0,
        )[0]  # fmt: skip

    def edit(self, model, negative, inversion, edit: Edit, image: torch.Tensor):
        """Latent and mask of an edit by text. image: the map whose classes bound it, for a move the later one."""
        bound, hold = {"masks": "attention and noise", "where": ""}, True
        if (there := edit.goes if edit.moved is None else edit.moved) is not None:
            bound, hold = {"masks": "region only", "where": self.world.THING_BY_INDEX[there].name}, edit.moved is None
        signs = (("+", edit.comes), ("-", edit.goes), ("+", edit.moved))
        text = " ".join(f"{sign}{self.word(label)}" for sign, label in signs if label is not None)
        (concepts,) = self.host.call("FGDM_Concepts", text=text, **HOW, **bound)
        latent, mask, _ = self.host.call(
            "FGDM_EditByText", model=model, clip=self.clip, negative=negative, inversion=inversion, concepts=concepts,
            hold_outside=hold, leave_out=0, map=image, factor=self.factor,
        )  # fmt: skip
        return latent, mask

    # Ways to edit a picture

    def pictures(
        self, edit: Edit, labels: torch.Tensor, changed: torch.Tensor, before: torch.Tensor, inversion, seed: int
    ) -> Row:
        old, new = (self.factor.reader.draw(one[None]) for one in (labels, changed))
        positive, negative = self.prompted(self.text(labels, edit), new)
        out, _ = self.edit(self.model, negative, inversion, edit, old if edit.moved is None else new)
        again = {"latent": self.latent_of(before), "seed": seed}
        ways = {
            "text": self.decode(out),
            "img2img": self.decode(self.sample(self.model, positive, negative, IMAGE_CFG, **again)),
            "anew": self.decode(self.sample(self.model, positive, negative, IMAGE_CFG, seed=seed + 1)),
        }
        for way in ("text", "anew"):
            ways[f"{way}, pasted"] = self.pasted(before, ways[way], old, new, positive, negative, seed)
        ways["before"] = before
        row = {}
        for way, found in ways.items():
            seen = self.judge((found * 255).round() / 255)[0]
            outside = ~self.near(self.affected(edit, labels) | self.affected(edit, changed))
            elsewhere = (found - before).abs().mean(-1)[0][outside].mean()
            row[way] = [float(self.succeeded(edit, seen, labels, changed)), float(elsewhere)]
        if edit.moved is not None:  # whether the judge sees it where it is: no more can be expected of a move
            seen = self.judge((before * 255).round() / 255)[0] == edit.moved
            row["before"][0] = float(seen[(labels == edit.moved) & (changed != edit.moved)].float().mean() >= ARRIVED)
        return row

    def pasted(self, before, edited, old, new, positive, negative, seed: int) -> torch.Tensor:
        """What was edited, pasted into the picture as it was and harmonised, as the shipped workflow does."""
        paste = {"original": before, "before": old, "after": new, "factor": self.factor}
        image, mask = self.host.call("FGDM_PasteEdited", edited=edited, grow=PASTED, feather=PASTED, **paste)
        latent = self.host.call("SetLatentNoiseMask", samples=self.latent_of(image), mask=mask)[0]
        latent = self.sample(self.model, positive, negative, IMAGE_CFG, latent, seed, **HARMONISED)
        return self.host.call("FGDM_PasteEdited", original=before, edited=self.decode(latent), mask=mask, grow=0, feather=0)[0]  # fmt: skip

    def prompted(self, text: str, image: torch.Tensor):
        return self.hinted(self.encode(text), image), self.hinted(self.empty, image)

    def hinted(self, conditioning, image: torch.Tensor):
        return self.host.call(
            "ControlNetApplyAdvanced", positive=conditioning, negative=conditioning, control_net=self.net, image=image,
            strength=1.0, start_percent=0.0, end_percent=1.0,
        )[0]  # fmt: skip

    # The host's nodes, in short

    def encode(self, text: str):
        return self.host.call("CLIPTextEncode", clip=self.clip, text=text)[0]

    def sample(
        self, model, positive, negative, cfg: float, latent=None, seed: int = 0, steps: int = STEPS, denoise: float = 1 - SKIP
    ):  # fmt: skip
        """From noise, or from a latent, at the strength of the edits."""
        if isinstance(positive, str):
            positive = self.encode(positive)
        empty = {"samples": torch.zeros(1, 12, SIZE // 8, SIZE // 8)}
        return self.host.call(
            "KSampler", model=model, seed=seed, steps=steps, cfg=cfg, sampler_name="ddim", scheduler="sgm_uniform",
            positive=positive, negative=negative, latent_image=latent or empty, denoise=1.0 if latent is None else denoise,
        )[0]  # fmt: skip

    def decode(self, latent) -> torch.Tensor:
        return self.host.call("VAEDecode", samples=latent, vae=self.vae)[0].float()

    def latent_of(self, image: torch.Tensor):
        return self.host.call("VAEEncode", pixels=image, vae=self.vae)[0]

    def read(self, latent) -> torch.Tensor:
        return self.factor.reader.read(self.decode(latent))[0]

    def clean(self, labels: torch.Tensor) -> torch.Tensor:
        return self.factor.reader.clean(labels[None])[0]

    def near(self, mask: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(mask.float()[None, None], 2 * GROW + 1, stride=1, padding=GROW)[0, 0] > 0

    @staticmethod
    def affected(edit: Edit, labels: torch.Tensor) -> torch.Tensor:
        return torch.isin(labels, torch.tensor(edit.labels))
