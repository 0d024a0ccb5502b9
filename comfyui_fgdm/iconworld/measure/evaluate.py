"""Measure the shipped family on held-out prompts: map recall, image recall by the judge, and what plain sampling gives.

Selector and judge differ: maps are chosen by what they show (no model), images of the baseline by the `selector`, and every
final image is read by the `judge`; both read real pictures only in their training, from different seeds.
"""

from __future__ import annotations

import json
import platform
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...maps import palettes
from ...maps.cleaning import clean
from ...objects import charts, recall
from ...objects.words import ObjectItem, ObjectQuery
from ..family import export, shipped
from ..family import judge as judges
from ..family.autoencoder import PatchEncoder, load_encoder
from ..family.recipes import Recipe
from ..family.sample import base_velocity
from ..world import icons
from ..world.captions import make_caption
from ..world.classes import STUFF_BY_INDEX, THING_BY_INDEX
from ..world.draw import draw_scene
from ..world.layouts import sample_layout
from ..world.scenes import World, held_out
from . import evaluate_below
from .measuring import (
    FIRST_SEED,
    IMAGE_CFG,
    IMAGE_STEPS,
    MAP_CFG,
    MAP_STEPS,
    draw_images,
    draw_maps,
    interval,
    start_noise,
)

CANDIDATES = 10


@dataclass(frozen=True)
class Prompt:
    """A held-out caption: its class combination never occurs in training. named: COCO label indices it names."""

    text: str
    named: tuple[int, ...]
    seed: int

    @property
    def query(self) -> ObjectQuery:
        return ObjectQuery(items=tuple(_item(index) for index in self.named))


def _item(index: int) -> ObjectItem:
    name = (THING_BY_INDEX.get(index) or STUFF_BY_INDEX[index]).name
    return ObjectItem(phrase=name, label=index, name=name)


HELD_OUT = Path(__file__).parents[2] / "data" / "iconworld_held_out.json"


def prompts(count: int) -> list[Prompt]:
    """The first `count` of the held-out prompts kept in data/iconworld_held_out.json."""
    entries = json.loads(HELD_OUT.read_text(encoding="utf-8"))
    if not 1 <= count <= len(entries):
        raise ValueError(f"there are {len(entries)} held-out prompts; ask for 1 to {len(entries)}, not {count}")
    return [Prompt(entry["text"], tuple(entry["named"]), entry["seed"]) for entry in entries[:count]]


def make_prompts(count: int, world: World, bank, fewest: int = 3, most: int = 5) -> list[Prompt]:
    """Captions of the held-out split that name 3 to 5 classes: how HELD_OUT was made."""
    world, result, seed = replace(world, split="held-out"), [], FIRST_SEED
    while len(result) < count:
        layout = sample_layout(seed, world, bank)
        caption = make_caption(layout, seed)
        unseen = held_out({instance.index for instance in layout.instances})
        if unseen and fewest <= len(caption.named) <= most:
            result.append(Prompt(caption.text, caption.named, seed))
        seed += 1
    return result


def measure(
    prompt: Prompt,
    other: Prompt,
    family: shipped.Family,
    judge: judges.Reader,
    selector: judges.Reader,
    side: int,
) -> dict:
    """All figures of one prompt; `other` is the prompt its maps are scored against as the shuffled control."""
    noise = start_noise(family, prompt.seed, CANDIDATES, side)
    maps = draw_maps(family, family.map("segmentation"), noise, prompt.text)
    labels = palettes.decode(maps, palettes.COCO, family.factors["segmentation"].info.classes)
    scores = recall.score(labels, prompt.query)
    shuffled = recall.score(labels, other.query)
    chosen = int(recall.best(scores)[0])
    plain = draw_images(family, base_velocity(family.base), noise, prompt.text)
    plain_read = judge(plain)
    by_judge = recall.score(plain_read, prompt.query).recall
    picked = int(recall.best(recall.score(selector(plain), prompt.query))[0])
    shown = clean(labels[[0, chosen]], palettes.COCO.void)
    image = draw_images(
        family, family.image({"segmentation": palettes.encode(shown)}), noise[:1].expand(2, -1, -1, -1), prompt.text
    )
    read = judge(image)
    final = recall.score(read, prompt.query).recall
    agreement = (read[1] == shown[1]).float().mean()
    return {
        "prompt": prompt.text,
        "named": list(prompt.named),
        "map_recall_mean": float(scores.recall.mean()),
        "map_recall_1": float(scores.recall[0]),
        "map_recall_best": float(scores.recall[chosen]),
        "shuffled_mean": float(shuffled.recall.mean()),
        "shuffled_best": float(shuffled.recall.max()),
        "spurious_mean": float(scores.spurious.float().mean()),
        "a_plain_1": float(by_judge[0]),
        "a_for_another_prompt": _recall_of(plain_read[0], other.query),
        "b_plain_best_of_10": float(by_judge[picked]),
        "b_plain_mean": float(by_judge.mean()),
        "c_fgdm_1": float(final[0]),
        "d_fgdm_best_of_10": float(final[1]),
        "d_for_another_prompt": _recall_of(read[1], other.query),
        "map_kept_in_image": float(agreement),
    }


def summary(rows: list[dict]) -> dict:
    """Means with intervals, and the paired differences that the claims are about."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in ("prompt", "named", "number"))
    figures = {key: interval(np.array([row[key] for row in rows if key in row])) for key in keys}

    def paired(first: str, second: str) -> list[float]:
        return interval(np.array([row[first] - row[second] for row in rows if first in row and second in row]))

    return {
        "prompts": len(rows),
        "prompts with the baseline's best of 10": sum("b_plain_best_of_10" in row for row in rows),
        "figures": figures,
        "differences": {
            "d - a": paired("d_fgdm_best_of_10", "a_plain_1"),
            "d - b": paired("d_fgdm_best_of_10", "b_plain_best_of_10"),
            "d - c": paired("d_fgdm_best_of_10", "c_fgdm_1"),
            "c - a": paired("c_fgdm_1", "a_plain_1"),
            "map best - map 1": paired("map_recall_best", "map_recall_1"),
        },
        "settings": {
            "candidates": CANDIDATES,
            "map_steps": MAP_STEPS,
            "image_steps": IMAGE_STEPS,
            "map_cfg": MAP_CFG,
            "image_cfg": IMAGE_CFG,
            "presence": vars(recall.RULE),
        },
    }


def instruments(
    judge: judges.Reader,
    family: shipped.Family,
    encoder: PatchEncoder,
    world: World,
    bank,
    count: int = 100,
    size: int = 128,
) -> dict:
    """What the instruments read on true scenes, in known and held-out style: the judge on real pictures, on the same pictures
    through the autoencoder, and on images made from their true maps (the image factor alone, no sampled map); and the recall
    of the true maps themselves."""
    result = {}
    for name, scenes in (("known style", world), ("held-out style", world.held_out_style())):
        layouts = [sample_layout(FIRST_SEED // 2 + k, scenes, bank) for k in range(count)]
        drawn = [draw_scene(layout, bank, size) for layout in layouts]
        truth = torch.from_numpy(np.stack([scene.labels for scene in drawn]).astype(np.int64))
        pictures = torch.from_numpy(np.stack([scene.image for scene in drawn])).float() / 255
        with torch.no_grad():
            rebuilt = family.decode(encoder(pictures.permute(0, 3, 1, 2)))
        made = []
        for k, layout in enumerate(layouts):
            velocity = family.image({"segmentation": palettes.encode(truth[k : k + 1])})
            noise = start_noise(family, layout.seed, 1, size // 8)
            made.append(draw_images(family, velocity, noise, make_caption(layout, layout.seed).text))
        queries = [ObjectQuery(tuple(_item(i) for i in sorted(set(labels.unique().tolist())))) for labels in truth]
        readings = {
            "real pictures": judge(pictures),
            "real pictures through the autoencoder": judge(rebuilt),
            "images from true maps": judge(torch.cat(made)),
            "true maps": truth,
        }
        result[name] = {
            what: {
                "recall": round(float(np.mean([_recall_of(read[k], queries[k]) for k in range(count)])), 4),
                "pixels": round(float((read == truth).float().mean()), 4),
            }
            for what, read in readings.items()
        }
    return result


def _recall_of(labels: torch.Tensor, query: ObjectQuery) -> float:
    return float(recall.score(labels[None], query).recall[0])


def sample_sheet(count: int, family: shipped.Family, recipe: Recipe, path: Path) -> None:
    """A picture of the first `count` held-out prompts: candidate 0 of the map (not chosen) and the image made from it."""
    from PIL import Image, ImageDraw

    side, cell = recipe.size // 8, 2 * recipe.size
    todo = prompts(count)
    columns = 4
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * (cell + 8), rows * (cell // 2 + 44)), "white")
    pen = ImageDraw.Draw(sheet)
    for at, prompt in enumerate(todo):
        noise = start_noise(family, prompt.seed, 1, side)
        maps = draw_maps(family, family.map("segmentation"), noise, prompt.text)
        labels = palettes.decode(maps, palettes.COCO, family.factors["segmentation"].info.classes)
        hint = palettes.encode(clean(labels, palettes.COCO.void))
        image = draw_images(family, family.image({"segmentation": hint}), noise, prompt.text)
        x, y = at % columns * (cell + 8), at // columns * (cell // 2 + 44)
        for k, picture in enumerate((maps[0], image[0])):
            sheet.paste(charts.picture(picture), (x + k * cell // 2, y))
        for k, text in enumerate(textwrap.wrap(prompt.text, 40)[:3]):
            pen.text((x + 2, y + cell // 2 + 1 + 13 * k), text, fill="black")
    sheet.save(path, quality=88)


def main(folder: Path, recipe: Recipe, weights: Path, count: int, part: str, out: Path) -> None:
    """Measure prompts k, k + n, ... (part 'k/n') and append to out/rows_k.jsonl; then merge all rows there are."""
    number, parts = (int(n) for n in part.split("/"))
    out.mkdir(parents=True, exist_ok=True)
    files = export.files(weights)
    family = shipped.load(recipe.unet, root=weights)
    judge, selector = (judges.load(files.reader(part)) for part in ("judge", "selector"))
    todo, rows_file, start = prompts(count), out / f"rows_{number}.jsonl", time.monotonic()
    done = {json.loads(line)["number"] for line in rows_file.read_text().splitlines()} if rows_file.exists() else set()
    with rows_file.open("a") as file:
        for at in range(number, len(todo), parts):
            if at in done:
                continue
            row = measure(
                todo[at],
                todo[(at + 1) % len(todo)],
                family,
                judge,
                selector,
                recipe.size // 8,
            )
            file.write(json.dumps({"number": at, **row}) + "\n")
            file.flush()
            print(f"eval: prompt {at + 1} of {len(todo)}, {time.monotonic() - start:.0f} s", flush=True)
    rows = [json.loads(line) for path in sorted(out.glob("rows_*.jsonl")) for line in path.read_text().splitlines()]
    report = summary(rows) | {
        "machine": f"{platform.machine()} {platform.processor() or ''}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
    }
    if (folder / "bank.npz").exists() and (folder / "encoder.pt").exists():
        encoder = load_encoder(folder / "encoder.pt")
        bank = icons.load_bank(folder / "bank.npz")
        report["instruments"] = instruments(judge, family, encoder, recipe.world, bank, size=recipe.size)
        for name, factor in family.factors.items():
            if factor.info.parents and name in family.controls:
                report[name] = evaluate_below.figures(name, family, judge, encoder, recipe.world, bank, 60, recipe.size)
    else:
        print(
            f"eval: no training data in {folder}, so the instruments themselves are not measured; "
            "`python -m comfyui_fgdm.iconworld data` makes it"
        )
    (out / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
