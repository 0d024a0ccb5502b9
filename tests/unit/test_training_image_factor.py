"""Training an image factor, alone and together with a condition factor: what is learned, what is not, and what is written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from comfyui_fgdm.factors import files, image_files
from comfyui_fgdm.iconworld.family import control, export
from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.training import image_factor, joint, recipe, run
from comfyui_fgdm.training.factor import Batch, FactorNetwork, FactorSettings, loss_of_batch
from comfyui_fgdm.training.image_factor import ImageFactorNetwork, ImageFactorSettings
from comfyui_fgdm.training.readers.sources import FolderError
from comfyui_fgdm.training.recipe import RecipeError
from tools import toy_recipe
from tools.toy_folder import write_maps
from tools.toy_recipe import quiet

SHIPPED = export.files()
SMALL = {
    "factor": {"trains": "image_factor", "variable": "segmentation"},
    "data": {"folder": "data", "size": 64, "held_out": 0.2},
    "training": {"steps": 8, "batch": 2, "lr": 2e-3, "warmup": 2, "precision": "float32"},
    "watch": dict.fromkeys(("log_every", "validate_every", "sample_every", "save_every"), 4)
    | {"samples": 2, "sample_steps": 2},
}
JOINT = {
    "trains": "joint",
    "start": str(SHIPPED.factor("segmentation")),
    "image_factor": str(SHIPPED.control("segmentation")),
}
recipe_of = partial(toy_recipe.recipe_of, sections=SMALL)


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    write_maps(place / "data", 8)
    return place


@pytest.fixture
def batch(base: TinyBackbone) -> Batch:
    generator = torch.Generator().manual_seed(5)
    latent, image = 0.6 * torch.randn(2, 2, base.facts.channels, 8, 8, generator=generator)
    hint = torch.rand(2, 3, 64, 64, generator=generator)
    prompts = base.prompts(["a dog on the grass", "two cars near a tree"])
    return Batch(latent, prompts, torch.zeros(2, dtype=torch.bool), hint=hint, image=image)


def awake(network: torch.nn.Module) -> None:
    """With random weights: layers that start at zero keep the gradient from what lies before them."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)


@pytest.mark.parametrize("rank", [0, 4])
def test_the_first_prediction_is_the_base_s_and_the_encoder_begins_as_the_base_s(base, batch, rank: int) -> None:
    network = ImageFactorNetwork.new(base, rank)
    t = torch.tensor([300, 800])
    plain = base.predict(batch.latent, t, batch.prompts)
    assert torch.equal(network.predict(base, batch.latent, t, batch.prompts, batch.hint), plain)
    for name, weight in network.trained().items():
        assert name not in base.weights or torch.equal(weight, base.weights[name]), name
    assert not rank or set(network.trained()) == {
        name for name in network.trained() if name.startswith(image_files.OWN)
    }
    awake(network)
    assert not torch.allclose(network.predict(base, batch.latent, t, batch.prompts, batch.hint), plain)


@pytest.mark.parametrize("rank", [0, 4])
def test_the_gradient_reaches_every_parameter_of_the_image_factor_and_no_other(base, batch, rank: int) -> None:
    network = ImageFactorNetwork.new(base, rank)
    awake(network)
    settings = ImageFactorSettings(rank)
    loss, _ = image_factor.loss_of_batch(
        network, base, batch, settings, palettes.COCO, torch.Generator().manual_seed(2)
    )
    loss.backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())
    assert all(p.grad is None and not p.requires_grad for p in [*base.unet.parameters(), *base.decoder.parameters()])
    (hidden,) = network._control
    own = {id(parameter) for parameter in network.parameters()}
    assert all(p.grad is None for p in hidden.module.parameters() if id(p) not in own)


@pytest.mark.parametrize("through", [True, False])
def test_joint_training_reaches_the_factor_and_the_hint_block_alone(base, batch, through: bool) -> None:
    image = ImageFactorNetwork.of(base, image_files.read(SHIPPED.control("segmentation")), hint_alone=True)
    network = joint.JointNetwork(FactorNetwork(base, FactorSettings(rank=4)), image)
    awake(network.factor)
    settings = joint.JointSettings(FactorSettings(rank=4), image_gradient=through)
    loss, figures = joint.loss_of_batch(network, base, batch, settings, 0, torch.Generator().manual_seed(2))
    assert float(loss.detach()) == pytest.approx(figures["map"] + figures["image"])
    (loss - figures["map"]).backward()
    assert all(name.startswith("input_hint_block") for name in image.trained()) and len(image.trained()) == 16
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())
    (hidden,) = image._control
    own = {id(parameter) for parameter in network.parameters()}
    assert all(p.grad is None and not p.requires_grad for p in hidden.module.parameters() if id(p) not in own)
    alone = {name: p.grad.clone() for name, p in network.factor.named_parameters()}
    network.zero_grad()
    loss_of_batch(network.factor, base, batch, settings.factor, 0, torch.Generator().manual_seed(2))[0].backward()
    same = [torch.allclose(alone[name], p.grad, rtol=1e-4, atol=1e-7) for name, p in network.factor.named_parameters()]
    assert not any(same) if through else all(same), "whether the image's loss teaches the factor"


def test_a_hint_is_the_map_of_the_same_view_as_the_picture(place: Path, base: TinyBackbone) -> None:
    current = run.Run(recipe_of(place, data={"crops": 2}), base, place / "views")
    batch = current.data.draw(12, torch.Generator().manual_seed(0))
    assert batch.hint is not None and batch.hint.shape == (12, 3, 64, 64)
    assert set((batch.hint[0] * 255).round().flatten(1).T.unique(dim=0).int().flatten().tolist()) <= {
        level for index in (17, 123) for level in palettes.COCO.labels[index].rgb
    }
    shown = 2 * base.decode(batch.latent)  # the toy pictures are their maps at half the brightness
    apart = [float((one - other).abs().mean()) for one, other in zip(shown, batch.hint, strict=True)]
    mirrored = [float((one - other.flip(2)).abs().mean()) for one, other in zip(shown, batch.hint, strict=True)]
    assert max(apart) < 0.06 < 0.12 < sum(mirrored) / 12, "but for what the autoencoder loses"


def test_one_picture_is_learned_by_heart(tmp_path: Path, base: TinyBackbone) -> None:
    """Two files of one picture: at the end it is sampled from noise, to two fifths of the error of the base alone."""
    write_maps(tmp_path / "data", 1)
    for folder in ("segmentation", "image", "captions"):
        (one,) = (tmp_path / "data" / folder).iterdir()
        one.with_name("copy" + one.suffix).write_bytes(one.read_bytes())
    wanted = recipe_of(
        tmp_path,
        data={"flip": False, "held_out": 0.5, "size": 32},
        training={"steps": 24, "lr": 2e-3, "warmup": 4, "ema": 0.8, "caption_dropout": 0.0},
        watch=quiet(),
    )
    current = run.Run(wanted, base, tmp_path / "run")
    batch = next(current.data.validation(1))
    noise = torch.randn(batch.latent.shape, generator=torch.Generator().manual_seed(0))

    def error() -> float:
        return float((current.task.sample(batch, noise, 8, 1.0) - batch.latent).square().mean())

    before = error()
    list(current.records())
    assert error() < 0.4 * before


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(place: Path, base: TinyBackbone) -> None:
    wanted = recipe_of(place, factor={"rank": 4}, data={"size": 32})
    first = run.Run(wanted, base, place / "whole")
    whole = [record["validation"] for record in first.records() if "validation" in record]
    assert {path.name for path in first.place.iterdir()} >= {
        "segmentation-image.safetensors", "image_factor.pt", "samples-0000008.png", "loss.png", "recipe.json"
    }  # fmt: skip
    records = run.Run(wanted, base, place / "broken").records()
    assert next(records)["step"] == 4
    records.close()
    again = run.Run(wanted, base, place / "broken")
    assert [record["validation"] for record in again.records() if "validation" in record][-1:] == whole[-1:]
    for one, other in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert first.file.read_bytes() == again.file.read_bytes()
    # the file is the trained network: as the icon world reads it, and as one to go on from
    file = image_files.read(first.file)
    assert file.info == image_files.ImageFactorInfo(
        "segmentation", "iconworld", "coco183", 32, "v", "", {"steps": 8, "samples": 16}
    )
    batch = next(first.data.validation(2))
    t = torch.tensor([500] * len(batch.latent))
    expected = first.network.predict(base, batch.latent, t, batch.prompts, batch.hint)
    rebuilt = control.control_from(load_file(first.file), base)
    residuals = rebuilt(batch.latent, rebuilt.input_hint_block(batch.hint), t, batch.prompts)
    torch.testing.assert_close(
        base.predict(batch.latent, t, batch.prompts, control=residuals), expected, atol=1e-5, rtol=0
    )
    for hint_alone in (False, True):
        further = ImageFactorNetwork.of(base, file, hint_alone)
        assert len(list(further.parameters())) == (16 if hint_alone else len(list(first.network.parameters())))
        found = further.predict(base, batch.latent, t, batch.prompts, batch.hint)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_joint_training_lowers_both_held_out_losses_and_writes_both_files_anew(place: Path, base: TinyBackbone) -> None:
    """From the shipped factor and image factor, on pictures of another look than they were trained on."""
    before = {key: Path(JOINT[key]).read_bytes() for key in ("start", "image_factor")}
    wanted = recipe_of(
        place, factor=JOINT, training={"steps": 8, "lr": 1e-3, "ema": 0.8}, watch=quiet(validate_every=8)
    )
    current = run.Run(wanted, base, place / "joint")
    first = current.validation()
    (last,) = [record for record in current.records() if "validation" in record]
    for key in ("validation_map", "validation_image"):
        assert last[key] < first[key], key
    assert last["validation"] == pytest.approx(last["validation_map"] + last["validation_image"], abs=2e-6)
    assert {key: Path(JOINT[key]).read_bytes() for key in before} == before
    factor, image = current.files.values()
    assert files.read_file(factor).info.variable == "segmentation"
    old, new = image_files.read(JOINT["image_factor"]).whole, image_files.read(image).whole
    assert old.keys() == new.keys()
    assert {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])} == {"input_hint_block"}


def test_a_factor_of_a_file_is_trained_further(place: Path, base: TinyBackbone) -> None:
    factor = {"trains": "factor", "start": JOINT["start"], "rank": 0, "kind": "adapter", "blocks": 1}
    current = run.Run(recipe_of(place, factor=factor), base, place / "further")
    file = files.read_file(JOINT["start"])
    assert (current.network.spec.kind.value, current.network.spec.blocks) == (file.info.kind, file.info.blocks)
    assert current.network.lora is not None
    for name, (down, up) in current.network.lora.pairs().items():
        assert torch.equal(down, file.lora[name].down.float()) and torch.equal(up, file.lora[name].up.float())
    current.save(3)
    again = files.read_file(current.file)
    assert again.lora.keys() == file.lora.keys() and again.info.training == {"steps": 3, "samples": 6}
    for name, weight in again.adapter.items():
        assert torch.equal(weight, file.adapter[name].float())


def test_an_image_factor_of_others_is_read_whatever_its_prefix(tmp_path: Path) -> None:
    state = load_file(SHIPPED.control("segmentation"))
    other = tmp_path / "control_other.safetensors"
    save_file({f"control_model.{name}": value for name, value in state.items()}, other)
    found = image_files.read(other)
    assert found.info is None and not found.low_rank and found.whole.keys() == state.keys()


def spoilt_control(place: Path, **changes: torch.Tensor) -> str:
    file = place / "spoilt.safetensors"
    save_file({**load_file(SHIPPED.control("segmentation")), **changes}, file)
    return str(file)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ({"trains": "everything"}, ["factor.trains", "image_factor"]),
        ({"parents": ["depth"]}, ["factor.parents", "segmentation, alone"]),
        ({"trains": "joint"}, ["factor.start is missing", "start and image_factor"]),
        ({"image_factor": "a.safetensors"}, ['trains = "joint"', "name it as start"]),
        ({"variable": "normal"}, ["no folder 'normal'", "segmentation"]),
        ({"start": "none.safetensors"}, ["none.safetensors", "no such file"]),
        ({"start": JOINT["start"]}, ["no ControlNet", "seems to be"]),
        ({**JOINT, "start": JOINT["image_factor"]}, ["no FG-DM adapter", "a ControlNet"]),
        ({**JOINT, "variable": "depth"}, ["factor.start", "the variable 'segmentation'", "'depth'"]),
        ({**JOINT, "parents": ["depth"]}, ["factor.start", "parents []", "['depth']"]),
        ({"start": "spoilt"}, ["spoilt.safetensors", "zero_convs.0.0.weight is (8, 8, 1, 1)", "same family"]),
        ({"start": "other"}, ["factor.start", "the variable 'depth'", "'segmentation'"]),
        ({"start": "elsewhere"}, ["factor.start", "the base 'sd15'", "'iconworld'"]),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(
    place: Path, tmp_path: Path, base: TinyBackbone, factor: dict, words: list[str]
) -> None:
    if factor.get("start") == "spoilt":
        factor = {"start": spoilt_control(place, **{"zero_convs.0.0.weight": torch.zeros(8, 8, 1, 1)})}
    for name, told in (("other", ("depth", "iconworld")), ("elsewhere", ("segmentation", "sd15"))):
        if factor.get("start") == name:
            factor = {"start": str(place / f"{name}.safetensors")}
            image_files.save(
                Path(factor["start"]),
                load_file(SHIPPED.control("segmentation")),
                None,
                image_files.ImageFactorInfo(*told),
            )
    with pytest.raises((RecipeError, FolderError, files.FactorFileError)) as caught:
        run.Run(recipe_of(place, factor=factor), base, tmp_path / "refused")
    assert all(word in str(caught.value) for word in words), caught.value


def test_examples_without_a_picture_are_named(tmp_path: Path, base: TinyBackbone) -> None:
    write_maps(tmp_path / "data", 3)
    (tmp_path / "data" / "image" / "1.png").unlink()
    with pytest.raises(FolderError, match="1 lacks image"):
        run.Run(recipe_of(tmp_path), base, tmp_path / "run")
    with pytest.raises(RecipeError, match="attention distillation is for condition factors"):
        recipe.parse({**SMALL, "distillation": {"weight": 0.1}}, tmp_path)
