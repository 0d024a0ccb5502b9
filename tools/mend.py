"""Let CUDA builds of torchvision and torchaudio import beside a CPU build of torch.

PyPI's wheels of both link to CUDA. Beside a CPU-only torch, `import torchvision` fails because its compiled
operators are not registered, and `import torchaudio` fails because its compiled library misses libcudart.
ComfyUI imports both at start but needs neither library's compiled part for what this pack does.

`install()` registers an import hook and imports nothing itself; where the builds match, the hook does nothing.
It is used by the test host only, never by the pack.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_CUDA_BUILD = re.compile(r"""^__version__\s*=\s*["'][^"'+]*\+cu\d""", re.MULTILINE)


def _is_cuda_build(package: str) -> bool:
    """Whether a torch-family package was built for CUDA, read from its version.py without importing it."""
    spec = importlib.machinery.PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    version_file = Path(spec.origin).with_name("version.py")
    return version_file.is_file() and bool(_CUDA_BUILD.search(version_file.read_text(encoding="utf-8")))


def _define_torchvision_ops() -> None:
    import torch

    for op in ("torchvision::nms", "torchvision::qnms"):
        torch.library.define(op, _NMS_SCHEMA)


class _PureTorchaudioLoader(importlib.abc.Loader):
    """Loads torchaudio._extension.utils, then lets a compiled library that cannot be linked count as absent."""

    def __init__(self, inner: importlib.abc.Loader) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        compiled = module._load_lib

        def load_or_absent(lib: str) -> bool:
            try:
                return compiled(lib)
            except OSError:
                return False

        vars(module)["_load_lib"] = load_or_absent


class _MendingFinder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._torchvision_done = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision" and not self._torchvision_done:
            self._torchvision_done = True
            if _is_cuda_build("torchvision"):
                _define_torchvision_ops()
        elif fullname == "torchaudio._extension.utils":
            spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _PureTorchaudioLoader(spec.loader)
            return spec
        return None


def install() -> bool:
    """Install the hook if torch is CPU-only. Returns whether it was (or already is) installed."""
    if any(isinstance(finder, _MendingFinder) for finder in sys.meta_path):
        return True
    if _is_cuda_build("torch"):
        return False
    sys.meta_path.insert(0, _MendingFinder())
    return True
