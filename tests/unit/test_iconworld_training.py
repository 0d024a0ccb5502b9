"""The tiny family's networks, losses and loop, against independent calculations."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from comfyui_fgdm.iconworld.family import autoencoder, data, judge, parts
from comfyui_fgdm.iconworld.family.networks import ControlNet, TextEncoder, UNet
from comfyui_fgdm.iconworld.family.parts import Base, Factor, Image
from comfyui_fgdm.iconworld.world.captions import make_caption
from comfyui_fgdm.iconworld.world.draw import draw_scene
from comfyui_fgdm.iconworld.world.layouts import sample_layout
from comfyui_fgdm.iconworld.world.scenes import World
from comfyui_fgdm.maps import palettes
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
    image, hint = Image(base), torch.rand(2, 3, 128, 128)
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


def test_worn_maps_are_clean_or_soft_or_void_at_borders():
    labels = torch.full((300, 16, 16), 123)
    labels[:, 4:12, 4:12] = 17
    clean = palettes.encode(labels).permute(0, 3, 1, 2)
    worn = parts.worn(clean, torch.Generator().manual_seed(0))
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


def test_shards_ground_words_in_the_masks_of_what_they_name(tmp_path):
    bank, world = toy_bank(), World()
    encoder = autoencoder.PatchEncoder()
    encoder.fit(torch.rand(4, 3, 64, 64))
    shard = data.make_shard(50, 24, world, bank, encoder)
    data.write_shard(shard, tmp_path / "0.npz")
    shard = data.read_shards(tmp_path)
    batch = data.draw_batch(shard, "map", 64, torch.Generator().manual_seed(0), dropout=0.3)
    assert batch.latent.shape == (64, 12, 16, 16) and batch.masks.shape == (64, 48, 16, 16)
    assert batch.masks[:, 0].max() == 0, "the start token names nothing"
    empty = batch.tokens[:, 1] == 1
    assert 5 < int(empty.sum()) < 35 and batch.masks[empty].max() == 0
    full = data.draw_batch(shard, "map", 64, torch.Generator().manual_seed(0), dropout=0.0)
    areas = (full.labels[:, None] == torch.arange(183)[None, :, None, None]).flatten(2).float().mean(2)
    named = full.masks.flatten(2).mean(2)
    for b in range(64):
        for value in named[b][named[b] > 0]:
            assert (areas[b] - value).min() < 0.01, "a word covers no more than its class and instances"
            assert float(value) <= float(areas[b].max()) + 0.01


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


def test_a_whole_recipe_in_miniature(tmp_path, monkeypatch):
    """Data, every part and the files, with the toy icons and two steps a part; the written family loads and samples."""
    from dataclasses import replace

    from comfyui_fgdm.iconworld import __main__ as command
    from comfyui_fgdm.iconworld.family import export, recipes, sample, shipped

    monkeypatch.setattr(command, "_bank", lambda folder: toy_bank())
    small = {part: loop.Budget(samples=8, batch=4, lr=1e-3, warmup=1) for part in recipes.PARTS}
    recipe = replace(recipes.CPU, scenes=1, pool=8, rank=4, budgets=small)
    monkeypatch.setattr(command, "SHARD", 8)
    monkeypatch.setitem(recipes.RECIPES, "cpu", recipe)
    monkeypatch.setattr(export, "WEIGHTS", tmp_path / "weights")
    folder = str(tmp_path / "run")
    assert command.main(["--folder", folder, "data"]) == 0
    assert command.main(["--folder", folder, "train", "all", "--threads", "1"]) == 0
    export.write_all(tmp_path / "run", recipe, tmp_path / "weights")
    sums = (tmp_path / "weights" / "SHA256SUMS").read_text().splitlines()
    assert len(sums) == 7
    for log in (tmp_path / "run").glob("*.log.jsonl"):
        log.unlink()  # as of parts that were stopped before their first line
    export.write_all(tmp_path / "run", recipe, tmp_path / "weights")
    training = shipped.load(recipe.unet, root=tmp_path / "weights").info.training
    assert (training["samples"], training["recipe"]) == (8, "cpu")
    family = shipped.load(recipe.unet, root=tmp_path / "weights")
    context, empty = sample.encode(family.base, ["a dog on the grass"])
    latents = sample.ddim(family.factor, torch.randn(1, 12, 16, 16), context, empty, 2, 3.0)
    assert family.decode(latents).shape == (1, 128, 128, 3) and family.info.classes == World().classes
    parent = torch.randn(1, 12, 16, 16)
    assert family.decode(sample.ddim(family.depth(parent), latents, context, empty, 2, 3.0)).shape == (1, 128, 128, 3)
    hint = torch.rand(1, 128, 128, 3)
    for velocity in (family.image(hint), family.image(None, hint), family.image(hint, hint)):
        assert sample.ddim(velocity, latents, context, empty, 2, 3.0).isfinite().all()
    plain = shipped.load(recipe.unet, use_lora=False, root=tmp_path / "weights")
    assert plain.info == family.info


def test_an_interrupted_write_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    def half(file, **_arrays):
        file.write(b"half of an archive")
        raise KeyboardInterrupt

    data.write_arrays(tmp_path / "0000.npz", labels=np.zeros(3))
    monkeypatch.setattr(data.np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        data.write_arrays(tmp_path / "0001.npz", labels=np.zeros(3))
    assert [path.name for path in tmp_path.glob("*.npz")] == ["0000.npz"]


def test_arrays_are_written_alike_by_older_numpy(tmp_path, monkeypatch):
    """Before 2.1 `savez` has no option but arrays: whatever else it is given ends up in the file."""
    savez = np.savez

    def older(file, **arrays):
        savez(file, **{f"{name} ": np.asanyarray(value) for name, value in arrays.items()})

    monkeypatch.setattr(data.np, "savez", older)
    data.write_arrays(tmp_path / "0000.npz", labels=np.zeros(3))
    assert np.load(tmp_path / "0000.npz").files == ["labels "]
    with pytest.raises(ValueError, match="labels: objects"):
        data.write_arrays(tmp_path / "0001.npz", labels=np.array([{}, None]))
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
