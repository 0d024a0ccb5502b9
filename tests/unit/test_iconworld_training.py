"""The tiny family's networks, losses and loop, against independent calculations."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from comfyui_fgdm.iconworld.family import autoencoder, control, judge
from comfyui_fgdm.iconworld.family.control import WholeControl
from comfyui_fgdm.iconworld.family.factor import Factor
from comfyui_fgdm.iconworld.family.networks import ControlNet, TextEncoder, UNet
from comfyui_fgdm.iconworld.family.parts import Base
from comfyui_fgdm.iconworld.world.scenes import World
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.training import loop, objective

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


def test_latents_are_not_rounded_where_training_is(fitted):
    model, pictures = fitted
    exact = model.encode(pictures)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.encode(pictures), exact)


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


@pytest.mark.parametrize("ema", [0.999, 0.0])
def test_a_resumed_run_is_the_unbroken_one(tmp_path, ema):
    """With averaged weights and without."""
    budget = loop.Budget(samples=8 * 300, batch=8, lr=0.05, warmup=10, ema=ema)
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
    state = torch.load(tmp_path / "a" / "toy.pt", weights_only=True)
    own, kept = state["model"]["line.weight"], state["ema"]["line.weight"]
    assert (own.data_ptr() == kept.data_ptr()) == (not ema), "an average takes a copy, and only an average"


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


def test_attention_written_out_is_the_fused_one(monkeypatch):
    """Training in half precision on a CPU takes the other way; it must be the same function."""
    from comfyui_fgdm.factors import unet_layers as blocks

    q, k, v = torch.randn(3, 2, 4, 9, 8)
    for causal in (False, True):
        fused = blocks.attended(q, k, v, causal)
        with torch.autocast("cpu", torch.bfloat16), monkeypatch.context() as without:
            without.delattr(blocks.F, "scaled_dot_product_attention")
            plain = blocks.attended(q, k, v, causal)
        torch.testing.assert_close(plain.float(), fused, atol=3e-2, rtol=3e-2)
        first = torch.softmax(q[0, 0] @ k[0, 0].T / 8**0.5, -1)[0] @ v[0, 0]
        torch.testing.assert_close(fused[0, 0, 0], v[0, 0, 0] if causal else first, atol=1e-5, rtol=1e-4)
