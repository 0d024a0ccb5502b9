"""Pickles that want something done: whatever they name, nothing is imported, made or called."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest
import torch

from comfyui_fgdm.factors import checkpoints, files
from comfyui_fgdm.factors.checkpoints import CheckpointError
from comfyui_fgdm.factors.files import Adapter, FactorFileError

CALLS: list[str] = []


class Spy(dict):
    """A class of an installed package: every way a pickle could run its code leaves a trace."""

    def __new__(cls, *args):
        CALLS.append("new")
        return super().__new__(cls)

    def __init__(self, *args) -> None:
        CALLS.append("init")

    def __setstate__(self, state) -> None:
        CALLS.append("setstate")

    def __setitem__(self, key, value) -> None:
        CALLS.append("setitem")


def spy_function(*args):
    CALLS.append("called")
    return {}


class Reduced:
    """Pickles as whatever it is told to."""

    def __init__(self, *reduced) -> None:
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """``Spy`` and ``spy_function`` as parts of a package that can be imported while the file is read."""
    package = types.ModuleType("evil_package")
    for thing in (Spy, spy_function):
        monkeypatch.setattr(thing, "__module__", "evil_package")
        setattr(package, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "evil_package", package)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """An adapter of the release's size in which one stored zero serves every tensor."""
    zero = torch.zeros(1)
    return {k: zero.expand(v.shape) for k, v in Adapter(device="meta").state_dict().items()}


@pytest.fixture(autouse=True)
def nothing_ran():
    allowed = torch.serialization.get_safe_globals()
    yield
    assert CALLS == []
    assert set(torch.serialization.get_safe_globals()) == set(allowed)


def bombs(folder: Path) -> dict[str, object]:
    marker = str(folder / "exploded")
    return {
        "function": Reduced(spy_function, (marker,)),
        "class": Reduced(Spy, (1,)),
        "state": Reduced(Spy, (), {"a": 1}),
        "exec": Reduced(exec, (f"open({marker!r}, 'w')",)),
        "eval": Reduced(eval, (f"open({marker!r}, 'w')",)),
        "open": Reduced(open, (marker, "w")),
        "getattr": Reduced(getattr, (Path(marker), "touch")),
        "import": Reduced(__import__, ("evil_on_disk",)),
    }


@pytest.mark.parametrize("which", ["function", "class", "state", "exec", "eval", "open", "import"])
def test_beside_the_weights_they_are_left_out_and_not_run(installed, state, tmp_path: Path, which: str) -> None:
    (tmp_path / "evil_on_disk.py").write_text("import pathlib\npathlib.Path(__file__).with_name('exploded').touch()\n")
    sys.path.insert(0, str(tmp_path))
    try:
        torch.save({"state_dict": state, "callbacks": {"x": bombs(tmp_path)[which]}}, tmp_path / "x.pth")
        CALLS.clear()  # pickling asks classes for their methods
        with checkpoints.open_file(tmp_path / "x.pth") as checkpoint:
            assert len(checkpoint.inert) == 1
            assert files.read(checkpoint).info.kind == "adapter"
    finally:
        sys.path.remove(str(tmp_path))
    assert not (tmp_path / "exploded").exists() and "evil_on_disk" not in sys.modules


@pytest.mark.parametrize("which", ["function", "class", "exec", "getattr"])
@pytest.mark.parametrize("legacy", [False, True])
def test_in_place_of_the_weights_they_are_refused_and_not_run(installed, state, tmp_path, which, legacy) -> None:
    bomb, reasons = bombs(tmp_path)[which], "without tensors|missing: conv_in.bias|cannot be read as tensors alone"
    for content in (bomb, {"state_dict": bomb}, {"state_dict": {**state, "conv_in.bias": bomb}}):
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
        CALLS.clear()
        with pytest.raises(FactorFileError, match=reasons):
            files.read_file(tmp_path / "x.pth")
    assert not (tmp_path / "exploded").exists()


def test_a_module_that_is_not_imported_yet_stays_so(state, tmp_path: Path, monkeypatch) -> None:
    """Even naming a class would import its module, and run it, in ordinary unpickling."""
    with monkeypatch.context() as patch:
        module = types.ModuleType("evil_import")
        module.Thing = type("Thing", (), {"__module__": "evil_import"})
        patch.setitem(sys.modules, "evil_import", module)
        torch.save({"state_dict": state, "callbacks": {module.Thing: module.Thing()}}, tmp_path / "x.pth")
    (tmp_path / "evil_import.py").write_text("import pathlib\npathlib.Path(__file__).with_name('exploded').touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with checkpoints.open_file(tmp_path / "x.pth") as checkpoint:
        assert checkpoint.inert == ("evil_import.Thing",)
    assert not (tmp_path / "exploded").exists() and "evil_import" not in sys.modules


def test_the_operating_system_is_never_named(state, tmp_path: Path) -> None:
    torch.save({"state_dict": state, "x": Reduced(os.mkdir, (str(tmp_path / "exploded"),))}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="mkdir.*Nothing in it was run"):
        with checkpoints.open_file(tmp_path / "x.pth"):
            pass
    assert not (tmp_path / "exploded").exists()


def test_a_tensor_without_numbers_is_no_weight(tmp_path: Path) -> None:
    odd = {
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.zeros(3, device="meta"),
        "plain": torch.zeros(3),
        5: torch.zeros(1),
    }
    torch.save(odd, tmp_path / "x.pt")
    with checkpoints.open_file(tmp_path / "x.pt") as checkpoint:
        assert dict(checkpoint.shapes) == {"plain": (3,)}
