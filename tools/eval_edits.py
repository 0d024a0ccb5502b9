"""`make eval-edits`: edits by text of maps and pictures of the embedded family, against simpler ways to do the same.

Each edit adds a class to a map of a held-out prompt, removes one, or replaces one by another. A way succeeds if the class is there
or gone afterwards, by the rule by which recall counts objects: on the map as it is read, and in the picture by the judge. How much
else changed is the share of pixels of another class outside the affected region: where the class was or now is, widened by 8 pixels.

Ways, all from the same map, with as many steps from the same noise level:
  text       Edit by Text; bounded to the class that goes, else by its own masks. finished: the same after Finish Edited Map
  img2img    KSampler with the changed prompt; in region: the same with a noise mask of the class that goes
  recolour   no model: the class that goes is filled with what is next to it or repainted, a new class is a box on the ground
Pictures, of the same edits: text under the image factor with the old map, then with the finished one; img2img with the changed
prompt and the finished map; anew: another picture of the finished map. Writes runs/edits.json.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from tools.inprocess import boot
from tools.server import CACHE, ROOT

SIZE, STEPS, SKIP, GROW = 128, 10, 0.15, 8
MAP_CFG, IMAGE_CFG = 4.0, 3.0
KINDS = ("add", "remove", "replace")
HOW = {"scale": 4.0, "threshold": 0.9, "grow": GROW, "warm_up": 0, "cool_down": 0}
"""Chosen on eight held-out prompts from the 151st on, which are not measured here."""
GROUNDS = {148: "on the road", 123: "on the grass", 153: "on sand", 158: "on the snow", 154: "on the sea"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=102, help="of maps")
    parser.add_argument("--pictures", type=int, default=30, help="how many of them are made of pictures as well")
    parser.add_argument("--first", type=int, default=0, help="the held-out prompt to begin with")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "edits.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edits-", dir=CACHE) as base:
        host = boot(Path(base))
        with torch.inference_mode():
            measure = Measure(host)
            for done in measure.run(options.edits, options.pictures, options.first):
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(measure.report(), indent=1))
                print(f"edits: {done} of {options.edits}", flush=True)
    print(options.out.read_text())
    return 0


@dataclass(frozen=True)
class Edit:
    """One edit. goes, comes: labels, None where none does."""

    kind: str
    goes: int | None
    comes: int | None

    def succeeded(self, present: set[int]) -> bool:
        return (self.goes is None or self.goes not in present) and (self.comes is None or self.comes in present)


class Measure:
    """The embedded family in a host, and all ways to edit with it."""

    def __init__(self, host: Any) -> None:
        from comfyui_fgdm.iconworld.family import export, judge
        from comfyui_fgdm.iconworld.world import classes

        files = export.files()
        self.host, self.world = host, classes
        self.model, self.clip, self.vae = host.call("FGDM_LoadEmbedded", model_name=files.base.name)
        self.factor = host.call("FGDM_LoadFactor", factor_name=files.factor("segmentation").name)[0]
        self.net = host.call("FGDM_LoadEmbeddedImageFactor", image_factor_name=files.control("segmentation").name)[0]
        self.mapped = host.call("FGDM_ApplyFactor", model=self.model, factor=self.factor, strength=1.0, start_percent=0.0, end_percent=1.0)[0]  # fmt: skip
        self.judge = judge.load(files.reader("judge"))
        self.empty = self.encode("")
        self.rows: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))

    def run(self, count: int, pictures: int, first: int) -> Iterator[int]:
        """Measures edit after edit and yields how many there are by now."""
        from comfyui_fgdm.iconworld.measure import evaluate

        self.start, done = time.process_time(), 0
        for prompt in evaluate.prompts(200)[first:]:
            if done == count:
                return
            latent = self.sample(self.mapped, prompt.text, self.empty, MAP_CFG, seed=prompt.seed)
            labels = self.clean(self.read(latent))
            edit = self.choose(KINDS[done % 3], labels, prompt.seed)
            if edit is None:
                continue  # a map without a thing on it
            finished = self.maps(edit, labels, prompt.seed)
            if done < pictures:
                self.pictures(edit, labels, finished, prompt.seed)
            done += 1
            yield done

    def report(self) -> dict[str, Any]:
        from comfyui_fgdm.iconworld.measure import measuring

        report: dict[str, Any] = {"cpu seconds": round(time.process_time() - self.start)}
        for way, kinds in self.rows.items():
            report[way] = {kind: _shares(rows, measuring.interval) for kind, rows in kinds.items()}
            report[way]["all"] = _shares([row for rows in kinds.values() for row in rows], measuring.interval)
        return report

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

    def present(self, labels: torch.Tensor) -> set[int]:
        recall, palettes = (self.host.engine(f"comfyui_fgdm.{name}") for name in ("objects.recall", "maps.palettes"))
        areas = recall.class_areas(labels[None], len(palettes.COCO))[0]
        return set(recall.is_present(areas).nonzero().flatten().tolist())

    def text(self, labels: torch.Tensor, edit: Edit) -> str:
        """A prompt of what the map is to hold."""
        there = self.present(labels) - {edit.goes} | ({edit.comes} if edit.comes is not None else set())
        words = [self.word(label) for label in self.world.CPU_THINGS if label in there]
        listed = [("an " if word[0] in "aeiou" else "a ") + word for word in words]
        ground = next((phrase for label, phrase in GROUNDS.items() if label in there), "")
        return f"{' and '.join([', '.join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)} {ground}".strip()

    def word(self, label: int) -> str:
        return self.world.THING_BY_INDEX[label].words[0][0]

    def changes(self, edit: Edit) -> str:
        parts = [
            f"{sign}{self.word(label)}" for sign, label in (("+", edit.comes), ("-", edit.goes)) if label is not None
        ]
        return " ".join(parts)

    # Ways to edit a map

    def maps(self, edit: Edit, labels: torch.Tensor, seed: int) -> torch.Tensor:
        """Measure all ways; returns the map edited by text and finished."""
        image = self.factor.reader.draw(labels[None])
        latent, text = self.latent_of(image), self.text(labels, edit)
        out, mask = self.edit(self.mapped, self.empty, self.empty, latent, edit, image, seed)
        raw = self.clean(self.read(out))
        done = self.host.call("FGDM_FinishMap", original=image, edited=self.decode(out), mask=mask, clean=0.0025, factor=self.factor)[0]  # fmt: skip
        finished = self.factor.reader.read(done)[0]
        where = torch.ones(1, SIZE, SIZE) if edit.goes is None else self.near(labels == edit.goes).float()[None]
        ways = {
            "text": raw,
            "text, finished": finished,
            "img2img": self.clean(self.read(self.sample(self.mapped, text, self.empty, MAP_CFG, latent, seed))),
            "recolour": self.recoloured(edit, labels),
        }
        if edit.goes is not None:
            inside = {**latent, "noise_mask": where}
            ways["img2img in region"] = self.clean(
                self.read(self.sample(self.mapped, text, self.empty, MAP_CFG, inside, seed))
            )
        for way, found in ways.items():
            outside = ~self.near(self.affected(edit, labels) | self.affected(edit, found))
            changed = (found != labels)[outside].float().mean()
            self.rows[f"map: {way}"][edit.kind].append([edit.succeeded(self.present(found)), float(changed)])
        return finished

    def recoloured(self, edit: Edit, labels: torch.Tensor) -> torch.Tensor:
        found = labels.clone()
        if edit.goes is not None:
            found[labels == edit.goes] = 182 if edit.comes is None else edit.comes
        elif edit.comes is not None:
            found[72:112, 48:88] = edit.comes
        return self.clean(found)

    def edit(self, model, negative, after, latent, edit: Edit, image, seed: int):
        """Latent and mask of an edit by text. negative: at the inversion; after: at the edit."""
        (inversion,) = self.host.call(
            "FGDM_Invert", model=model, negative=negative, latent=latent, seed=seed % 2**32, steps=STEPS, skip=SKIP,
            scheduler="sgm_uniform", order="2", source_cfg=1.0,
        )  # fmt: skip
        bound = {"masks": "attention and noise", "where": ""}
        if edit.goes is not None:
            bound = {"masks": "region only", "where": self.world.THING_BY_INDEX[edit.goes].name}
        (concepts,) = self.host.call("FGDM_Concepts", text=self.changes(edit), **HOW, **bound)
        latent, mask, _ = self.host.call(
            "FGDM_EditByText", model=model, clip=self.clip, negative=after, inversion=inversion, concepts=concepts,
            hold_outside=True, leave_out=0, map=image, factor=self.factor,
        )  # fmt: skip
        return latent, mask

    # Ways to edit a picture

    def pictures(self, edit: Edit, labels: torch.Tensor, finished: torch.Tensor, seed: int) -> None:
        old, new = (self.factor.reader.draw(one[None]) for one in (labels, finished))
        nothing = Edit("none", None, None)
        before = self.decode(
            self.sample(self.model, *self.prompted(self.text(labels, nothing), old), IMAGE_CFG, seed=seed)
        )
        latent, text = self.latent_of(before), self.text(labels, edit)
        positive, negative = self.prompted(text, new)
        out, _ = self.edit(self.model, self.hinted(self.empty, old), negative, latent, edit, old, seed)
        ways = {
            "text": self.decode(out),
            "img2img": self.decode(self.sample(self.model, positive, negative, IMAGE_CFG, seed=seed, latent=latent)),
            "anew": self.decode(self.sample(self.model, positive, negative, IMAGE_CFG, seed=seed + 1)),
        }
        for way, found in ways.items():
            seen = self.judge((found * 255).round() / 255)[0]
            outside = ~self.near(self.affected(edit, labels) | self.affected(edit, finished))
            changed = (found - before).abs().mean(-1)[0][outside].mean()
            self.rows[f"picture: {way}"][edit.kind].append([edit.succeeded(self.present(seen)), float(changed)])

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

    def sample(self, model, positive, negative, cfg: float, latent=None, seed: int = 0):
        """From noise, or from a latent at the strength of the edits."""
        if isinstance(positive, str):
            positive = self.encode(positive)
        empty = {"samples": torch.zeros(1, 12, SIZE // 8, SIZE // 8)}
        return self.host.call(
            "KSampler", model=model, seed=seed, steps=STEPS, cfg=cfg, sampler_name="ddim", scheduler="sgm_uniform",
            positive=positive, negative=negative, latent_image=latent or empty, denoise=1.0 if latent is None else 1 - SKIP,
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
        return torch.isin(labels, torch.tensor([label for label in (edit.goes, edit.comes) if label is not None]))


def _shares(rows: list[list[float]], interval) -> dict[str, Any]:
    """Success and change elsewhere, each a mean with its 95 % bootstrap interval."""
    table = np.array(rows, dtype=float)
    return {"edits": len(rows), "success": interval(table[:, 0]), "changed elsewhere": interval(table[:, 1])}


if __name__ == "__main__":
    raise SystemExit(main())
