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
from .family import data, depth, export, parts
from .family.autoencoder import Autoencoder, PatchEncoder, load_encoder
from .family.judge import Judge
from .family.recipes import PARTS, RECIPES, Recipe
from .world import icons

POOL_SEED, DATA_SEED = 10_000_000, 100_000_000
SHARD = 4000  # scenes


def _bank(folder: Path):
    cache = folder / "bank.npz"
    if not cache.exists():
        print("icons: installing the icon packages (npm) and drawing them once", flush=True)
        icons.fetch(folder / "icons")
    return icons.build_bank(folder / "icons", cache)


def make_data(folder: Path, recipe: Recipe, worker: int, workers: int) -> None:
    """Pool of pictures, the encoder fitted on it, then the shards (worker k of n makes every n-th)."""
    bank = _bank(folder)
    pool = folder / "pool.npz"
    if not pool.exists() and worker == 0:
        pictures, labels = data.make_pool(POOL_SEED, recipe.pool, recipe.world, bank, recipe.size)
        data.write_arrays(pool, pictures=pictures, labels=labels)
        print(f"data: a pool of {recipe.pool} pictures", flush=True)
    while not pool.exists():
        time.sleep(1)
    if not (folder / "encoder.pt").exists():
        with np.load(pool) as arrays:
            sample = np.concatenate([arrays["pictures"][:700], data.paint(arrays["labels"][:700])])
        encoder = PatchEncoder()
        encoder.fit(torch.from_numpy(sample).permute(0, 3, 1, 2).float() / 255)
        torch.save(encoder.state_dict(), folder / "encoder.pt")
    encoder, shards = load_encoder(folder / "encoder.pt"), math.ceil(recipe.scenes / SHARD)
    for number in range(worker, shards, workers):
        path = folder / "shards" / f"{number:04d}.npz"
        if not path.exists():
            first_seed = DATA_SEED + number * 10 * SHARD
            shard = data.make_shard(first_seed, min(SHARD, recipe.scenes), recipe.world, bank, encoder, recipe.size)
            data.write_shard(shard, path)
            print(f"data: shard {number + 1} of {shards}", flush=True)


def load_base(folder: Path, recipe: Recipe) -> parts.Base:
    return loop.load_ema(parts.Base(recipe.unet), folder / "base.pt")


def build(part: str, folder: Path, recipe: Recipe) -> tuple[torch.nn.Module, parts.LossOf]:
    """The module of a part and its loss, on the data in `folder`."""
    budget = recipe.budgets[part]
    if part in ("autoencoder", "judge", "selector"):
        with np.load(folder / "pool.npz") as arrays:
            pictures, labels = arrays["pictures"], arrays["labels"]
        if part == "autoencoder":
            model = Autoencoder()
            model.encoder = load_encoder(folder / "encoder.pt")
            return model, parts.decoder_loss(model, pictures, labels, budget.batch)
        judge = Judge(len(recipe.world.classes))
        return judge, parts.judge_loss(judge, recipe.world.classes, pictures, labels, budget.batch)
    shard = data.read_shards(folder / "shards")
    if part == "base":
        base = parts.Base(recipe.unet)
        return base, parts.base_loss(base, shard, budget.batch)
    base = load_base(folder, recipe)
    if part == "image":
        image = parts.Image(base)
        return image, parts.image_loss(image, shard, budget.batch)
    if part == "depth":
        factor = depth.factor(base, recipe.depth_rank)
        return factor, depth.factor_loss(
            factor, load_encoder(folder / "encoder.pt").to(loop.device()), shard, budget.batch
        )
    if part == "depth_image":
        first = loop.load_ema(parts.Image(load_base(folder, recipe)), folder / "image.pt").control
        control = depth.Image(base, first, recipe.control_rank)
        return control, depth.image_loss(control, shard, budget.batch)
    factor = parts.Factor(base, recipe.rank)
    return factor, parts.factor_loss(factor, shard, budget.batch)


def train_part(part: str, folder: Path, recipe: Recipe, seconds: float, threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
    seed = recipe.seed + PARTS.index(part)
    torch.manual_seed(seed)
    module, loss_of = build(part, folder, recipe)
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
    step.add_argument("part", choices=(*PARTS, "all"))
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
    folder.mkdir(parents=True, exist_ok=True)
    if options.command == "icons":
        _bank(folder)
    elif options.command == "data":
        make_data(folder, recipe, options.worker, options.workers)
    elif options.command == "train":
        for part in PARTS if options.part == "all" else (options.part,):
            train_part(part, folder, recipe, options.seconds, options.threads)
    elif options.command == "all":
        make_data(folder, recipe, 0, 1)
        for part in PARTS:
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
