"""What a run is watched by: recall of its maps, TensorBoard, a precision that stays; and several processes as one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from comfyui_fgdm.factors import files
from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.reader import COCO_MAPS, reader
from comfyui_fgdm.training import extras, loop, recipe, run, watching
from comfyui_fgdm.training.processes import ALONE, Processes
from tools import toy_recipe
from tools.toy_folder import DOG, GRASS, write_maps

ROOT = Path(__file__).resolve().parents[2]
SMALL = toy_recipe.merged(
    toy_recipe.FACTOR,
    training={"batch": 2, "accumulate": 2, "warmup": 2, "seed": 2**63 - 1},
    watch={"log_every": 2, "validate_every": 4, "save_every": 500, "recall": 2},
)


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("watching")
    write_maps(place / "data", 6)
    return place


def written(place: Path, output: str, steps: int = 4, precision: str = "float32", tensorboard: bool = False) -> Path:
    sections = toy_recipe.merged(
        SMALL,
        training={"steps": steps, "precision": precision},
        watch={"sample_every": steps, "tensorboard": tensorboard},
    )
    return toy_recipe.write(place / f"{output}.toml", output, sections)


def run_of(file: Path, base: TinyBackbone, processes: Processes = ALONE) -> run.Run:
    wanted = recipe.read(file)
    return run.Run(wanted, base, run.run_folder(wanted), processes=processes)


def test_recall_of_maps_with_known_answers() -> None:
    labels = torch.full((2, 32, 32), GRASS)
    labels[0, 8:24, 8:24] = DOG
    pictures = palettes.encode(labels).permute(0, 3, 1, 2)
    prompts = ["a dog on the grass", "a dog on the grass"]
    assert watching.map_recall(pictures, prompts, COCO_MAPS) == (1.0 + 0.5) / 2
    assert watching.map_recall(pictures, ["a cat", "hello"], COCO_MAPS) == 0.0, (
        "a prompt without objects is passed over"
    )
    assert watching.map_recall(pictures, ["", ""], COCO_MAPS) is None
    assert watching.map_recall(pictures, prompts, reader("depth", None)) is None


def test_processes_share_a_step_and_change_nothing(place: Path, base: TinyBackbone) -> None:
    """Two processes of one batch each are one process of two: the same factor to rounding, one log, one set of files."""
    one = run_of(written(place, "one"), base)
    records = list(one.records())
    # Started by torchrun: accelerate's own launcher starts several processes on GPUs the same way, on CPUs through MPI.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "comfyui_fgdm", "train"]
    done = subprocess.run([*command, str(written(place, "two"))], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("step 4 of 4") == len([r for r in records if r["step"] == 4])
    assert "2 processes share" in done.stdout
    two = place / "two" / "segmentation-001"
    ours, theirs = files.read_file(one.file), files.read_file(two / "segmentation.safetensors")
    assert ours.info == theirs.info
    for name, value in ours.adapter.items():
        torch.testing.assert_close(value, theirs.adapter[name], rtol=1e-3, atol=1e-5)
    logs = [[json.loads(line) for line in (p / "factor.log.jsonl").read_text().splitlines()] for p in (one.place, two)]
    assert [r["step"] for r in logs[0]] == [r["step"] for r in logs[1]]
    for mine, other in zip(*logs, strict=True):
        if "validation" in mine:
            assert mine["validation"] == pytest.approx(other["validation"], rel=1e-4)


def test_batches_that_cannot_be_shared_are_refused(place: Path, base: TinyBackbone) -> None:
    assert [list(Processes(rank, 2).batches(4)) for rank in range(2)] == [[0, 2], [1, 3]]
    with pytest.raises(recipe.RecipeError, match=r"accumulate: 2 batches a step .* 3 processes; give a multiple of 3"):
        run_of(written(place, "three"), base, Processes(0, 3))


def test_each_batch_of_a_step_has_numbers_of_its_own() -> None:
    seen = {
        tuple(torch.rand(4, generator=loop.generator_of(seed, step, number)).tolist())
        for seed in (0, 1, 2**63 - 1)
        for step in (0, 1)
        for number in (0, 1)
    }
    assert len(seen) == 12
    before = torch.Generator().manual_seed(3 * 1_000_003 + 5)
    assert torch.equal(loop.generator_of(3, 5).get_state(), before.get_state()), "the first batch as it has always been"


def test_tensorboard_holds_the_figures_of_the_log(place: Path, base: TinyBackbone) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = written(place, "board", tensorboard=True)
    records = run_of(file, base).records()
    next(records)
    records.close()  # stopped after two steps, and on
    current = run_of(file, base)
    list(current.records())
    events = EventAccumulator(str(current.place / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (current.place / "factor.log.jsonl").read_text().splitlines()]
    for name in ("loss", "validation", "recall"):
        expected = [(line["step"], line[name]) for line in lines if name in line]
        assert expected
        assert [(s.step, pytest.approx(s.value, rel=1e-6)) for s in events.Scalars(name)] == expected
    assert [image.step for image in events.Images("samples")] == [4]


def test_a_processor_without_bfloat16_takes_float32_untried(place: Path, base: TinyBackbone, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    current = run_of(written(place, "untried", precision="auto"), base)
    monkeypatch.setattr(current, "_trial", lambda dtype, **_: pytest.fail("tried"))
    assert current.precision() is None


def test_the_precision_of_the_first_trial_is_kept(place: Path, base: TinyBackbone, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    file = written(place, "auto", precision="auto")
    first, again = run_of(file, base), run_of(file, base)
    monkeypatch.setattr(first, "_trial", lambda dtype, **_: 2.0 if dtype is None else 1.0)
    assert first.precision() is torch.bfloat16
    monkeypatch.setattr(again, "_trial", lambda dtype, **_: pytest.fail("tried again"))
    assert again.precision() is torch.bfloat16


def test_half_precision_passes_over_an_overflow_and_scales_less(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, budget = torch.nn.Linear(4, 1), loop.Budget(80, 2, 1e-2, warmup=1)
    factors = {3: float("inf")}

    def loss(step: int, generator: torch.Generator):
        out = model(torch.randn(2, 4, generator=generator))
        assert out.dtype is torch.float16
        return 1e-3 * out.float().square().mean() * factors.get(step, 1.0), {}

    records = loop.train("half", model, loss, budget, tmp_path, log_every=1, autocast=torch.float16)
    before = None
    for record in records:
        weights = model.weight.detach().clone()
        if record["step"] == 4:
            assert torch.equal(weights, before), "the step with the overflow changes nothing"
        elif before is not None:
            assert not torch.equal(weights, before)
        before = weights
    state = torch.load(tmp_path / "half.pt", weights_only=True)
    assert state["step"] == 40 and state["scaler"]["scale"] == 2.0**15
    factors.update(dict.fromkeys(range(40), float("nan")))
    with pytest.raises(loop.TrainingError, match="no number at step 16"):
        list(loop.train("never", model, loss, budget, tmp_path, autocast=torch.float16))


def test_a_step_without_memory_keeps_the_state_and_says_what_to_lower(tmp_path: Path) -> None:
    model, steps = torch.nn.Linear(4, 1), []

    def loss(step: int, generator: torch.Generator):
        steps.append(step)
        if step == 3 and len(steps) == 4:
            torch.empty(2**55)
        return model(torch.randn(2, 4, generator=generator)).square().mean(), {}

    budget = loop.Budget(12, 2, 1e-2)
    with pytest.raises(loop.TrainingError, match=r"no memory for step 3 .*kept in .*big\.pt.*Lower training\.batch"):
        list(loop.train("big", model, loss, budget, tmp_path))
    assert torch.load(tmp_path / "big.pt", weights_only=True)["step"] == 3
    list(loop.train("big", model, loss, budget, tmp_path))
    assert steps == [0, 1, 2, 3, 3, 4, 5]


def test_a_missing_package_is_named_with_the_command() -> None:
    with pytest.raises(extras.MissingPackageError, match=r"watching takes the package 'no_such_package'.*pip install"):
        extras.load("no_such_package.inner", "watching")
