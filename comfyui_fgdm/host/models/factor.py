"""A condition factor as the host holds it: the adapter network under the host's memory management."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import torch

from ...factors import files
from ...factors.info import reader_of
from ...factors.unet import UNetConfig
from ...maps.reader import PaletteError, Reader
from .. import folders, own
from . import networks


@dataclass(frozen=True)
class Factor:
    """One loaded factor file. Shared by every model it is applied to; never written to.

    ``reader``, resolved once, reads, cleans and paints its maps. ``patcher`` wraps the adapter (or a network of its own), so that the host loads,
    moves and counts it; ``lora`` holds the low-rank deltas of the frozen base, empty for most files. ``variants``: the same
    factor in other precisions, ``copies``: its adapter on other devices, both for as long as something uses them.
    """

    name: str
    path: Path
    info: files.FactorInfo
    reader: Reader
    spec: files.AdapterSpec | UNetConfig
    patcher: comfy.model_patcher.ModelPatcher
    lora: Mapping[str, files.LoraPair]
    variants: MutableMapping[torch.dtype, Factor] = field(compare=False, repr=False)
    copies: MutableMapping[torch.device, torch.nn.Module] = field(compare=False, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.patcher.model.parameters()).dtype

    def in_precision(self, dtype: torch.dtype) -> Factor:
        """The factor with its adapter in the precision that a model computes in, so that no call casts its weights.

        Read anew from the file, which may be finer than the weights held now.
        """
        if dtype == self.dtype or dtype not in PRECISIONS:
            return self
        found = self.variants.get(dtype)
        if found is None:
            found = _held(self.name, self.path, self.reader, files.read_file(self.path), dtype, self.variants)
            self.variants[dtype] = found
        return found

    def network(self, device: torch.device) -> torch.nn.Module:
        """The adapter for calls on a device: a host that spreads a model over several has one on each."""
        return self.copies.get(device, self.patcher.model)


PRECISIONS = (torch.float16, torch.bfloat16, torch.float32)


def load_factor(name: str) -> Factor:
    """Read a factor file of the ``fgdm_factors`` folders.

    Raises adapter.FactorFileError if it is missing, damaged or something else.
    The network is built with casting operations, so that its weights may be kept on any device and in any precision; here in
    the one in which the host would keep a UNet on its device, see ``Factor.in_precision``.
    """
    path = folders.factor_path(name)
    folders.verify_embedded(path)
    return factor_of_file(path, name)


def factor_of_file(path: Path, name: str = "") -> Factor:
    """A factor file at any place, such as that of a training. Raises files.FactorFileError as ``load_factor`` does."""
    file = files.read_file(path)
    try:
        reader = reader_of(file.info, own.library(), name or path.name)  # its palette may be a user's own
    except PaletteError as error:
        raise files.FactorFileError(f"{path}: bad metadata {files.METADATA_KEY!r}: {error}") from None
    dtype = comfy.model_management.unet_dtype(
        model_params=sum(weight.numel() for weight in file.adapter.values()),
        supported_dtypes=list(PRECISIONS),
        weight_dtype=next(iter(file.adapter.values())).dtype,
    )
    factor = _held(name or path.name, path, reader, file, dtype, weakref.WeakValueDictionary())
    factor.variants[dtype] = factor
    return factor


def _held(
    name: str, path: Path, reader: Reader, file: files.FactorFile, dtype: torch.dtype,
    variants: MutableMapping[torch.dtype, Factor],
) -> Factor:  # fmt: skip
    spec = file.spec
    patcher = _patcher(spec, file.adapter, dtype)
    # How the host makes a second one on another device; it then tells of it.
    patcher.cached_patcher_init = (_patcher_of, (path, dtype))
    copies: MutableMapping[torch.device, torch.nn.Module] = weakref.WeakValueDictionary()

    def remember(_patcher, copy) -> None:
        copies[copy.load_device] = copy.model

    patcher.add_callback_with_key(comfy.patcher_extension.CallbacksMP.ON_DEEPCLONE_MULTIGPU, "fgdm_factor", remember)
    return Factor(name, path, file.info, reader, spec, patcher, file.lora, variants, copies)


def _patcher_of(path: Path, dtype: torch.dtype) -> comfy.model_patcher.ModelPatcher:
    file = files.read_file(path)
    return _patcher(file.spec, file.adapter, dtype)


def _patcher(spec: files.AdapterSpec | UNetConfig, weights: Mapping[str, torch.Tensor], dtype: torch.dtype):
    network = networks.network(spec, dtype)
    patcher = comfy.model_patcher.CoreModelPatcher(
        network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    # Under dynamic VRAM the host stages weights itself and wants the file's own tensors.
    network.load_state_dict({k: v.to(dtype) for k, v in weights.items()}, assign=patcher.is_dynamic())
    network.eval().requires_grad_(False)
    return patcher


def save_factor(factor: Factor, name: str, half: bool = False) -> str:
    """Write a factor to models/fgdm_factors and return the name by which it is listed; a file of that name stays, and the
    new one gets a number. FactorFileError for a name that is none, and for weights that cannot be written."""
    path = folders.free_path(folders.own_factors(), folders.stem_of(name, files.FactorFileError))
    file = files.read_file(factor.path)  # the weights in memory may be in another precision
    files.save(path, files.module_of(file), factor.info, file.lora, torch.float16 if half else torch.float32)
    return path.name
