"""The recipes that ``train init`` writes: a commented text for each kind of training, and what depends on the base in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .backbone import BaseFacts
from .recipe import Trains

HEAD = """\
# A recipe for training {what}: python -m comfyui_fgdm train {file}
# Found in {folder}:
{found}

output = {output}    # folder of runs; each run gets a folder of its own in it
base = {base}    # the frozen base: "embedded", the tiny family of this pack, or a file or folder of Stable Diffusion 1.x

[factor]
"""

PARENTS = """parents = {parents}            # variables that it is conditioned on, e.g. ["segmentation"]
"""

WHAT = {
    Trains.FACTOR: "a condition factor",
    Trains.SCRATCH: "a condition factor from scratch, with a network of its own",
    Trains.IMAGE: "an image factor (a ControlNet)",
    Trains.JOINT: "a factor and the hint block of an image factor together",
}

FACTOR = {
    Trains.FACTOR: """\
trains = "factor"        # an adapter on the base; "scratch", "image_factor", "joint": train init --trains writes those
variable = "{variable}"
"""
    + PARENTS
    + """\
kind = "time_adapter"    # or "adapter"
blocks = 2               # residual blocks a level of the adapter
rank = {rank}                # of low-rank changes of the base; 0: an adapter alone
{start_line}""",
    Trains.SCRATCH: """\
trains = "scratch"       # a small UNet that reads noise and its parents' latents side by side; of the base it uses text and VAE
variable = "{variable}"
"""
    + PARENTS
    + """\
width = {width}               # channels of the first of three levels, twice as many below; a multiple of 32
blocks = 2               # residual blocks a level
{start_line}""",
    Trains.IMAGE: """\
trains = "image_factor"  # by which a picture follows a map
variable = "{variable}"    # whose maps
rank = {rank}                 # 0: a whole ControlNet; more: a Control-LoRA (lr = 1e-4)
worn = 0.5               # share of the maps that are shown as sampled ones look
{start_line}""",
    Trains.JOINT: """\
trains = "joint"         # both go on from a file, and are written anew
variable = "{variable}"
"""
    + PARENTS
    + """\
start = {start}    # the trained factor
image_factor = {image_factor}    # the image factor of its maps, of which the hint block learns
image_gradient = true    # false: the image's loss does not teach the factor; less memory
""",
}

DATA = """
[data]
folder = {data}
format = "{format}"        # or "auto": what the folder looks like
split = "{split}"          # of data sets that have some
size = {size}               # pixels along an edge
palette = "{palette}"      # of label maps
flip = {flip}
crops = 0                # random squares of each picture, besides the one in the middle
captions = {captions}             # most that are taken of each picture, 0 for all
without_caption = {without_caption}
held_out = 0.05          # share kept for validation

[training]
steps = {steps}
batch = {batch}
lr = {lr}                # {rates}
warmup = {warmup}
precision = "auto"       # bfloat16 where a short trial says that it is faster
caption_dropout = {caption_dropout}    # share of samples that see no prompt
"""

DISTILLATION = """
[distillation]
weight = 0.0             # attention distillation; 0.1 is a start
"""

WATCH = """
[watch]
log_every = 50
validate_every = {validate}
sample_every = {sample}
save_every = {validate}
{recall}tensorboard = false      # true: pip install tensorboard, and: tensorboard --logdir {output_plain}
"""

RECALL = "recall = 16              # sampled maps whose object recall is measured, where captions name objects\n"

FROZEN = """
[frozen]
precision = "float32"    # of the base's UNet; "bfloat16" takes half the memory (keep float32 with a rank above 0)
halved = false           # true: weights held in float16, arithmetic in float32: half the memory, some more time
checkpointing = "none"   # "outer": a little less memory, "all": less, and half as much time again
prediction = "auto"      # "v" for a model that predicts velocity
# tokenizer = "FOLDER"   # of vocab.json and merges.txt, where no ComfyUI is found around the base or in COMFYUI_PATH
"""


@dataclass(frozen=True)
class Defaults:
    """What a written recipe starts from, by the names in the texts above. rates: what is said of the learning rate."""

    size: int
    lr: str
    steps: int
    warmup: int
    validate: int
    sample: int
    rates: str
    rank: int = 0
    width: int = 64
    batch: int = 8
    caption_dropout: float = 0.1
    frozen: str = ""


_RATES = "1e-3 suits the embedded base, 1e-4 Stable Diffusion 1.x"
_CONTROL = "1e-3 suits the embedded base; on Stable Diffusion 1.x 1e-5, a Control-LoRA 1e-4"
_TINY = Defaults(128, "1e-3", 2000, 50, 200, 500, _RATES, rank=16)
_LARGE = Defaults(256, "1e-4", 20_000, 500, 500, 1000, _RATES, frozen=FROZEN)
DEFAULTS: dict[bool, dict[Trains, Defaults]] = {
    True: {
        Trains.FACTOR: _TINY,
        Trains.SCRATCH: dataclasses.replace(_TINY, steps=10_000, validate=500, sample=1000),
        Trains.IMAGE: dataclasses.replace(_TINY, rank=0, batch=4, caption_dropout=0.3, rates=_CONTROL),
        Trains.JOINT: dataclasses.replace(_TINY, lr="1e-4", steps=500, batch=2, rates="a tenth of that of either file"),
    },
    False: {
        Trains.FACTOR: _LARGE,
        Trains.SCRATCH: dataclasses.replace(_LARGE, steps=100_000, width=128),
        Trains.IMAGE: dataclasses.replace(
            _LARGE, size=512, lr="1e-5", batch=4, caption_dropout=0.3, rates=_CONTROL, steps=10_000
        ),
        Trains.JOINT: dataclasses.replace(
            _LARGE, lr="1e-5", steps=5000, batch=2, rates="a tenth of that of either file"
        ),
    },
}
"""By whether the base is the embedded one, and by what is trained."""

FACTS = BaseFacts("sd15", "eps", 4, (320, 640, 1280, 1280), 1280, 8, "")
"""Of Stable Diffusion 1.x, before a checkpoint is read."""


def written(trains: Trains, defaults: Defaults, **values: object) -> str:
    """The text of a recipe. values: what the folder and the user say, by the names in the texts; empty where nothing is said."""
    start = values["start"]
    filled = {
        **dataclasses.asdict(defaults),
        **values,
        "what": WHAT[trains],
        "start_line": f"start = {start}    # goes on from this file\n" if start else "",
        "recall": "" if trains is Trains.IMAGE else RECALL,
    }
    parts = [HEAD, FACTOR[trains], DATA]
    parts += [DISTILLATION] if trains in (Trains.FACTOR, Trains.JOINT) else []
    return "".join(part.format(**filled) for part in [*parts, WATCH]) + defaults.frozen
