"""`python -m tools.measure_counts`: do sampled maps hold the numbers that a prompt says, and what does choosing by them bring?

Of the embedded family: held-out prompts that say a number above one ("two birds"), ten maps each. Every map is scored by
classes alone and with counts, and the best of ten is chosen either way.
"""

from __future__ import annotations

import argparse

import torch

from comfyui_fgdm.iconworld.family import export, shipped
from comfyui_fgdm.iconworld.family.recipes import RECIPES
from comfyui_fgdm.iconworld.measure import evaluate
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import recall, words
from comfyui_fgdm.objects.sentence import Reading

HELD_OUT = 240  # held-out prompts that there are
ROWS = (
    "mean recall of a map, classes alone", "recall of the best of ten, classes alone",
    "mean recall of a map, with counts", "recall of the best of ten, with counts",
    "numbers that a map holds", "numbers that the map chosen by classes holds", "numbers that the map chosen by counts holds",
)  # fmt: skip


def row(prompt: evaluate.Prompt, family: shipped.Family, side: int) -> list[float] | None:
    """The figures of one prompt, by ``ROWS``; None for one without a number above one."""
    classes = family.factors["segmentation"].info.classes
    plain = words.restrict(words.parse(prompt.text), classes)
    counted = words.restrict(words.parse(prompt.text, reading=Reading(counts=True)), classes)
    several = [number for number, item in enumerate(counted.items) if item.count > 1]
    if not several:
        return None
    noise = evaluate.start_noise(family, prompt.seed, evaluate.CANDIDATES, side)
    maps = evaluate.draw_maps(family, family.map("segmentation"), noise, prompt.text)
    labels = palettes.decode(maps, palettes.COCO, classes)
    alone, with_counts = recall.score(labels, plain), recall.score(labels, counted)
    held = with_counts.present[:, several].float()
    chosen = [held[recall.best(scores)[0]] for scores in (alone, with_counts)]
    figures = [scores.recall for scores in (alone, with_counts)]
    return [
        *(float(value) for one in figures for value in (one.mean(), one.max())),
        *(float(value.mean()) for value in (held, *chosen)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_counts", description=__doc__)
    parser.add_argument("--prompts", type=int, default=30, help="prompts with numbers")
    options = parser.parse_args()
    recipe = RECIPES["cpu"]
    family = shipped.load(recipe.unet, root=export.WEIGHTS)
    rows: list[list[float]] = []
    for prompt in evaluate.prompts(HELD_OUT):
        if len(rows) < options.prompts and (found := row(prompt, family, recipe.size // 8)):
            rows.append(found)
            print(f"counts: {len(rows)} of {options.prompts} prompts", flush=True)
    for name, value in zip(ROWS, torch.tensor(rows).mean(0).tolist(), strict=True):
        print(f"{name}: {value:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
