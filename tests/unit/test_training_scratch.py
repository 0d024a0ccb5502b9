"""Factors from scratch, by concatenation: a UNet of their own that learns, follows its parents, is written and read again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from comfyui_fgdm.factors import files, unet
from comfyui_fgdm.iconworld.family import export
from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.training import run, scratch
from comfyui_fgdm.training.factor import Batch, FactorSettings, loss_of_batch, network_of
from comfyui_fgdm.training.recipe import RecipeError
from tools import toy_recipe
from tools.toy_folder import write_maps
from tools.toy_recipe import quiet

SMALL = toy_recipe.merged(
    toy_recipe.FACTOR,
    factor={"trains": "scratch", "rank": 0, "blocks": 1},
    training={"steps": 6, "batch": 2},
    watch=dict.fromkeys(("log_every", "validate_every", "sample_every", "save_every"), 3),
)
recipe_of = partial(toy_recipe.recipe_of, sections=SMALL)


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scratch")
    write_maps(place / "data", 6)
    return place


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of two levels of one width, for speed."""
    monkeypatch.setattr(scratch, "MULT", (1, 1))
    monkeypatch.setattr(scratch, "ATTENTION", (False, True))


def test_it_learns_maps_that_its_parent_alone_tells_apart(tmp_path: Path, base: TinyBackbone, flat) -> None:
    """Two maps with one caption, each below a depth map of its own: sampled from noise under a parent, its map comes."""
    write_maps(tmp_path / "data", 6)
    for number in range(6):  # a dog on the left below rising depth, or on the right below falling depth
        for folder in ("segmentation", "depth"):
            picture = Image.open(tmp_path / "data" / folder / "0.png")
            if number % 2:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            picture.save(tmp_path / "data" / folder / f"{number}.png")
    wanted = recipe_of(
        tmp_path,
        factor={"parents": ["depth"]},
        data={"flip": False, "held_out": 0.4, "size": 32},
        training={
            "steps": 140,
            "batch": 8,
            "lr": 2e-3,
            "warmup": 10,
            "ema": 0.9,
            "parent_dropout": 0.1,
            "noised_parents": 0.0,
        },
        watch=quiet(),
    )
    current = run.Run(wanted, base, tmp_path / "run")
    rows = [current.data.store.names.index(name) for name in ("0", "1")]
    batch = current.data.store.batch("segmentation", ("depth",), rows, [0, 0], [2 * row for row in rows])
    swapped = Batch(batch.latent, batch.prompts, batch.dropped, {"depth": batch.parents["depth"].flip(0)})
    noise = torch.randn(batch.latent.shape, generator=torch.Generator().manual_seed(0))

    def error(seen: Batch) -> float:
        return float((current.task.sample(seen, noise, 8, 1.0) - batch.latent).square().mean())

    before = error(batch)
    list(current.records())
    assert error(batch) < 0.15 * before
    assert error(swapped) > 2 * error(batch)


@pytest.mark.parametrize("parents", [(), ("depth", "segmentation")])
def test_the_gradient_reaches_every_weight_of_it_and_none_of_the_base(base: TinyBackbone, parents: tuple) -> None:
    network = network_of(base, FactorSettings(parents=parents, width=64, blocks=1))
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    generator = torch.Generator().manual_seed(5)

    def latent() -> torch.Tensor:
        return 0.6 * torch.randn(2, 12, 8, 8, generator=generator)

    prompts = base.prompts(["a dog on the grass", "two cars near a tree"])
    seen = {name: latent() for name in parents}
    batch = Batch(latent(), prompts, torch.zeros(2, dtype=torch.bool), seen, torch.rand(2, 48, 8, 8))
    settings = FactorSettings(parents=parents, width=64, parent_dropout=0.0, grounding=0.3)
    loss, figures = loss_of_batch(network, base, batch, settings, 0, torch.Generator().manual_seed(2))
    loss.backward()
    assert figures.keys() == {"prediction", "grounding"}, "words are grounded in its own attention"
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())
    assert all(p.grad is None for p in base.unet.parameters())
    t = torch.tensor([300, 800])
    predictions = [
        network.predict(base, batch.latent, t, prompts, given)
        for given in (seen, {}, {name: torch.zeros(2, 12, 8, 8) for name in parents})
    ]
    assert torch.equal(predictions[1], predictions[2]), "a parent that is not there is zeros"
    assert not parents or not torch.allclose(predictions[0], predictions[1])
    torch.manual_seed(9)  # by hand: x first, then the parents in their order
    read = torch.cat([batch.latent, *(seen[name] for name in parents)], 1)
    assert torch.equal(network.network(read, t, prompts), predictions[0])


def test_a_run_that_is_stopped_goes_on_to_the_same_file_which_reads_as_trained(
    place: Path, tmp_path: Path, base: TinyBackbone, flat
) -> None:
    wanted = recipe_of(place, factor={"variable": "depth", "parents": ["segmentation"]}, data={"size": 32})
    assert run.run_folder(wanted).name == "depth-scratch-001"
    first = run.Run(wanted, base, place / "whole")
    whole = [record["validation"] for record in first.records() if "validation" in record]
    records = run.Run(wanted, base, place / "broken").records()
    assert next(records)["step"] == 3
    records.close()
    again = run.Run(wanted, base, place / "broken")
    assert [record["validation"] for record in again.records() if "validation" in record][-1:] == whole[-1:]
    assert first.file.read_bytes() == again.file.read_bytes()

    file = files.read_file(first.file)
    info = file.info
    assert (info.kind, info.parents, info.latent_channels, info.blocks) == ("unet", ("segmentation",), 24, 1)
    assert info.null_condition and info.palette is None and info.training == {"steps": 6, "samples": 12}
    assert file.spec == unet.UNetConfig(64, (1, 1), 1, (False, True), 128, 32, 12, 1) and not file.lora
    x, t, prompts = torch.randn(2, 24, 4, 4), torch.tensor([9, 700]), base.prompts(["a dog", ""])
    with torch.no_grad():
        assert torch.equal(files.module_of(file)(x, t, prompts), first.network.network(x, t, prompts))
    further = {"variable": "depth", "parents": ["segmentation"], "start": str(first.file), "width": 128, "blocks": 3}
    onward = run.Run(recipe_of(place, factor=further), base, place / "onward")
    assert onward.network.spec == file.spec
    for name, weight in onward.network.network.state_dict().items():
        assert torch.equal(weight, file.adapter[name])
    for changes, words in (
        ({**further, "trains": "factor"}, "kind unet: set factor.trains to 'scratch'"),
        (
            {"start": str(export.files().factor("segmentation"))},
            "kind time_adapter: set factor.trains to 'factor'",
        ),
        ({**further, "parents": []}, r"the parents \['segmentation'\]"),
    ):
        with pytest.raises(RecipeError, match=words):
            run.Run(recipe_of(place, factor=changes), base, tmp_path / words[:9])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"factor": {"width": 100}}, "factor.width: 100 is no multiple of 32"),
        ({"factor": {"width": 32}}, "factor.width: 32 is out of range"),
        ({"factor": {"rank": 4}}, "factor.rank: a factor from scratch has a network of its own"),
        ({"distillation": {"weight": 0.1}}, "distillation.weight: a factor from scratch"),
    ],
)
def test_what_a_factor_from_scratch_has_not_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe_of(tmp_path, **changes)


def test_files_that_do_not_hold_what_they_say_are_refused(tmp_path: Path) -> None:
    config = unet.UNetConfig(64, (1, 2), 1, (False, True), 16, 32, 4, 1)
    info = files.FactorInfo("depth", "sd15", unet.KIND, ("segmentation",), None, latent_channels=8, blocks=1)
    network, path = unet.UNet(config), tmp_path / "f.safetensors"
    files.save(path, network, info)
    assert files.read_file(path).spec == config
    state = load_file(path)

    def spoilt(text: str, **tensors: torch.Tensor | None) -> str:
        kept = {name: value for name, value in {**state, **tensors}.items() if value is not None}
        save_file(kept, path, {files.METADATA_KEY: text})
        with pytest.raises(files.FactorFileError) as caught:
            files.read_file(path)
        return str(caught.value)

    told = info.to_json()
    assert "middle_block.0.in_layers.2.bias" in spoilt(told, **{"middle_block.0.in_layers.2.bias": None})
    assert "out.2.weight is missing" in spoilt(told, **{"out.2.weight": None})
    wide = {"input_blocks.1.0.out_layers.3.weight": torch.zeros(65, 64, 3, 3)}
    assert "levels of [65, 128] channels" in spoilt(told, **wide)
    assert "left over: more" in spoilt(told, more=torch.zeros(1))
    assert "reads 8 channels, not 4" in spoilt(told.replace('["segmentation"]', "[]"))
    assert "8 latent channels and 2 blocks" in spoilt(told.replace('"blocks": 1', '"blocks": 2'))
    low = {"lora.a.weight.down": torch.zeros(1, 4), "lora.a.weight.up": torch.zeros(4, 1)}
    assert "low-rank changes of a base, beside a network of its own" in spoilt(told, **low)
    save_file(state, path)
    with pytest.raises(files.FactorFileError, match="a diffusion model without its other parts"):
        files.read_file(path)
