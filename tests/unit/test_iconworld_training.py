"""The tiny family's networks, losses and loop, against independent calculations."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from comfyui_fgdm.iconworld.family import autoencoder, control, data, judge, shards
from comfyui_fgdm.iconworld.family.control import WholeControl
from comfyui_fgdm.iconworld.family.factor import Factor
from comfyui_fgdm.iconworld.family.networks import ControlNet, TextEncoder, UNet
from comfyui_fgdm.iconworld.family.parts import Base
from comfyui_fgdm.iconworld.world import truth
from comfyui_fgdm.iconworld.world.captions import make_caption
from comfyui_fgdm.iconworld.world.draw import draw_scene
from comfyui_fgdm.iconworld.world.layouts import sample_layout
from comfyui_fgdm.iconworld.world.scenes import World
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.pictures import grey, paint_grey
from comfyui_fgdm.maps.variable import VariableKind
from comfyui_fgdm.training import loop, objective
from tools.toy_icons import toy_bank

torch.set_num_threads(1)


def taesd(state, prefix, x, plan):
    """An independent reading of a TAESD state dict: plan lists conv / block / down / up / relu / clamp by position."""

    def conv(key, h, stride=1):
        return F.conv2d(h, state[f"{key}.weight"], state.get(f"{key}.bias"), stride, 1)

    for at, kind in enumerate(plan):
        key = f"{prefix}.{at}"
        if kind == "clamp":
            x = 3 * torch.tanh(x / 3)
        elif kind == "relu":
            x = F.relu(x)
        elif kind == "up":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        elif kind == "block":
            x = F.relu(conv(f"{key}.conv.4", F.relu(conv(f"{key}.conv.2", F.relu(conv(f"{key}.conv.0", x))))) + x)
        else:
            x = conv(key, x, 2 if kind == "down" else 1)
    return x


ENCODER = ["conv", "block", *["down", "block", "block", "block"] * 3, "conv"]
DECODER = ["clamp", "conv", "relu", *["block", "block", "block", "up", "conv"] * 3, "block", "conv"]


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    model = autoencoder.Autoencoder()
    for p in model.decoder.parameters():
        nn.init.normal_(p, std=0.05)
    pictures = F.interpolate(torch.rand(24, 3, 16, 16), size=64, mode="bilinear")
    model.encoder.fit(pictures)
    return model.eval(), pictures


def test_the_encoder_is_the_principal_components(fitted):
    model, pictures = fitted
    patches = F.unfold(pictures, 8, stride=8).transpose(1, 2).reshape(-1, 192).double()
    _, values, vectors = torch.pca_lowrank(patches, q=20, niter=10)
    z = model.encode(pictures).permute(0, 2, 3, 1).reshape(-1, autoencoder.LATENT_CHANNELS)
    std = values / len(patches) ** 0.5
    torch.testing.assert_close(z.std(0, unbiased=False).double(), (std / std[0]).sqrt()[:12], atol=1e-3, rtol=1e-3)
    projected = (patches - patches.mean(0)) @ vectors[:, :3] / (std[:3] * std[0]).sqrt()
    torch.testing.assert_close(projected.abs(), z[:, :3].double().abs(), atol=1e-3, rtol=1e-3)


def test_the_exported_autoencoder_is_the_same_function(fitted):
    model, pictures = fitted
    state = autoencoder.export(model)
    latents = model.encode(pictures)
    torch.testing.assert_close(taesd(state, "taesd_encoder", pictures, ENCODER), latents, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(
        taesd(state, "taesd_decoder", latents, DECODER), model.decoder(latents), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(autoencoder.decoder_from(state)(latents), model.decoder(latents), atol=0, rtol=0)


def test_v_prediction_inverts():
    x0, noise, t = torch.randn(6, 4, 5, 5), torch.randn(6, 4, 5, 5), torch.tensor([0, 10, 300, 600, 900, 999])
    x, v = objective.noised(x0, noise, t)
    torch.testing.assert_close(objective.predicted_x0(x, v, t), x0, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(x.square() + v.square(), x0.square() + noise.square(), atol=1e-4, rtol=1e-4)


def test_the_schedule_is_stable_diffusion_s():
    a = objective.alphas()
    assert a[0].item() == pytest.approx(0.99915, abs=1e-5)
    assert a[999].item() == pytest.approx(0.0046601, rel=1e-3)


def test_grounding_by_hand():
    masks = torch.zeros(1, 3, 16, 16)
    masks[0, 1, :8] = 1  # token 1 names the upper half
    perfect = torch.zeros(1, 64, 3)
    perfect[0, :32, 1] = 1
    perfect[0, 32:, 0] = 1
    assert objective.grounding([perfect], masks).item() == pytest.approx(0, abs=1e-6)
    uniform = torch.full((1, 64, 3), 1 / 3)
    expected = (1 - 0.5) ** 2 + 0.3 * np.log(3)
    assert objective.grounding([uniform, uniform], masks).item() == pytest.approx(expected, abs=1e-5)
    assert objective.grounding([uniform], torch.zeros(1, 3, 16, 16)).item() == 0


def test_control_and_adapter_start_and_change_as_they_should():
    torch.manual_seed(0)
    base = Base()
    nn.init.normal_(base.unet.out[2].weight, std=0.1)
    x, t = torch.randn(2, 12, 16, 16), torch.tensor([500, 10])
    context = base.text(torch.randint(0, 100, (2, 48)))
    plain = base.unet(x, t, context)
    image, hint = WholeControl(base, 183), torch.rand(2, 3, 128, 128)
    out, read = image(x, hint, t, context)
    torch.testing.assert_close(out, plain, atol=0, rtol=0)
    assert read.shape == (2, 183, 16, 16)
    nn.init.normal_(image.control.zero_convs[3][0].weight, std=0.1)
    changed = image(x, hint, t, context)[0]
    assert (changed - plain).abs().max() > 1e-4
    assert (image(x, hint.flip(2), t, context)[0] - changed).abs().max() > 1e-5, (
        "the hint is seen from the first step on"
    )
    factor = Factor(base, rank=4)
    with_adapter = factor(x, t, context)
    assert (with_adapter - plain).abs().max() > 1e-4
    factor.lora.up[next(iter(factor.lora.up))].data.normal_()
    assert (factor(x, t, context) - with_adapter).abs().max() > 1e-5
    trainable = {name.split(".")[0] for name, p in factor.named_parameters() if p.requires_grad}
    assert trainable == {"adapter", "lora"}


def test_text_is_causal():
    encoder = TextEncoder().eval()
    a = torch.randint(3, 100, (1, 48))
    b = a.clone()
    b[0, 20:] = 5
    torch.testing.assert_close(encoder(a)[0, :20], encoder(b)[0, :20])
    assert (encoder(a)[0, 20:] - encoder(b)[0, 20:]).abs().max() > 1e-3


def test_checkpoint_keys_are_stable_diffusion_s():
    keys = set(UNet().state_dict())
    for key in (
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "input_blocks.1.0.in_layers.2.weight",
        "input_blocks.2.0.op.weight",
        "input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight",
        "input_blocks.3.1.transformer_blocks.0.ff.net.0.proj.weight",
        "middle_block.1.proj_in.weight",
        "output_blocks.1.2.conv.weight",
        "out.2.weight",
    ):
        assert key in keys, key
    control = set(ControlNet().state_dict())
    assert {
        "zero_convs.0.0.weight",
        "middle_block_out.0.weight",
        "input_hint_block.0.weight",
        "input_hint_block.14.weight",
    } <= control


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 1)


def toy_loss(model):
    def loss_of(_step, generator):
        x = torch.randn(8, 3, generator=generator)
        return (model.line(x)[:, 0] - x @ torch.tensor([1.0, -2.0, 0.5])).square().mean(), {}

    return loss_of


def test_a_resumed_run_is_the_unbroken_one(tmp_path):
    budget = loop.Budget(samples=8 * 300, batch=8, lr=0.05, warmup=10)
    torch.manual_seed(0)
    whole, broken = Toy(), Toy()
    broken.load_state_dict(whole.state_dict())
    records = list(loop.train("toy", whole, toy_loss(whole), budget, tmp_path / "a", seed=3))
    assert records[-1]["loss"] < 0.01 < records[0]["loss"]
    stopped = loop.train("toy", broken, toy_loss(broken), budget, tmp_path / "b", seed=3, log_every=70)
    assert next(stopped)["step"] == 70
    stopped.close()
    assert loop.spent(tmp_path / "b" / "toy.pt")[0] == 70
    again = Toy()
    list(loop.train("toy", again, toy_loss(again), budget, tmp_path / "b", seed=3))
    torch.testing.assert_close(again.line.weight, whole.line.weight, atol=0, rtol=0)
    assert json.loads((tmp_path / "a" / "toy.log.jsonl").read_text().splitlines()[-1])["step"] == 300
    averaged = loop.load_ema(Toy(), tmp_path / "a" / "toy.pt")
    torch.testing.assert_close(averaged.line.weight, whole.line.weight, atol=0, rtol=0)


def test_the_rate_falls_to_zero_and_starts_anew():
    budget = loop.Budget(samples=8 * 100, batch=8, lr=2.0, warmup=4, restart=8 * 40)
    rates = [budget.rate(step) for step in range(100)]
    for first, last in ((0, 40), (40, 100)):
        cycle = rates[first:last]
        assert cycle[0] == pytest.approx(0.5), "a quarter of the warm-up"
        assert 1.9 < max(cycle) <= 2.0 and cycle.index(max(cycle)) <= 4
        assert cycle[-1] < 0.005
    assert rates[70] == pytest.approx(1.0), "half-way down the second cosine"
    once = loop.Budget(samples=8 * 100, batch=8, lr=2.0, warmup=4)
    assert once.rate(50) == pytest.approx(1.0)
    held = loop.Budget(samples=8 * 100, batch=8, lr=2.0, warmup=4, hold=0.8)
    assert [held.rate(step) for step in (4, 40, 80)] == [2.0] * 3 and held.rate(90) == pytest.approx(1.0)
    assert held.rate(99) < 0.02


def test_worn_maps_are_clean_or_soft_or_void_at_borders():
    labels = torch.full((300, 16, 16), 123)
    labels[:, 4:12, 4:12] = 17
    clean = palettes.encode(labels).permute(0, 3, 1, 2)
    worn = control.worn(clean, torch.Generator().manual_seed(0), palettes.COCO)
    same = (worn == clean).flatten(1).all(1)
    void = palettes.COCO.void
    read = palettes.decode(worn.permute(0, 2, 3, 1), palettes.COCO, (17, 123))
    voided = (read == void).flatten(1).any(1) & (worn[:, :, 7, 7] == clean[:, :, 7, 7]).all(1)
    assert 70 < int(same.sum()) < 130 and 70 < int((voided & ~same).sum()) < 130
    assert (read[:, 6:10, 6:10] == 17).all() and (read[:, 0, :] == 123).all(), (
        "the inside of a thing is never worn away"
    )
    border = torch.ones(16, 16, dtype=torch.bool)
    border[5:11, 5:11] = False
    border[:3], border[13:], border[:, :3], border[:, 13:] = False, False, False, False
    assert not (read[voided] == void)[:, ~border].any()


@pytest.fixture(scope="module")
def shard_folder(tmp_path_factory):
    """A folder of two shards of the varied world, with the segmentation as latents and the depth as pictures."""
    root = tmp_path_factory.mktemp("data") / "shards"
    encoder = autoencoder.PatchEncoder()
    torch.manual_seed(0)
    encoder.fit(torch.rand(4, 3, 64, 64))
    for number in range(2):
        made = make_shard(root / f"{number:04d}", encoder, ["image", "segmentation"], ["segmentation", "depth"], number)
        assert made
    return root, encoder


def make_shard(folder, encoder, latents, pictures, number=0):
    return shards.make_shard(folder, 50 + 1000 * number, 12, World(), toy_bank(), encoder, latents, pictures)


def test_shards_ground_words_in_the_masks_of_what_they_name(shard_folder):
    shard = shards.read_shards(shard_folder[0], ["segmentation"], ["segmentation"])
    batch = shard.draw(64, torch.Generator().manual_seed(0), dropout=0.3)
    assert batch.latents["segmentation"].shape == (64, 12, 16, 16) and batch.masks.shape == (64, 48, 16, 16)
    assert batch.masks[:, 0].max() == 0, "the start token names nothing"
    empty = batch.tokens[:, 1] == 1
    assert torch.equal(empty, batch.dropped)
    assert 5 < int(empty.sum()) < 35 and batch.masks[empty].max() == 0
    full = shard.draw(64, torch.Generator().manual_seed(0), dropout=0.0)
    labels = palettes.decode(full.pictures["segmentation"].permute(0, 2, 3, 1), palettes.COCO, World().classes)
    areas = (labels[:, None] == torch.arange(183)[None, :, None, None]).flatten(2).float().mean(2)
    named = full.masks.flatten(2).mean(2)
    for b in range(64):
        for value in named[b][named[b] > 0]:
            assert (areas[b] - value).min() < 0.01, "a word covers no more than its class and instances"
            assert float(value) <= float(areas[b].max()) + 0.01


def test_shards_hold_what_is_true_of_their_scenes(shard_folder):
    root, encoder = shard_folder
    shard = shards.read_shards(root, ["image", "segmentation"], ["segmentation", "depth"])
    scenes = []
    for number in range(2):
        seeds = np.load(root / f"{number:04d}" / "scenes.npz")["seeds"]
        scenes += [draw_scene(sample_layout(int(seed), World(), toy_bank()), toy_bank()) for seed in seeds]
    assert len(shard.tokens) == len(scenes) == 24 and all(min(scene.visible) >= 0.33 for scene in scenes)
    near = np.stack([1 - truth.depth(scene) for scene in scenes])
    held = shard.pictures["depth"].levels(np.arange(24))
    np.testing.assert_allclose(held[..., 0] / 255, near, atol=0.5 / 255 + 1e-6)
    painted = np.stack([data.paint(scene.labels) for scene in scenes])
    np.testing.assert_array_equal(shard.pictures["segmentation"].levels(np.arange(24)), painted)
    for name, levels in (("image", np.stack([scene.image for scene in scenes])), ("segmentation", painted)):
        latents = encoder(torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255)
        torch.testing.assert_close(torch.from_numpy(shard.latents[name]).float(), latents, atol=2e-3, rtol=2e-3)


def test_a_shard_gets_what_a_new_variable_needs_and_keeps_its_scenes(shard_folder, tmp_path):
    root, encoder = shard_folder
    folder = tmp_path / "shards" / "0000"
    make_shard(folder, encoder, ["image"], ["segmentation"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileNotFoundError, match="normal.npz"):
        shards.read_shards(folder.parent, ["image"], ["normal"])
    assert make_shard(folder, encoder, ["image", "depth"], ["segmentation", "normal"])
    assert not make_shard(folder, encoder, ["image", "depth"], ["segmentation", "normal"])
    assert {path.name for path in folder.iterdir()} - set(before) == {"depth.npy", "normal.npz"}
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    late = shards.read_shards(folder.parent, ["image"], ["normal"])
    first = shards.read_shards(root, ["image"], ["depth"], limit=1)
    np.testing.assert_array_equal(late.latents["image"], first.latents["image"])


def test_slots_and_coverage_sum_to_the_picture():
    scene = draw_scene(sample_layout(2, World(), toy_bank()), toy_bank())
    cover = data.coverage(scene).astype(int).sum(0)
    assert np.abs(cover - 255).max() <= 3
    tokens, refers = data.ground(scene, make_caption(scene.layout, 2))
    assert len(tokens) == len(refers) == 48 and refers.any()


def test_judge_files_are_checked(tmp_path):
    from safetensors.torch import save_file

    from comfyui_fgdm.iconworld.family import export

    model = judge.Judge(5)
    export.write(tmp_path / "judge.safetensors", model.state_dict(), {"classes": [0, 17, 123, 156, 168]})
    labels = judge.load(tmp_path / "judge.safetensors")(torch.rand(2, 64, 64, 3))
    assert labels.shape == (2, 64, 64) and set(labels.unique().tolist()) <= {0, 17, 123, 156, 168}
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="no judge file"):
        judge.load(tmp_path / "foreign.safetensors")


def test_held_out_prompts_are_held_out_and_within_the_vocabulary():
    from comfyui_fgdm.iconworld.family import text
    from comfyui_fgdm.iconworld.measure import evaluate
    from comfyui_fgdm.iconworld.world.scenes import held_out

    entries = evaluate.prompts(240)
    things, classes = set(World().things), set(World().classes)
    assert len({p.seed for p in entries}) == 240
    for prompt in entries:
        assert 3 <= len(prompt.named) <= 5 and set(prompt.named) <= classes
        assert held_out(set(prompt.named) & things)
        assert text.UNKNOWN not in text.encode(text.words_of(prompt.text))
    with pytest.raises(ValueError, match="240"):
        evaluate.prompts(241)


TOY = VariableKind(
    "warmth", "Warmth", "grey: red is bright", "float [B, H, W] in 0..1", lambda red: paint_grey(red, "warmth"), grey
)


def warmth_of(scene):
    """What a toy variable says of a scene: how red its picture is."""
    return torch.from_numpy(scene.image[None, ..., 0]).float() / 255


def test_a_whole_recipe_in_miniature(tmp_path, monkeypatch):
    """Data, every part and the files, with the toy icons and two steps a part; the written family loads and samples. Then a
    variable registered from outside joins: its data is drawn, its parts are trained, it samples and is read."""
    from dataclasses import replace

    from comfyui_fgdm.iconworld import __main__ as command
    from comfyui_fgdm.iconworld.family import recipes, sample, shipped
    from comfyui_fgdm.iconworld.family.networks import UNetConfig
    from comfyui_fgdm.iconworld.world import truths
    from comfyui_fgdm.maps import kinds

    monkeypatch.setattr(command, "_bank", lambda folder: toy_bank())
    monkeypatch.setattr(command, "SHARD", 8)
    unet, out, run = UNetConfig(channels=32), tmp_path / "weights", tmp_path / "run"
    below = recipes.MapVariable("depth", ("segmentation",), rank=4)
    maps = (recipes.MapVariable("segmentation", rank=4, blocks=2, control_rank=0), below)

    def try_recipe(maps, *commands):
        recipe = replace(recipes.CPU, scenes=1, pool=8, unet=unet, maps=maps, budgets={})
        budget = loop.Budget(samples=8, batch=4, lr=1e-3, warmup=1)
        recipe = replace(recipe, budgets=dict.fromkeys(recipe.parts, budget))
        monkeypatch.setitem(recipes.RECIPES, "cpu", recipe)
        for words in commands:
            assert command.main(["--folder", str(run), "--weights", str(out), *words]) == 0
        return shipped.load(unet, root=out) if out.exists() else None

    try_recipe(maps, ["data"], ["train", "all", "--threads", "1"])
    for log in run.glob("*.log.jsonl"):
        log.unlink()  # as of parts that were stopped before their first line
    family = try_recipe(maps, ["export"])
    assert len((out / "SHA256SUMS").read_text().splitlines()) == 7
    info = family.factors["segmentation"].info
    assert (info.training["samples"], info.training["recipe"], info.classes) == (8, "cpu", World().classes)
    context, empty = sample.encode(family.base, ["a dog on the grass"])
    latents = sample.ddim(family.map("segmentation"), torch.randn(1, 12, 16, 16), context, empty, 2, 3.0)
    depth = sample.ddim(family.map("depth", {"segmentation": latents}), latents, context, empty, 2, 3.0)
    assert family.decode(latents).shape == family.decode(depth).shape == (1, 128, 128, 3)
    hint = torch.rand(1, 128, 128, 3)
    for hints in ({"segmentation": hint}, {"depth": hint}, {"segmentation": hint, "depth": hint}):
        assert sample.ddim(family.image(hints), latents, context, empty, 2, 3.0).isfinite().all()
    assert shipped.load(unet, use_lora=False, root=out).factors["segmentation"].info == info

    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    monkeypatch.setattr(truths, "TRUTHS", dict(truths.TRUTHS))
    kinds.register(TOY)
    truths.register("warmth", warmth_of)
    toy = recipes.MapVariable("warmth", ("segmentation", "depth"), rank=4, control_rank=4)
    done = {
        path.name: path.read_bytes() for path in (run / "base.pt", run / "depth.pt", run / "shards/0000/scenes.npz")
    }
    words = [["train", part, "--threads", "1"] for part in ("warmth", "warmth_image")]
    family = try_recipe((*maps, toy), ["data"], *words, ["export"])
    assert all(path.read_bytes() == done[path.name] for path in (run / "base.pt", run / "depth.pt"))
    assert (run / "shards/0000/scenes.npz").read_bytes() == done["scenes.npz"]
    assert family.factors["warmth"].info.parents == ("segmentation", "depth")
    velocity = family.map("warmth", {"segmentation": latents, "depth": depth})
    picture = family.decode(sample.ddim(velocity, latents, context, empty, 2, 3.0))
    assert kinds.get("warmth").to_values(picture).shape == (1, 128, 128)
    shown = sample.ddim(family.image({"warmth": picture}), latents, context, empty, 2, 3.0)
    other = sample.ddim(family.image({"warmth": 1 - picture}), latents, context, empty, 2, 3.0)
    assert (shown - other).abs().max() > 0, "the picture follows the toy's maps"
    with pytest.raises(SystemExit):
        command.main(["--folder", str(run), "train", "coldness"])


def test_seeds_belong_to_parts_and_parents_come_first():
    from dataclasses import replace

    from comfyui_fgdm.iconworld.family import recipes

    first, below = recipes.CPU.maps
    assert [recipes.CPU.seed_of(part) for part in recipes.CPU.parts] == [1, 2, 3, 4, 5, 6, 7, 8], (
        "of the shipped family"
    )
    pose = recipes.MapVariable("pose", ("segmentation",))
    one, other = (replace(recipes.CPU, maps=maps) for maps in ((first, below, pose), (first, pose)))
    assert one.seed_of("pose") == other.seed_of("pose") not in range(10)
    assert one.latents == ("image", "segmentation")
    with pytest.raises(ValueError, match="name parents before"):
        replace(recipes.CPU, maps=(below, first))


def test_an_interrupted_write_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    def half(file, **_arrays):
        file.write(b"half of an archive")
        raise KeyboardInterrupt

    shards.write_arrays(tmp_path / "0000.npz", labels=np.zeros(3))
    monkeypatch.setattr(shards.np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        shards.write_arrays(tmp_path / "0001.npz", labels=np.zeros(3))
    assert [path.name for path in tmp_path.glob("*.npz")] == ["0000.npz"]


def test_arrays_are_written_alike_by_older_numpy(tmp_path, monkeypatch):
    """Before 2.1 `savez` has no option but arrays: whatever else it is given ends up in the file."""
    savez = np.savez

    def older(file, **arrays):
        savez(file, **{f"{name} ": np.asanyarray(value) for name, value in arrays.items()})

    monkeypatch.setattr(shards.np, "savez", older)
    shards.write_arrays(tmp_path / "0000.npz", labels=np.zeros(3))
    assert np.load(tmp_path / "0000.npz").files == ["labels "]
    with pytest.raises(ValueError, match="labels: objects"):
        shards.write_arrays(tmp_path / "0001.npz", labels=np.array([{}, None]))
    assert [path.name for path in tmp_path.iterdir()] == ["0000.npz"]


def test_a_recipe_can_be_tried_at_a_share():
    from comfyui_fgdm.iconworld.family import recipes

    small = recipes.CPU.scaled(0.01)
    assert (small.scenes, small.pool) == (640, 200)
    assert small.budgets == recipes.CPU.budgets and small.unet == recipes.CPU.unet
    assert recipes.CPU.scaled(1.0) == recipes.CPU
    assert {budget.batch for budget in recipes.GPU.scaled(1.0, 16).budgets.values()} == {16}
    assert recipes.CPU.scaled(1.0, 24).budgets["judge"].batch == 16
    with pytest.raises(ValueError, match="batch: -1 is out of range"):
        recipes.CPU.scaled(1.0, -1)
    for share in (0.0, -1.0, 1.5):
        with pytest.raises(ValueError, match=f"share: {share} is out of range"):
            recipes.CPU.scaled(share)


def test_attention_written_out_is_the_fused_one(monkeypatch):
    """Training in half precision on a CPU takes the other way; it must be the same function."""
    from comfyui_fgdm.iconworld.family import blocks

    q, k, v = torch.randn(3, 2, 4, 9, 8)
    for causal in (False, True):
        fused = blocks.attended(q, k, v, causal)
        with torch.autocast("cpu", torch.bfloat16), monkeypatch.context() as without:
            without.delattr(blocks.F, "scaled_dot_product_attention")
            plain = blocks.attended(q, k, v, causal)
        torch.testing.assert_close(plain.float(), fused, atol=3e-2, rtol=3e-2)
        first = torch.softmax(q[0, 0] @ k[0, 0].T / 8**0.5, -1)[0] @ v[0, 0]
        torch.testing.assert_close(fused[0, 0, 0], v[0, 0, 0] if causal else first, atol=1e-5, rtol=1e-4)


def test_reduced_precision_gives_the_same_loss_to_its_rounding(shard_folder):
    from comfyui_fgdm.iconworld.family import parts
    from comfyui_fgdm.iconworld.family.networks import UNetConfig

    torch.manual_seed(0)
    base = Base(UNetConfig(channels=32, mult=(1, 2), attention=(False, True)))
    nn.init.normal_(base.unet.out[2].weight, std=0.1)
    loss_of = parts.base_loss(base, shards.read_shards(shard_folder[0], ["image"]), 8, late=True)
    exact, _ = loss_of(0, torch.Generator().manual_seed(0))
    reduced, _ = torch.autocast("cpu", torch.bfloat16)(loss_of)(0, torch.Generator().manual_seed(0))
    assert reduced.dtype == torch.float32 and reduced.item() != exact.item()
    assert reduced.item() == pytest.approx(exact.item(), rel=0.02)
    reduced.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in base.parameters())
