"""What the ways of `make bench-search` cost at the size of Stable Diffusion 1.5: floating-point operations, counted.

The networks of the host are built without memory for weights, so that counting needs no model and no time. Maps are of 256
pixels and 10 steps, pictures of 512 pixels and 20 steps, both with guidance, as in the paper.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.inprocess import InProcessHost, boot
from tools.server import CACHE, ROOT

COUNTED = ROOT / "runs" / "search" / "flops.json"
MAP_STEPS, IMAGE_STEPS = 10, 20
GRADIENT = 3  # evaluations: a forward pass, and a backward pass of twice its operations


@dataclass(frozen=True)
class Flops:
    """TFLOP (a multiplication and an addition are two) of one evaluation for one picture, by side in pixels."""

    factor_256: float
    unet_512: float
    control_512: float
    decode_256: float
    decode_512: float

    @property
    def image(self) -> float:
        """A picture of the plain base."""
        return 2 * IMAGE_STEPS * self.unet_512 + self.decode_512

    @property
    def image_of_map(self) -> float:
        """A picture with a ControlNet on its map."""
        return self.image + 2 * IMAGE_STEPS * self.control_512

    def maps(self, steps: float, finished: float) -> float:
        """So many steps of single maps, and so many of them decoded."""
        return 2 * steps * self.factor_256 + finished * self.decode_256

    def excited(self, gradients_a_step: float) -> float:
        """A picture with Attend-and-Excite, at so many gradients a step."""
        return self.image + GRADIENT * gradients_a_step * IMAGE_STEPS * self.unet_512


def flops() -> Flops:
    """Counted once, and kept beside the measurements."""
    if not COUNTED.exists():
        COUNTED.parent.mkdir(parents=True, exist_ok=True)
        COUNTED.write_text(json.dumps(asdict(_count())), encoding="utf-8")
    return Flops(**json.loads(COUNTED.read_text(encoding="utf-8")))


def _count() -> Flops:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="count-", dir=CACHE) as base:
        return count(boot(Path(base)))


def count(host: InProcessHost) -> Flops:
    """Of the host's own networks. Attention is told to use one kernel for the while: others ask a device for its memory."""
    import torch
    from comfy.cldm.cldm import ControlNet
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules import attention
    from comfy.ldm.modules.diffusionmodules import model as autoencoder
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from torch.utils.flop_counter import FlopCounterMode

    from tools import random_sd15

    up = [1] * 9 + [0] * 3
    unet = UNetModel(**random_sd15.LEVELS, out_channels=4, transformer_depth_output=up, device="meta")
    control = ControlNet(**random_sd15.LEVELS, hint_channels=3, device="meta")
    with torch.device("meta"):
        decoder = AutoencoderKL(ddconfig=random_sd15.PICTURE, embed_dim=4)
    for module in decoder.modules():
        if isinstance(module, autoencoder.AttnBlock):
            module.optimized_attention = autoencoder.pytorch_attention
    nets = host.engine("comfyui_fgdm.factors.networks")
    adapter = nets.build(nets.official(nets.AdapterKind.PLAIN), device="meta")

    def empty(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta")

    def tera(work: Callable[[], object]) -> float:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops() / 1e12

    def latent(side: int) -> torch.Tensor:
        return empty(1, 4, side // 8, side // 8)

    given = empty(1), empty(1, 77, 768)
    usual, attention.optimized_attention = attention.optimized_attention, attention.attention_pytorch
    try:
        return Flops(
            factor_256=tera(lambda: (unet(latent(256), *given), adapter(latent(256)))),
            unet_512=tera(lambda: unet(latent(512), *given)),
            control_512=tera(lambda: control(latent(512), empty(1, 3, 512, 512), *given)),
            decode_256=tera(lambda: decoder.decode(latent(256))),
            decode_512=tera(lambda: decoder.decode(latent(512))),
        )
    finally:
        attention.optimized_attention = usual
