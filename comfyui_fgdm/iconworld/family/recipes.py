"""The recipes: which world, which sizes, how long. One of them made the shipped files; see MODEL_CARD.md."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...training.loop import Budget
from ..world import classes as c
from ..world.scenes import World
from .networks import UNetConfig


@dataclass(frozen=True)
class Recipe:
    """size: pixels of the training pictures; scenes: how many are drawn; pool: pictures kept for decoder and judge;
    rank, depth_rank, control_rank: of the low-rank changes of the segmentation factor, the depth factor (0: the adapter
    alone, the base quite frozen) and the depth image factor."""

    name: str
    world: World
    size: int
    scenes: int
    pool: int
    unet: UNetConfig
    rank: int
    budgets: dict[str, Budget] = field(hash=False)
    seed: int = 1
    depth_rank: int = 8
    control_rank: int = 16

    def scaled(self, share: float, batch: int = 0) -> Recipe:
        """The same with a share (0..1] of the scenes and pictures, to try it out, and batches of at most `batch` (0: as they
        are), for less memory. ValueError for numbers out of range."""
        if not 0 < share <= 1:
            raise ValueError(f"share: {share} is out of range; give more than 0 and at most 1")
        if batch < 0:
            raise ValueError(f"batch: {batch} is out of range; give 1 or more, or 0 for the recipe's own")
        budgets = {
            part: replace(b, batch=min(b.batch, batch) if batch else b.batch) for part, b in self.budgets.items()
        }
        scenes, pool = max(1, int(self.scenes * share)), max(64, int(self.pool * share))
        return replace(self, scenes=scenes, pool=pool, budgets=budgets)


CPU = Recipe(
    name="cpu",
    world=World(),
    size=128,
    scenes=64_000,
    pool=20_000,
    unet=UNetConfig(),
    rank=32,
    budgets={
        "autoencoder": Budget(44_800, 16, 1.5e-3, warmup=50, ema=0.995, weight_decay=0.0),
        "judge": Budget(64_000, 16, 2e-3),
        "selector": Budget(24_000, 16, 2e-3, ema=0.995),
        "base": Budget(141_000, 32, 1e-3, restart=61_000),
        "segmentation": Budget(40_000, 32, 2e-3, ema=0.997),
        "image": Budget(28_800, 32, 2e-3, ema=0.995),
        "depth": Budget(32_000, 32, 2e-3, ema=0.997),
        "depth_image": Budget(19_200, 32, 2e-3, ema=0.995),
    },
)

GPU = Recipe(
    name="gpu",
    world=World(things=c.GPU_THINGS, stuff=c.ALL_STUFF, indoor=0.2),
    size=256,
    scenes=200_000,
    pool=20_000,
    unet=UNetConfig(blocks=2),
    rank=64,
    budgets={
        "autoencoder": Budget(400_000, 64, 1.5e-3, warmup=200, weight_decay=0.0),
        "judge": Budget(300_000, 64, 2e-3),
        "selector": Budget(200_000, 64, 2e-3),
        "base": Budget(6_000_000, 256, 1.5e-3, warmup=500, ema=0.9995),
        "segmentation": Budget(3_000_000, 256, 1.5e-3, warmup=500, ema=0.9995),
        "image": Budget(1_500_000, 256, 1e-3, warmup=500, ema=0.9995),
        "depth": Budget(1_000_000, 256, 1.5e-3, warmup=500, ema=0.9995),
        "depth_image": Budget(800_000, 256, 1e-3, warmup=500, ema=0.9995),
    },
)

TIDY = Recipe(
    name="tidy",
    world=World(
        instances=(1, 4),
        styles=("noto", "fluent-emoji-flat"),
        figures=1.0,
        icons=c.TIDY_ICONS,
        visible=0.7,
        tidy=True,
    ),
    size=128,
    scenes=120_000,
    pool=20_000,
    unet=UNetConfig(channels=96, mult=(1, 2), attention=(False, True)),
    rank=32,
    budgets=CPU.budgets | {"base": Budget(1_000_000, 64, 1e-3, ema=0.9995)},
)

RECIPES = {recipe.name: recipe for recipe in (CPU, GPU, TIDY)}
PARTS = tuple(CPU.budgets)
