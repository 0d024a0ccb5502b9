"""The recipes: which world, which sizes, how long. One of them made the shipped files; see MODEL_CARD.md."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

from ...training.loop import Budget
from ...training.optimisers import Optimiser
from ..world import classes as c
from ..world.scenes import World
from .networks import UNetConfig
from .shards import PICTURE


@dataclass(frozen=True)
class MapVariable:
    """One map variable of a family: its factor, and its image factor.

    name: of a kind in `maps.kinds` that has a truth in `world.truths`. parents: variables whose latents its factor reads.
    rank: of the factor's low-rank changes of the base (0: the adapter alone, the base quite frozen); blocks: of its adapter, a
    level. control_rank: of the image factor as a Control-LoRA, 0 for a whole ControlNet. beside: the variable whose image
    factor a Control-LoRA is trained together with.
    """

    name: str
    parents: tuple[str, ...] = ()
    rank: int = 8
    blocks: int = 1
    control_rank: int = 16
    beside: str = "segmentation"

    @property
    def control(self) -> str:
        """The part that is its image factor."""
        return control_part(self.name)


def control_part(variable: str) -> str:
    """The name of a variable's image factor; that of the segmentation was the first and is just "image"."""
    return "image" if variable == "segmentation" else f"{variable}_image"


FIRST_PARTS = ("autoencoder", "judge", "selector", "base")
"""The parts that no variable is needed for, in order."""

_SEEDS = {
    name: number for number, name in enumerate((*FIRST_PARTS, "segmentation", "image", "depth", "depth_image"))
}  # those of the first family, which was trained when seeds were places in a list


@dataclass(frozen=True)
class Recipe:
    """size: pixels of the training pictures; scenes: how many are drawn; pool: pictures kept for decoder and judge; maps: the
    map variables, parents first; fitted: whose pictures the encoder is fitted to ("image" is the picture itself; twice
    counts twice) and the decoder learns, beside pictures; late: the base's noise is drawn towards the high levels, where the
    layout is decided; bf16: networks run in bfloat16 while they are trained, weights and losses stay in single precision;
    budgets: by part."""

    name: str
    world: World
    size: int
    scenes: int
    pool: int
    unet: UNetConfig
    maps: tuple[MapVariable, ...]
    budgets: dict[str, Budget] = field(hash=False)
    seed: int = 1
    fitted: tuple[str, ...] = (PICTURE, "segmentation")
    late: bool = False
    bf16: bool = False

    def __post_init__(self) -> None:
        known: list[str] = []
        for one in self.maps:
            missing = [name for name in one.parents if name not in known]
            if missing:
                raise ValueError(f"{one.name} stands below {', '.join(missing)}: name parents before their children")
            known.append(one.name)

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts in the order in which they are trained."""
        return (*FIRST_PARTS, *(part for one in self.maps for part in (one.name, one.control)))

    @property
    def latents(self) -> tuple[str, ...]:
        """Whose latents shards hold: the picture, and all that is a parent. Others are encoded when they are drawn."""
        return (PICTURE, *(one.name for one in self.maps if any(one.name in other.parents for other in self.maps)))

    def variable(self, part: str) -> MapVariable | None:
        """The variable whose factor or image factor a part is; None for the parts that belong to none."""
        return next((one for one in self.maps if part in (one.name, one.control)), None)

    def seed_of(self, part: str) -> int:
        """Of a part's weights and batches, whatever else the recipe trains."""
        return self.seed + _SEEDS.get(part, zlib.crc32(part.encode()) % 2**31)

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
    maps=(MapVariable("segmentation", rank=32, blocks=2, control_rank=0), MapVariable("depth", ("segmentation",))),
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
    maps=(MapVariable("segmentation", rank=64, blocks=2, control_rank=0), MapVariable("depth", ("segmentation",))),
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

_BELOW = ("depth", "normal", "sketch", "pose")

TIDY = Recipe(
    name="tidy",
    world=World(
        instances=(1, 4),
        styles=("noto", "fluent-emoji-flat"),
        figures=1.0,
        icons=c.TIDY_ICONS,
        visible=0.7,
        tidy=True,
        people=0.25,
    ),
    size=128,
    scenes=120_000,
    pool=20_000,
    unet=UNetConfig(channels=96, mult=(1, 2), attention=(False, True)),
    maps=(
        MapVariable("segmentation", rank=32, blocks=2, control_rank=0),
        MapVariable("depth", ("segmentation",)),
        MapVariable("normal", ("depth",)),
        MapVariable("sketch", ("segmentation",)),
        MapVariable("pose", ("segmentation",)),
    ),
    late=True,
    bf16=True,
    fitted=(PICTURE, PICTURE, "segmentation", "segmentation", "normal", "sketch"),
    budgets=CPU.budgets
    | {"base": Budget(1_000_000, 64, 3e-3, ema=0.9995, hold=0.8, optimiser=Optimiser.MUON)}
    | {part: Budget(300_000, 64, 1e-3, ema=0.999) for part in ("segmentation", "image")}
    | {part: Budget(150_000, 64, 1e-3, ema=0.999) for name in _BELOW for part in (name, control_part(name))},
)

RECIPES = {recipe.name: recipe for recipe in (CPU, GPU, TIDY)}
