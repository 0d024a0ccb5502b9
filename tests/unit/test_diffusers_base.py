"""A small Stable Diffusion of diffusers as the base of training: gradients, attention, memory, files, and no network."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_unet_checkpoint
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.factors import checkpoints, files
from comfyui_fgdm.training import recipe
from comfyui_fgdm.training.attention import AttentionMaps
from comfyui_fgdm.training.distillation import Distillation
from comfyui_fgdm.training.extras import MissingPackageError
from comfyui_fgdm.training.factor import Batch, FactorNetwork, FactorSettings, loss_of_batch
from comfyui_fgdm.training.image_factor import ImageFactorNetwork, ImageFactorSettings
from comfyui_fgdm.training.image_factor import loss_of_batch as loss_of_image_batch
from comfyui_fgdm.training.stable_diffusion import kinds, loading, names, text
from tools.toy_folder import write_maps
from tools.toy_tokenizer import LETTERS, write_tokenizer


def write_model(folder: Path) -> Path:
    """A diffusers folder in the layout of Stable Diffusion 1.x, but small, with random weights that all matter."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=2, cross_attention_dim=768, attention_head_dim=8, sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D",) * 2,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(32,) * 4, latent_channels=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    config = CLIPTextConfig(
        vocab_size=514, hidden_size=768, intermediate_size=64, num_hidden_layers=1, num_attention_heads=8,
        bos_token_id=512, eos_token_id=513, pad_token_id=513,
    )  # fmt: skip
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("diffusers") / "model")


@pytest.fixture(scope="module")
def base(model: Path):
    return loading.load(model)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError(f"asked the network for {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def batch_of(base, size: int = 2) -> Batch:
    latent = 0.6 * torch.randn(size, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return Batch(latent, base.prompts(["a dog", "two cars"][:size]), torch.zeros(size, dtype=torch.bool))


def gradients(base, settings: FactorSettings) -> tuple[dict, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    network = FactorNetwork(base, settings)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    loss, figures = loss_of_batch(network, base, batch_of(base), settings, 0, torch.Generator().manual_seed(2))
    loss.backward()
    return figures, {name: p.grad for name, p in network.named_parameters()}


def test_the_names_are_those_of_the_library_s_own_conversion(sd_state) -> None:
    prefix = kinds.UNET
    state = {name: value for name, value in sd_state.items() if name.startswith(prefix)}
    config = json.loads((loading.CONFIGS / "unet" / "config.json").read_text())
    converted = convert_ldm_unet_checkpoint(dict(state), config)
    with torch.device("meta"):
        own = [name for name, _ in UNet2DConditionModel.from_config(config).named_parameters()]
    ours = names.to_checkpoint(own, ["CrossAttn" in kind for kind in config["down_block_types"]])
    assert {prefix + name for name in ours} == state.keys() and len(ours) == 686
    assert all(converted[theirs] is state[prefix + name] for name, theirs in ours.items())
    with pytest.raises(ValueError, match=r"add_embedding.linear_1.weight is no weight"):
        names.to_checkpoint(["add_embedding.linear_1.weight"], [True, False])


def test_the_names_of_a_controlnet_are_those_of_the_library_s_own_conversion(base) -> None:
    control = base.control()
    prefix = "control_model."
    state = {prefix + name: torch.empty(1, device="meta") for name in control.names}
    converted = convert_controlnet_checkpoint(dict(state), base.unet.config)
    own = {name: parameter.shape for name, parameter in control.module.net.named_parameters()}
    assert {f"net.{name}" for name in own} == set(control.names.values()) and len(control.names) == len(own)
    assert all(converted[theirs.removeprefix("net.")] is state[prefix + name] for name, theirs in control.names.items())
    shared = {name for name in control.names if name in base.weights}
    assert all(control.module.get_parameter(control.names[n]).shape == base.weights[n].shape for n in shared)
    assert {name.partition(".")[0] for name in control.names.keys() - shared} == {
        "input_hint_block", "zero_convs", "middle_block_out",
    }  # fmt: skip


@pytest.mark.parametrize("rank", [0, 2])
def test_an_image_factor_begins_as_the_base_and_learns_alike_when_checkpointed(model: Path, base, rank: int) -> None:
    spared = loading.load(model, loading.Held(checkpointing="all"))
    found = []
    for each in (base, spared):
        torch.manual_seed(1)
        network = ImageFactorNetwork.new(each, rank)
        batch = dataclasses.replace(
            batch_of(each), hint=torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
        )
        t = torch.tensor([300, 800])
        with torch.no_grad():
            plain = each.predict(batch.latent, t, batch.prompts)
            assert torch.equal(network.predict(each, batch.latent, t, batch.prompts, batch.hint), plain)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        settings = ImageFactorSettings(rank, worn=0.0)
        loss, _ = loss_of_image_batch(network, each, batch, settings, None, torch.Generator().manual_seed(2))
        loss.backward()
        found.append({name: p.grad for name, p in network.named_parameters()})
    for name, grad in found[0].items():
        assert float(grad.abs().sum()) > 0, name
        torch.testing.assert_close(found[1][name], grad, atol=1e-7, rtol=1e-4, msg=name)


SETTINGS = FactorSettings(rank=4, distillation=Distillation(weight=1.0, side=4))


def test_the_gradient_reaches_the_factor_and_nothing_else(base) -> None:
    processors = dict(base.unet.attn_processors)
    figures, found = gradients(base, SETTINGS)
    assert set(figures) == {"prediction", "distillation"} and figures["distillation"] > 0
    assert all(grad is not None and float(grad.abs().sum()) > 0 for grad in found.values())
    frozen = [*base.unet.parameters(), *base.vae().parameters(), *base.encoder().parameters()]
    assert all(p.grad is None and not p.requires_grad for p in frozen)
    assert base.unet.attn_processors == processors, "the processors are what they were"


@pytest.mark.parametrize(
    "settings", [SETTINGS, FactorSettings(rank=4), FactorSettings()], ids=["maps", "rank", "plain"]
)
@pytest.mark.parametrize("which", ["outer", "all"])
def test_checkpointing_changes_no_gradient(model: Path, base, settings: FactorSettings, which: str) -> None:
    """Also not those of changed weights, which are no longer in the UNet when its blocks run again."""
    figures, expected = gradients(base, settings)
    spared = loading.load(model, loading.Held(checkpointing=which))
    runs = {"inner": 0, "outer": 0}
    for name, block in (("inner", spared.unet.down_blocks[1]), ("outer", spared.unet.up_blocks[-1])):
        block.resnets[0].register_forward_pre_hook(lambda *_, name=name: runs.update({name: runs[name] + 1}))
    again, found = gradients(spared, settings)
    once = 1 + (settings.distillation.weight > 0)
    assert runs == {"inner": once + (which == "all"), "outer": once + 1}, "a block runs again, but for the teacher"
    assert again == pytest.approx(figures, rel=1e-5)
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, atol=1e-7, rtol=1e-4, msg=name)


def test_maps_are_those_of_the_layers_that_features_reach(base) -> None:
    batch, t = batch_of(base), torch.tensor([300, 800])
    maps = AttentionMaps(own=[])
    with torch.no_grad():
        seen = base.predict(batch.latent, t, batch.prompts, attention=maps)
        torch.testing.assert_close(seen, base.predict(batch.latent, t, batch.prompts), atol=1e-5, rtol=1e-4)
    cells = [16, 16, 16, 16, 16, 16, 64, 64, 64]  # two of the lower level down, the middle, three a level up
    assert [one.shape for one in maps.cross] == [(2, n, 77) for n in cells]
    assert [one.shape for one in maps.own or ()] == [(2, n, n) for n in cells]
    assert all(torch.allclose(one.sum(-1), torch.ones(one.shape[:2])) for one in [*maps.cross, *(maps.own or ())])
    crossed = AttentionMaps()
    base.predict(batch.latent, t, batch.prompts, attention=crossed)
    assert crossed.own is None and len(crossed.cross) == 9


def test_half_precision_holds_the_unet_alone(model: Path, base) -> None:
    half = loading.load(model, loading.Held(precision="bfloat16"))
    assert half.unet.dtype is torch.bfloat16 and half.vae().dtype is torch.float32
    assert half.facts == base.facts, "cached latents and prompts stay good"
    batch, t = batch_of(base), torch.tensor([300, 800])
    one, other = (each.predict(batch.latent, t, batch.prompts) for each in (base, half))
    assert other.dtype is torch.float32
    assert 0 < float((one - other).norm() / one.norm()) < 0.03


@pytest.mark.parametrize("checkpointing", ["none", "outer", "all"])
@pytest.mark.parametrize("settings", [SETTINGS, FactorSettings()], ids=["maps", "plain"])
def test_weights_held_in_half_give_the_gradients_of_the_same_weights_in_full(
    model: Path, settings: FactorSettings, checkpointing: str
) -> None:
    """And no unpacked weight waits for the backward pass. Changed weights (of rank 4) are in full in either."""
    base = loading.load(model, loading.Held(halved=True, checkpointing=checkpointing))
    full = loading.load(model)
    heavy = [module for module in base.unet.modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))]
    assert {module.weight.dtype for module in heavy} == {torch.float16} and base.dtype is torch.float32
    assert all(p.dtype is torch.float32 for name, p in base.unet.named_parameters() if not name.endswith("weight"))
    full.unet.load_state_dict(base.unet.state_dict())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        figures, found = gradients(base, settings)
    if (
        not settings.rank and checkpointing == "none"
    ):  # changed weights are kept, and checkpointing has hooks of its own
        single = [one for one in kept if one.dtype is torch.float32]
        unpacked = {id(one) for one in single for module in heavy if torch.equal(one, module.weight.float())}
        assert any(one.dtype is torch.float16 for one in kept) and not unpacked
    wanted, expected = gradients(full, settings)
    assert figures == pytest.approx(wanted, rel=1e-5)
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, atol=1e-7, rtol=1e-4, msg=name)


def test_what_only_encodes_is_dropped_at_rest_and_loaded_again(model: Path, base) -> None:
    other = loading.load(model)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    other.rest()
    assert other.vae._network is None and other.encoder._network is None
    latent, prompts = other.encode(picture), other.prompts(["a dog"])
    assert torch.equal(latent, base.encode(picture)) and torch.equal(prompts, base.prompts(["a dog"]))
    assert torch.equal(other.decode(latent), base.decode(latent))
    assert not any(p.requires_grad for p in (*other.vae().parameters(), *other.encoder().parameters()))


def test_what_is_predicted_is_said_by_the_folder_or_the_recipe(tmp_path: Path, base, model: Path) -> None:
    assert base.facts.prediction == "eps"
    scheduler = tmp_path / "scheduler"
    scheduler.mkdir()
    (scheduler / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    assert kinds.prediction_of(tmp_path) == "v"
    (scheduler / "scheduler_config.json").write_text('{"prediction_type": "sample"}')
    with pytest.raises(kinds.BaseModelError, match="predicts 'sample'"):
        kinds.prediction_of(tmp_path)
    assert loading.load(model, loading.Held(prediction="v")).facts.prediction == "v"


@pytest.mark.usefixtures("no_network")
def test_a_recipe_trains_on_a_folder_without_the_network(model: Path, tmp_path: Path, capsys) -> None:
    write_maps(tmp_path / "data", 4)
    file = tmp_path / "recipe.toml"
    assert main(["train", "init", str(tmp_path / "data"), "--base", str(model), "--to", str(file), "--no-trial"]) == 0
    wanted = recipe.read(file)
    assert (wanted.base, wanted.data.size, wanted.training.lr, wanted.factor.rank) == (str(model), 256, 1e-4, 0)
    changed = {"size = 256": "size = 64", "steps = 20000": "steps = 2", "batch = 8": "batch = 2", "rank = 0": "rank = 2",
               "every = 500": "every = 2", '"auto"       # bf': '"float32" # bf'}  # fmt: skip
    written = file.read_text()
    for old, new in changed.items():
        assert old in written
        written = written.replace(old, new)
    file.write_text(written + "\n")
    base = os.path.relpath(model, tmp_path)
    file.write_text(file.read_text().replace(f'base = "{model}"', f'base = "{base}"'), encoding="utf-8")
    capsys.readouterr()
    assert main(["train", str(file)]) == 0, capsys.readouterr().err
    (written_file,) = tmp_path.rglob("segmentation.safetensors")
    factor = files.read_file(written_file)
    assert (factor.info.base_family, factor.info.prediction_type) == ("sd15", "eps")
    assert "input_blocks.1.0.in_layers.2.weight" in factor.lora
    assert "output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight" in factor.lora


def test_an_image_factor_and_then_both_are_trained_by_recipes(model: Path, tmp_path: Path, capsys) -> None:
    """A condition factor and a Control-LoRA are made on the base, and trained together, the gradient passing its decoder."""
    write_maps(tmp_path / "data", 3)
    common = (
        f'output = "out"\nbase = "{model}"\n[data]\nfolder = "data"\nsize = 64\nflip = false\n[training]\nsteps = 1\nbatch = 1\n'
        'warmup = 1\nprecision = "float32"\n[watch]\nsamples = 1\nrecall = 0\nsample_steps = 1\n[factor]\nvariable = "segmentation"\n'
    )
    made = {"start": "segmentation", "image_factor": "segmentation-image"}
    for trains, more in (
        ("factor", ""),
        ("image_factor", "rank = 2\n"),
        ("joint", "".join(f'{key} = "{name}.safetensors"\n' for key, name in made.items())),
    ):
        file = tmp_path / f"{trains}.toml"
        file.write_text(f'{common}trains = "{trains}"\n{more}')
        assert main(["train", str(file)]) == 0, capsys.readouterr().err
        for written in (tmp_path / "out").rglob("segmentation*.safetensors"):
            written.replace(tmp_path / written.name)
    control = load_file(tmp_path / "segmentation-image.safetensors")
    assert any(name.endswith("input_hint_block.14.weight") for name in control)


def test_a_prompt_is_77_tokens_and_no_more(base) -> None:
    tokens = base.tokens("Hi  you")
    letters = {letter: number for number, letter in enumerate([*LETTERS, *(f"{one}</w>" for one in LETTERS)])}
    assert tokens == [512, *(letters[one] for one in ("h", "i</w>", "y", "o", "u</w>"))] + [513] * 71
    assert len(base.tokens("a " * 75)) == 77
    assert base.tokens("a " * 80) == base.tokens("a " * 75)


def shapes(path: Path, tensors: dict[str, tuple[int, ...]]) -> Path:
    """A weights file of such tensors, in which one stored zero serves all."""
    torch.save({"state_dict": {name: torch.zeros(1).expand(shape) for name, shape in tensors.items()}}, path)
    return path


STEM, KEYS = (f"{kinds.UNET}input_blocks.{inner}.weight" for inner in ("0.0", "1.1.transformer_blocks.0.attn2.to_k"))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {STEM: (320, 4, 3, 3), KEYS: (320, 1024), f"{kinds.VAE}encoder.conv_in.weight": (1,)},
            "a Stable Diffusion 2.x",
        ),
        ({STEM: (320, 9, 3, 3), KEYS: (320, 768)}, "an inpainting model of Stable Diffusion 1.x"),
        ({STEM: (320, 4, 3, 3), KEYS: (320, 768)}, "without VAE and text encoder"),
        ({STEM: (320, 4, 3, 3), KEYS: (320, 768), f"{kinds.VAE}a": (1,), f"{kinds.TEXT}b": (1,)}, "no whole UNet"),
        ({STEM: (1,), "conditioner.embedders.0.x": (1,)}, "a full Stable Diffusion XL checkpoint"),
        ({"encoder.conv_in.weight": (1,), "decoder.conv_in.weight": (1,)}, "seems to be a VAE;"),
        ({"lora_unet_down.lora_up.weight": (1,)}, "seems to be a LoRA;"),
        ({"control_model.input_hint_block.0.weight": (1,)}, "seems to be a ControlNet;"),
        ({"other": (1,)}, "a kind not known here"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_what_it_is(tensors: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(kinds.BaseModelError) as caught:
        loading.load(shapes(tmp_path / "some.ckpt", tensors))
    assert words in str(caught.value) and "some.ckpt" in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.safetensors"
    save_file({STEM: torch.zeros(320, 4, 3, 3)}, file)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(checkpoints.CheckpointError, match="truncated"):
        loading.load(file)


def copied(model: Path, target: Path) -> Path:
    """Links to all files of a folder, so that some can be changed."""
    for file in model.rglob("*.*"):
        (target / file.relative_to(model)).parent.mkdir(parents=True, exist_ok=True)
        (target / file.relative_to(model)).symlink_to(file)
    return target


def test_a_folder_of_another_kind_is_refused(model: Path, tmp_path: Path) -> None:
    other = copied(model, tmp_path / "other")
    config = json.loads((model / "unet" / "config.json").read_text())
    for change, words in (
        ({"cross_attention_dim": 2048}, r"a Stable Diffusion XL \(prompts of width 2048"),
        ({"in_channels": 9}, "an inpainting model"),
        ({"_class_name": "UNetMotionModel"}, "is a UNetMotionModel"),
    ):
        (other / "unet" / "config.json").unlink()
        (other / "unet" / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(kinds.BaseModelError, match=words):
            loading.load(other)
    with pytest.raises(kinds.BaseModelError, match=r"no folder of diffusers: it holds no unet/config\.json, vae/"):
        loading.load(tmp_path)


def test_a_folder_that_lacks_weights_is_refused(model: Path, tmp_path: Path) -> None:
    part = copied(model, tmp_path / "part")
    weights = part / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    weights.unlink()
    with pytest.raises(kinds.BaseModelError, match="unet cannot be loaded"):
        loading.load(part)
    del state["mid_block.resnets.0.conv1.weight"]
    save_file(state, weights)
    with pytest.raises(kinds.BaseModelError, match=r"mid_block\.resnets\.0\.conv1\.weight"):
        loading.load(part)


def test_the_vocabulary_is_found_or_asked_for(model: Path, tmp_path: Path) -> None:
    lacking = copied(model, tmp_path / "lacking")
    for file in (lacking / "tokenizer").iterdir():
        file.unlink()
    with pytest.raises(text.VocabularyError, match=r"Set COMFYUI_PATH .* or frozen\.tokenizer"):
        loading.load(lacking)
    with pytest.raises(text.VocabularyError, match=r"frozen\.tokenizer: .*vae holds no vocab\.json"):
        loading.load(lacking, loading.Held(tokenizer=model / "vae"))
    assert loading.load(lacking, loading.Held(tokenizer=model / "tokenizer")).tokens("")[0] == 512
    write_tokenizer(tmp_path / "ComfyUI" / text.HOSTS)
    assert loading.load(lacking, loading.Held(near=(tmp_path / "ComfyUI",))).tokens("")[1] == 513


def test_without_the_libraries_the_command_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingPackageError, match=r"diffusers.*pip install"):
        loading.load(model)
