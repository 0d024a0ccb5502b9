"""The recipe that ``train init`` writes: a commented text, and what depends on the base in it."""

from __future__ import annotations

from dataclasses import dataclass

from .backbone import BaseFacts

TEMPLATE = """\
# A recipe for training a condition factor: python -m comfyui_fgdm train {file}
# Found in {folder}:
{found}

output = {output}    # folder of runs; each run gets a folder of its own in it
base = {base}    # the frozen base: "embedded", the tiny family of this pack, or a file or folder of Stable Diffusion 1.x

[factor]
trains = "factor"        # or "image_factor", "joint": see the README
variable = "{variable}"
parents = {parents}            # variables that it is conditioned on, e.g. ["segmentation"]
kind = "time_adapter"    # or "adapter"
blocks = 2               # residual blocks a level of the adapter
rank = {rank}                # of low-rank changes of the base; 0: an adapter alone

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
batch = 8
lr = {lr}                # 1e-3 suits the embedded base, 1e-4 Stable Diffusion 1.x
warmup = {warmup}
precision = "auto"       # bfloat16 where a short trial says that it is faster

[distillation]
weight = 0.0             # attention distillation; 0.1 is a start

[watch]
log_every = 50
validate_every = {validate}
sample_every = {sample}
save_every = {validate}
recall = 16              # sampled maps whose object recall is measured, where captions name objects
tensorboard = false      # true: pip install tensorboard, and: tensorboard --logdir {output_plain}
{frozen}"""

FROZEN = """
[frozen]
precision = "float32"    # of the base's UNet; "bfloat16" takes half the memory (keep float32 with a rank above 0)
checkpointing = false    # true: less memory, more time
prediction = "auto"      # "v" for a model that predicts velocity
# tokenizer = "FOLDER"   # of vocab.json and merges.txt, where no ComfyUI is found around the base or in COMFYUI_PATH
"""


@dataclass(frozen=True)
class Defaults:
    """What a written recipe starts from, by the names in ``TEMPLATE``."""

    size: int
    rank: int
    lr: str
    steps: int
    warmup: int
    validate: int
    sample: int
    frozen: str = ""


TINY = Defaults(size=128, rank=16, lr="1e-3", steps=2000, warmup=50, validate=200, sample=500)
STABLE_DIFFUSION = Defaults(
    size=256, rank=0, lr="1e-4", steps=20_000, warmup=500, validate=500, sample=1000, frozen=FROZEN
)
FACTS = BaseFacts("sd15", "eps", 4, (320, 640, 1280, 1280), 1280, 8, "")
"""Of Stable Diffusion 1.x, before a checkpoint is read."""
