"""A condition factor as the host holds it: the adapter network under the host's memory management."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch

from ...factors import files
from ...factors.info import reader_of
from ...maps.reader import PaletteError, Reader
from .. import folders, own


@dataclass(frozen=True)
class Factor:
    """One loaded factor file. Shared by every model it is applied to; never written to.

    ``reader``, resolved once, reads, cleans and paints its maps. ``patcher`` wraps the adapter, so that the host loads, moves and counts it;
    ``lora`` holds the low-rank deltas of the frozen base, empty for most files.
    """

    name: str
    info: files.FactorInfo
    reader: Reader
    spec: files.AdapterSpec
    patcher: comfy.model_patcher.ModelPatcher
    lora: Mapping[str, files.LoraPair]


def load_factor(name: str) -> Factor:
    """Read a factor file of the ``fgdm_factors`` folders.

    Raises adapter.FactorFileError if it is missing, damaged or something else.
    The network is built with casting operations: its weights stay in the file's precision (in single precision where the
    device cannot compute in it) and are cast to that of the UNet at use, wherever the host keeps them.
    """
    path = folders.factor_path(name)
    folders.verify_embedded(path)
    file = files.read_file(path)
    try:
        reader = reader_of(file.info, own.library(), name)  # its palette may be a user's own
    except PaletteError as error:
        raise files.FactorFileError(f"{path}: bad metadata {files.METADATA_KEY!r}: {error}") from None
    spec = files.detect(file.adapter, file.info.blocks)
    network = files.build(spec, ops=comfy.ops.manual_cast, dtype=_kept_dtype(file.adapter))
    patcher = comfy.model_patcher.CoreModelPatcher(
        network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    # Under dynamic VRAM the host stages weights itself and wants the file's own tensors.
    network.load_state_dict(file.adapter, assign=patcher.is_dynamic())
    network.eval().requires_grad_(False)
    return Factor(name=name, info=file.info, reader=reader, spec=spec, patcher=patcher, lora=file.lora)


def _kept_dtype(weights: Mapping[str, torch.Tensor]) -> torch.dtype:
    """That of the file, or single precision where the host keeps a UNet so: half precision on a device that cannot compute
    in it would be cast anew at every step."""
    stored = next(iter(weights.values())).dtype
    chosen = comfy.model_management.unet_dtype(
        model_params=sum(weight.numel() for weight in weights.values()),
        supported_dtypes=[torch.float16, torch.bfloat16, torch.float32],
        weight_dtype=stored,
    )
    return torch.float32 if chosen == torch.float32 else stored
