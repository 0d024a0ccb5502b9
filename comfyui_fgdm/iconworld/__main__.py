"""python -m comfyui_fgdm.iconworld {icons,data,train,export,all,eval,samples}: make the tiny family from nothing, step by step.

Every step is seeded, resumes where it was stopped, and writes below one folder (default runs/iconworld).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ..training import loop
from .family import data, export, shards
from .family.autoencoder import PatchEncoder, load_encoder
from .family.build import build
from .family.recipes import RECIPES, Recipe
from .world import icons

POOL_SEED, DATA_SEED = 10_000_000, 100_000_000
SHARD = 4000  # scenes
FITTED = 700  # scenes of the pool that the encoder is fitted to


def _bank(folder: Path):
    cache = folder / "bank.npz"
    if not cache.exists():
        print("icons: installing the icon packages (npm) and drawing them once", flush=True)
        icons.fetch(folder / "icons")
    return icons.build_bank(folder / "icons", cache)


def make_pool(folder: Path, recipe: Recipe, bank: shards.Bank) -> None:
    """What encoder, decoder and judges are fitted to: pictures and labels of scenes, and maps of the other kinds fitted to."""
    pool = folder / "pool.npz"
    if not pool.exists():
        pictures, labels = data.make_pool(POOL_SEED, recipe.pool, recipe.world, bank, recipe.size)
        shards.write_arrays(pool, pictures=pictures, labels=labels)
        print(f"data: a pool of {recipe.pool} pictures", flush=True)
    for name in dict.fromkeys(recipe.fitted):
        path = folder / f"pool-{name}.npz"
        if name not in (shards.PICTURE, "segmentation") and not path.exists():
            drawn = data.redrawn(range(POOL_SEED, POOL_SEED + recipe.pool), recipe.world, bank, recipe.size)
            packed = [shards.pack(shards.picture(name, scene)) for scene in drawn]
            shards.Pictures.join(packed, recipe.size).write(path)


def fit_encoder(folder: Path, recipe: Recipe) -> None:
    """Fit the encoder to what the recipe says of the first scenes of the pool."""
    with np.load(folder / "pool.npz") as arrays:
        pictures, labels = arrays["pictures"][:FITTED], arrays["labels"][:FITTED]

    def shown(name: str) -> np.ndarray:
        if name == shards.PICTURE:
            return pictures
        if name == "segmentation":
            return data.paint(labels)
        return shards.Pictures.read([folder / f"pool-{name}.npz"]).levels(np.arange(len(pictures)))

    sample = np.concatenate([shown(name) for name in recipe.fitted])
    encoder = PatchEncoder()
    encoder.fit(torch.from_numpy(sample).permute(0, 3, 1, 2).float() / 255)
    torch.save(encoder.state_dict(), folder / "encoder.tmp")
    (folder / "encoder.tmp").replace(folder / "encoder.pt")


def make_data(folder: Path, recipe: Recipe, worker: int, workers: int) -> None:
    """Pool of pictures, the encoder fitted on it, then the shards (worker k of n makes every n-th), or what they lack."""
    bank = _bank(folder)
    encoder_file = folder / "encoder.pt"
    if worker == 0:
        make_pool(folder, recipe, bank)
        if not encoder_file.exists():
            fit_encoder(folder, recipe)
    while not encoder_file.exists():
        time.sleep(1)
    encoder, count = load_encoder(encoder_file), math.ceil(recipe.scenes / SHARD)
    names = [one.name for one in recipe.maps]
    for number in range(worker, count, workers):
        made = shards.make_shard(
            folder / "shards" / f"{number:04d}",
            DATA_SEED + number * 10 * SHARD,
            min(SHARD, recipe.scenes),
            recipe.world,
            bank,
            encoder,
            recipe.latents,
            names,
            recipe.size,
        )
        if made:
            print(f"data: shard {number + 1} of {count}", flush=True)


def train_part(part: str, folder: Path, recipe: Recipe, seconds: float, threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
    seed = recipe.seed_of(part)
    torch.manual_seed(seed)
    module, loss_of = build(part, folder, recipe)
    if recipe.bf16:
        loss_of = torch.autocast(loop.device().type, torch.bfloat16)(loss_of)
    # torch documents memory_format together with a device, its stubs do not
    module.to(loop.device(), memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    for record in loop.train(part, module, loss_of, recipe.budgets[part], folder, seed=seed, stop_after=seconds):
        print(" ".join(f"{key}={value}" for key, value in record.items()), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m comfyui_fgdm.iconworld", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/iconworld"), help="where everything is kept (default runs/iconworld)"
    )
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="cpu")
    parser.add_argument(
        "--share", type=float, default=1.0, help="share of the recipe's scenes and pictures to draw, to try it out"
    )
    parser.add_argument("--batch", type=int, default=0, help="batches of at most this, for less memory")
    parser.add_argument(
        "--weights", type=Path, default=export.WEIGHTS, help="where the files for the host are (default: in the pack)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("icons", help="fetch and rasterise the icon sets")
    step = commands.add_parser("data", help="draw the training scenes")
    step.add_argument("--worker", type=int, default=0)
    step.add_argument("--workers", type=int, default=1)
    step = commands.add_parser("train", help="train one part, or all in order; resumes")
    step.add_argument("part", help="a part of the recipe, or all")
    step.add_argument("--seconds", type=float, default=math.inf, help="stop this slice after so many seconds")
    step.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's)")
    step = commands.add_parser("all", help="icons, data, every part, export: the whole recipe; resumes")
    step.add_argument("--seconds", type=float, default=math.inf, help="stop each part after so many seconds")
    commands.add_parser("export", help="write the shipped files from the trained parts")
    step = commands.add_parser("eval", help="measure the shipped files on held-out prompts")
    step.add_argument("--prompts", type=int, default=200)
    step.add_argument(
        "--part", default="0/1", help="k/n: only every n-th prompt, to share the work; the results are merged"
    )
    step.add_argument("--out", type=Path, default=Path("runs/eval"))
    step = commands.add_parser("samples", help="a picture of random, not chosen, samples of the shipped files")
    step.add_argument("--count", type=int, default=16)
    step.add_argument("--out", type=Path, default=Path("runs/samples.jpg"))
    options = parser.parse_args(arguments)
    try:
        recipe, folder = RECIPES[options.recipe].scaled(options.share, options.batch), options.folder
    except ValueError as error:
        parser.error(str(error))
    if options.command == "train" and options.part not in (*recipe.parts, "all"):
        parser.error(f"part: {options.part!r} is none of the recipe's: {', '.join(recipe.parts)}, all")
    folder.mkdir(parents=True, exist_ok=True)
    if options.command == "icons":
        _bank(folder)
    elif options.command == "data":
        make_data(folder, recipe, options.worker, options.workers)
    elif options.command == "train":
        for part in recipe.parts if options.part == "all" else (options.part,):
            train_part(part, folder, recipe, options.seconds, options.threads)
    elif options.command == "all":
        make_data(folder, recipe, 0, 1)
        for part in recipe.parts:
            train_part(part, folder, recipe, options.seconds, 0)
        export.write_all(folder, recipe, options.weights)
    elif options.command == "export":
        export.write_all(folder, recipe, options.weights)
    elif options.command == "samples":
        from .family import shipped
        from .measure import evaluate

        family = shipped.load(recipe.unet, root=options.weights)
        evaluate.sample_sheet(options.count, family, recipe, options.out)
    else:
        from .measure import evaluate

        evaluate.main(folder, recipe, options.weights, options.prompts, options.part, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
