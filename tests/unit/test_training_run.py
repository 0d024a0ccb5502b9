"""A training run from a recipe: it learns, stops and goes on exactly, keeps what it has, and says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.factors import files
from comfyui_fgdm.iconworld.family import export
from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.training import init, loop, plot, recipe, run
from comfyui_fgdm.training.recipe import RecipeError
from tools.toy_folder import write_maps
from tools.toy_recipe import quiet, recipe_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = export.files()


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("training")
    write_maps(place / "data", 8)
    return place


def test_a_run_from_folder_to_factor_file(place: Path, base: TinyBackbone) -> None:
    wanted = recipe_of(place)
    current = run.Run(wanted, base, run.run_folder(wanted))
    records = list(current.records())
    validations = [record["validation"] for record in records if "validation" in record]
    assert len(validations) == 2 and validations[1] < validations[0]
    assert current.validation() == {"validation": validations[1]}, "the same pictures, noise and timesteps each time"
    assert current.place.name == "segmentation-001"
    names = {path.name for path in current.place.iterdir()}
    assert {
        "segmentation.safetensors",
        "loss.png",
        "samples-0000012.png",
        "factor.pt",
        "factor.log.jsonl",
        "recipe.json",
    } <= names
    file = files.read_file(current.file)
    assert (file.info.variable, file.info.base_family, file.info.palette) == ("segmentation", "iconworld", "coco183")
    assert file.info.training["samples"] == 48 and file.lora
    torch.testing.assert_close(file.adapter["conv_in.weight"], current.network.adapter.state_dict()["conv_in.weight"])
    # the same recipe goes on in its folder (and is done), another one and a fresh one get their own
    assert run.run_folder(wanted) == current.place
    assert list(run.Run(wanted, base, current.place).records()) == []
    assert (
        run.run_folder(wanted, fresh=True).name
        == run.run_folder(recipe_of(place, training={"lr": 1e-3})).name
        == "segmentation-002"
    )


def test_two_trainings_that_start_at_once_do_not_share_a_folder(place: Path, base: TinyBackbone) -> None:
    one, other = recipe_of(place, training={"seed": 21}), recipe_of(place, training={"seed": 22})
    folders = [run.run_folder(one), run.run_folder(other)]
    assert folders[0] == folders[1], "neither is there yet"
    run.Run(one, base, folders[0])
    with pytest.raises(RecipeError, match="is the folder of another training; start this one again"):
        run.Run(other, base, folders[1])
    assert run.run_folder(other) != folders[0]


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(place: Path, base: TinyBackbone) -> None:
    whole, broken = (recipe_of(place, training={"seed": 3}) for _ in range(2))
    first = run.Run(whole, base, place / "whole")
    expected = list(first.records())
    records = run.Run(broken, base, place / "broken").records()
    for record in records:
        if record["step"] == 6:
            break
    records.close()
    assert torch.load(place / "broken" / "factor.pt", weights_only=True)["step"] in (6, 7)
    again = run.Run(broken, base, place / "broken")
    list(again.records())
    for one, other in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
    logs = [
        [json.loads(line) for line in (place / name / "factor.log.jsonl").read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    assert [record["step"] for record in logs[0]] == [record["step"] for record in expected]
    kept = [
        {k: v for k, v in record.items() if k in ("step", "validation")} for record in logs[1] if "validation" in record
    ]
    assert kept == [{"step": r["step"], "validation": r["validation"]} for r in logs[0] if "validation" in r]


def test_one_example_is_learned_by_heart(tmp_path: Path, base: TinyBackbone) -> None:
    """Two files of one map: at the end it is sampled from noise, to a tenth of what the untrained factor draws."""
    write_maps(tmp_path / "data", 1)
    for folder in ("segmentation", "depth", "image", "captions"):
        (one,) = (tmp_path / "data" / folder).iterdir()
        (one.with_name("copy" + one.suffix)).write_bytes(one.read_bytes())
    wanted = recipe_of(
        tmp_path,
        factor={"rank": 16},
        data={"flip": False, "held_out": 0.5},
        training={"steps": 80, "batch": 4, "lr": 6e-3, "warmup": 5, "ema": 0.9, "caption_dropout": 0.0},
        watch=quiet(),
    )
    current = run.Run(wanted, base, tmp_path / "run")
    batch = next(current.data.validation(1))
    noise = torch.randn(batch.latent.shape, generator=torch.Generator().manual_seed(0))

    def error() -> float:
        return float((current.task.sample(batch, noise, 8, 1.0) - batch.latent).square().mean())

    before = error()
    list(current.records())
    assert error() < 0.1 * before


def test_a_killed_run_goes_on_from_its_last_checkpoint(place: Path) -> None:
    file = place / "killed.toml"
    file.write_text(
        'output = "killed"\n[factor]\nvariable = "depth"\nparents = ["segmentation"]\n[data]\nfolder = "data"\nsize = 64\n'
        '[training]\nsteps = 100000\nbatch = 4\nprecision = "float32"\n[watch]\nlog_every = 5\nsave_every = 5\n'
    )
    command = [sys.executable, "-m", "comfyui_fgdm", "train", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    checkpoint = place / "killed" / "depth-001" / "factor.pt"
    try:
        deadline = time.monotonic() + 240
        while not checkpoint.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    steps = torch.load(checkpoint, weights_only=True)["step"]
    assert steps >= 5
    done = subprocess.run([*command, "--seconds", "0.01"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "going on with" in done.stdout
    assert torch.load(checkpoint, weights_only=True)["step"] >= steps


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_state(
    place: Path, base: TinyBackbone, monkeypatch
) -> None:
    current = run.Run(recipe_of(place), base, place / "nan")
    learn = current.loss
    monkeypatch.setattr(
        current, "loss", lambda step, generator: (learn(step, generator)[0] * (float("nan") if step == 5 else 1), {})
    )
    with pytest.raises(loop.TrainingError, match=r"no number at step 5 .*kept in .*factor\.pt"):
        list(current.records())
    state = torch.load(place / "nan" / "factor.pt", weights_only=True)
    assert state["step"] == 5 and all(value.isfinite().all() for value in state["model"].values())


def test_a_full_disk_keeps_the_checkpoint_before(place: Path, base: TinyBackbone, monkeypatch) -> None:
    records = run.Run(recipe_of(place), base, place / "full").records()
    next(records)
    records.close()
    before = (place / "full" / "factor.pt").read_bytes()

    def full(state, path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.torch, "save", full)
    with pytest.raises(loop.TrainingError, match=r"No space left.*the checkpoint before it is kept"):
        list(run.Run(recipe_of(place), base, place / "full").records())
    assert (place / "full" / "factor.pt").read_bytes() == before
    assert not list((place / "full").glob("*.tmp"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"stesp": 5}}, ["training.stesp is no key", "did you mean training.steps?"]),
        ({"trainnig": {}}, ["trainnig is no key", "did you mean training?"]),
        ({"factor": 3}, ["factor is a section"]),
        ({"training": {"steps": "many"}}, ["training.steps: 'many' is not a whole number"]),
        ({"training": {"steps": 0}}, ["training.steps: 0 is out of range", "1 to"]),
        ({"training": {"lr": float("nan")}}, ["training.lr", "not a number"]),
        ({"training": {"precision": "fp8"}}, ["training.precision", "bfloat16"]),
        ({"factor": {"variable": "smell"}}, ["no variable 'smell'", "depth"]),
        ({"factor": {"variable": "depth", "parents": ["depth"]}}, ["factor.parents"]),
        ({"factor": {"kind": "lora"}}, ["factor.kind", "time_adapter"]),
        ({"data": {"folder": "data", "size": 4}}, ["data.size: 4 is out of range"]),
        ({"data": {}}, ["data.folder is missing"]),
        ({"distillation": {"every": 0}}, ["distillation.every"]),
        ({"frozen": {"precision": "fp8"}}, ["frozen.precision", "bfloat16"]),
        ({"frozen": {"checkpointing": True}}, ["frozen.checkpointing: True", "none, outer, all"]),
    ],
)
def test_a_recipe_that_cannot_be_used_says_where(changes: dict, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.parse({"data": {"folder": "data"}, **changes}, Path())
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_command_refuses_in_words(tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad.toml"
    for text, words in (
        ("not toml", "is no TOML"),
        ('[data]\nfolder = "nowhere"\n', "is no folder"),
        ('base = "sdxl"\n[data]\nfolder = "nowhere"\n', f"base: there is no {tmp_path / 'sdxl'}"),
    ):
        bad.write_text(text)
        assert main(["train", str(bad)]) == 1
        assert words in capsys.readouterr().err
    assert main(["train", str(tmp_path / "none.toml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_init_writes_a_recipe_that_trains(tmp_path: Path, capsys) -> None:
    write_maps(tmp_path / "data", 4)
    file = tmp_path / "recipe.toml"
    assert main(["train", "init", str(tmp_path / "data"), "--variable", "depth", "--to", str(file)]) == 0
    assert re.search(r"2000 steps take about \d+ min on this machine", capsys.readouterr().out)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "recipe.toml"], "the trial keeps nothing"
    text = file.read_text()
    assert "#   4 segmentation pictures" in text and "#   4 examples have all of: depth, segmentation" in text
    wanted = recipe.read(file)
    assert wanted.variables == ("depth", "segmentation") and wanted.data.folder == tmp_path / "data"
    assert main(["train", "init", str(tmp_path / "data"), "--to", str(file), "--no-trial"]) == 1
    assert "exists" in capsys.readouterr().err
    write_maps(tmp_path / "one", 1)
    assert main(["train", "init", str(tmp_path / "one"), "--to", str(tmp_path / "one.toml")]) == 0
    assert "cannot be told: data.folder" in capsys.readouterr().out and (tmp_path / "one.toml").exists()
    assert main(["train", "init", str(tmp_path), "--to", str(tmp_path / "b.toml"), "--no-trial"]) == 1
    assert "holds nothing that is known" in capsys.readouterr().err
    (tmp_path / "photos" / "image").mkdir(parents=True)
    assert main(["train", "init", str(tmp_path / "photos"), "--to", str(tmp_path / "b.toml"), "--no-trial"]) == 1
    assert "named for a variable" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trains", "options", "expected"),
    [
        ("scratch", ["--variable", "depth"], {"parents": ("segmentation",), "width": 64, "rank": 0}),
        ("image_factor", [], {"variable": "segmentation", "parents": (), "rank": 0}),
        ("joint", [], {"start": SHIPPED.factor("segmentation"), "image_factor": SHIPPED.control("segmentation")}),
        ("joint", ["--variable", "depth"], {"start": SHIPPED.factor("depth"), "parents": ("segmentation",)}),
        ("factor", ["--start", str(SHIPPED.factor("segmentation"))], {"start": SHIPPED.factor("segmentation")}),
    ],
)
def test_init_writes_a_recipe_for_all_that_can_be_trained(
    tmp_path: Path, base: TinyBackbone, trains: str, options: list[str], expected: dict
) -> None:
    write_maps(tmp_path / "data", 4)
    file = tmp_path / "recipe.toml"
    assert (
        main(["train", "init", str(tmp_path / "data"), "--trains", trains, *options, "--to", str(file), "--no-trial"])
        == 0
    )
    wanted = recipe.read(file)
    found = {key: getattr(wanted.factor, key) for key in expected}
    assert wanted.factor.trains == trains and found == expected
    assert ("image" in wanted.variables) == (trains in ("image_factor", "joint"))
    small = {"data": {**vars(wanted.data), "size": 32}, "training": {**vars(wanted.training), "precision": "float32"}}
    sections = {name: type(getattr(wanted, name))(**values) for name, values in small.items()}
    current = run.Run(dataclasses.replace(wanted, output=tmp_path / "out", **sections), base, tmp_path / "run")
    assert current.loss(0, torch.Generator().manual_seed(0))[0].isfinite()


def test_init_says_which_files_are_missing(tmp_path: Path, capsys) -> None:
    write_maps(tmp_path / "data", 4)
    to = ["--to", str(tmp_path / "r.toml")]
    for options, words in (
        (["--trains", "image_factor", "--start", str(SHIPPED.factor("depth"))], "no ControlNet"),
        (["--start", str(SHIPPED.control("depth"))], "no FG-DM adapter"),
        (["--start", str(tmp_path / "none.safetensors")], "none.safetensors"),
        (["--image-factor", str(SHIPPED.control("depth"))], "--image-factor is for --trains joint"),
    ):
        assert main(["train", "init", str(tmp_path / "data"), *options, *to, "--no-trial"]) == 1
        assert words in capsys.readouterr().err
    wishes = init.Wishes(tmp_path / "data", tmp_path / "r.toml", recipe.Trains.JOINT)
    with pytest.raises(RecipeError, match="joint goes on from two files: name a trained factor with --start"):
        init.write(wishes, {}, lambda variable: None)
    assert not (tmp_path / "r.toml").exists()


def test_the_loss_plot_shows_this_run(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert plot.losses(log).size == (640, 360)
    log.write_text("".join(json.dumps({"step": s, "loss": 1.0 / s}) + "\n" for s in range(1, 50)))
    falling = torch.tensor(list(plot.losses(log).convert("RGB").getdata())).reshape(360, 640, 3)
    rows = [(falling[:, x] == torch.tensor(plot.COLOURS["loss"])).all(-1).nonzero() for x in (60, 500)]
    assert rows[0].float().mean() < rows[1].float().mean(), "the line falls: high on the left, low on the right"
