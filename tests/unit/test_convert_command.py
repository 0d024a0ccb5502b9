"""``python -m comfyui_fgdm convert``: what it writes, what it refuses, its lines and its exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.factors import files
from comfyui_fgdm.factors.files import FactorInfo, TimeAdapter

INFO = FactorInfo(
    "segmentation", "iconworld", "time_adapter", classes=(0, 1), latent_channels=8, training={"steps": 5}, licence="MIT"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small factor file with metadata: it converts as the large ones do, in no time."""
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    files.save(path, TimeAdapter((8, 12), 8, 16), INFO)
    return path


def run(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_a_factor_file_is_written_again_as_it_was(source: Path, capsys) -> None:
    target = source.with_name("out.safetensors")
    assert run(source, target) == 0
    before, after = files.read_file(source), files.read_file(target)
    assert after.info == before.info
    assert all(torch.equal(v, after.adapter[k]) for k, v in before.adapter.items())
    assert target.read_bytes() == source.read_bytes()  # nothing of the time or the place goes into the file
    out, err = capsys.readouterr()
    assert err == "" and [line.split()[1] for line in out.splitlines()] == ["reading", "found", "writing", "done:"]
    assert str(target) in out.splitlines()[-1] and "fgdm_factors" in out


def test_what_the_user_says_goes_into_the_metadata(source: Path) -> None:
    target = source.with_name("out.safetensors")
    assert run(source, target, "--variable", "depth", "--size", 512, "--licence", "CC0-1.0", "--half") == 0
    file = files.read_file(target)
    assert (file.info.variable, file.info.palette, file.info.classes) == ("depth", None, ())
    assert (file.info.trained_size, file.info.licence, file.info.training) == (512, "CC0-1.0", {"steps": 5})
    assert {v.dtype for v in file.adapter.values()} == {torch.float16}
    assert run(target, source.with_name("again.safetensors"), "--variable", "segmentation") == 0
    assert files.read_file(source.with_name("again.safetensors")).info.palette == "coco183"


def test_an_existing_file_is_overwritten_by_force_only(source: Path, capsys) -> None:
    target = source.with_name("out.safetensors")
    target.write_bytes(b"precious")
    assert run(source, target) == 1
    assert target.read_bytes() == b"precious" and "exists already" in capsys.readouterr().err
    assert run(source, target, "--force") == 0
    assert files.read_file(target).info == INFO
    assert sorted(p.name for p in source.parent.iterdir()) == ["out.safetensors", "small.safetensors"]


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("out.pth", (), "end in .safetensors"),
        ("nowhere/out.safetensors", (), "no folder"),
        ("small.safetensors", ("--force",), "is the file to read"),
        ("folder.safetensors", ("--force",), "name a file"),
        ("out.safetensors", ("--variable", "depth", "--palette", "coco183"), "depth maps have no classes"),
        ("out.safetensors", ("--palette", "no such"), "unknown palette 'no such'"),
        ("out.safetensors", ("--size", "0"), "--size (trained_size) must be a whole number from 1 to"),
        ("out.safetensors", ("--size", "1000000000"), "--size (trained_size) must be a whole number from 1 to"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(source: Path, capsys, target, options, message) -> None:
    source.with_name("folder.safetensors").mkdir()
    before = source.read_bytes()
    assert run(source, source.parent / target, *options) == 1
    assert "refused: " in (error := capsys.readouterr().err) and message in error
    assert sorted(p.name for p in source.parent.iterdir()) == ["folder.safetensors", "small.safetensors"]
    assert source.read_bytes() == before


def test_missing_and_damaged_sources(source: Path, capsys) -> None:
    target = source.with_name("out.safetensors")
    assert run(source.with_name("none.pth"), target) == 1
    assert "no such file" in capsys.readouterr().err
    source.write_bytes(source.read_bytes()[:-9])
    assert run(source, target) == 1
    assert "damaged or truncated" in capsys.readouterr().err and not target.exists()


def test_numbers_too_large_for_half_precision_are_refused(tmp_path: Path, capsys) -> None:
    state = TimeAdapter((8, 12), 8, 16).state_dict()
    state["conv_in.bias"] = torch.full((8,), 1e6)
    with pytest.raises(
        files.FactorFileError, match="conv_in.bias holds NaN, infinity or numbers too large for .*float16"
    ):
        files.save(tmp_path / "out.safetensors", state, INFO, dtype=torch.float16)
    files.save(tmp_path / "in.safetensors", state, INFO)
    assert run(tmp_path / "in.safetensors", tmp_path / "out.safetensors", "--half") == 1
    assert "conv_in.bias holds weights as large as 1e+06" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_file_is_as_readable_as_any_new_one(source: Path, umask: int) -> None:
    target = source.with_name("out.safetensors")
    before = os.umask(umask)
    try:
        assert run(source, target) == 0
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_write_that_fails_leaves_no_half_file(source: Path, capsys, monkeypatch) -> None:
    def full(tensors, path, metadata) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    assert run(source, source.with_name("out.safetensors")) == 1
    assert "No space left" in capsys.readouterr().err and [p.name for p in source.parent.iterdir()] == [source.name]


@pytest.mark.parametrize("arguments", [["convert"], ["convert", "a", "b", "--variable", "smell"], ["fly"], []])
def test_command_lines_that_make_no_sense(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    if "smell" in arguments:
        assert "segmentation" in capsys.readouterr().err
