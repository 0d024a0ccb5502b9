"""The tiny family's factors below others: what they see, Control-LoRA files, and how maps are scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from comfyui_fgdm.iconworld.family import control, factor, shards
from comfyui_fgdm.iconworld.family.autoencoder import PatchEncoder
from comfyui_fgdm.iconworld.family.networks import ControlNet
from comfyui_fgdm.iconworld.family.parts import Base
from comfyui_fgdm.iconworld.measure import evaluate_below
from comfyui_fgdm.iconworld.world import people as people_of
from comfyui_fgdm.iconworld.world.scenes import World
from comfyui_fgdm.maps import pose
from comfyui_fgdm.training import objective
from tools.toy_icons import toy_bank


@pytest.fixture(scope="module")
def base() -> Base:
    torch.manual_seed(0)
    base = Base()
    nn.init.normal_(base.unet.out[2].weight, std=0.1)
    return base


@pytest.fixture(scope="module")
def encoder() -> PatchEncoder:
    encoder = PatchEncoder()
    encoder.fit(torch.rand(4, 3, 64, 64))
    return encoder


@pytest.fixture(scope="module")
def shard(encoder, tmp_path_factory) -> shards.Shard:
    folder, names = tmp_path_factory.mktemp("shards"), ["segmentation", "depth"]
    shards.make_shard(folder / "0000", 70, 6, World(), toy_bank(), encoder, ["image", "segmentation"], names)
    return shards.read_shards(folder, ["image", "segmentation"], names)


def test_the_parent_is_seen_clean_at_its_level_and_not_at_all() -> None:
    n = 4000
    parent, t = torch.ones(n, 2, 2, 2), torch.full((n,), 700)
    dropped = torch.arange(n) % 2 == 0
    seen = factor.seen(parent, t, dropped, torch.Generator().manual_seed(1))
    absent = (seen == 0).flatten(1).all(1)
    assert absent[dropped].float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert absent[~dropped].float().mean().item() == pytest.approx(0.05, abs=0.02)
    mean, spread = seen[~absent].flatten(1).mean(1), seen[~absent].flatten(1).std(1)
    clean = (mean > 0.8) & (spread < 0.25)
    assert clean.float().mean().item() == pytest.approx(0.57, abs=0.08), "half, and those at a low level"
    a = objective.alphas()[700].item()
    assert (~clean).any() and spread.max() < 3 * (1 - a) ** 0.5, "no noisier than the variable's own level"


def test_the_depth_factor_reads_its_parent_alone(base) -> None:
    below = factor.Factor(base, rank=4, blocks=1, parents=1)
    nn.init.normal_(below.adapter.body[2].out_layers[3].weight, std=0.1)
    x, t = torch.randn(2, 12, 16, 16), torch.tensor([500, 10])
    context = base.text(torch.randint(0, 100, (2, 48)))
    one, other = torch.randn(2, 2, 12, 16, 16)
    assert (below(x, t, context, seen=one) - below(x, t, context, seen=other)).abs().max() > 1e-4
    assert below.adapter.spec.blocks == 1 and below.adapter.spec.in_channels == 12


def test_a_control_lora_file_is_the_trained_control(base) -> None:
    torch.manual_seed(1)
    first = ControlNet(base.unet.config)
    image = control.LowRankControl(base, first, rank=4)
    for p in (*image.lora.up.values(), *image.control.zero_convs.parameters()):
        nn.init.normal_(p, std=0.05)
    x, t = torch.randn(2, 12, 16, 16), torch.tensor([500, 10])
    context, hint = base.text(torch.randint(0, 100, (2, 48))), torch.rand(2, 3, 128, 128)
    state = image.state()
    assert "lora_controlnet" in state and "input_blocks.3.1.transformer_blocks.0.attn2.to_k.up" in state
    rebuilt = control.control_from(state, base)
    changes = rebuilt(x, rebuilt.input_hint_block(hint), t, context)
    torch.testing.assert_close(
        base.unet(x, t, context, control=changes), image(x, hint, t, context)[0], atol=1e-5, rtol=0
    )
    trained = {name.split(".")[1] for name, p in image.named_parameters() if p.requires_grad}
    assert trained == {"zero_convs", "middle_block_out", "input_hint_block", "up", "down"}
    both = image(x, hint, t, context, beside=hint)[0]
    nn.init.normal_(first.zero_convs[0][0].weight, std=0.1)
    assert (image(x, hint, t, context, beside=hint)[0] - both).abs().max() > 1e-4, "the first image factor acts as well"


def test_the_losses_are_of_the_variable(base, shard, encoder) -> None:
    below, image = factor.Factor(base, 4, 1, 1), control.LowRankControl(base, ControlNet(base.unet.config), 4)
    losses = (
        (factor.factor_loss(below, "depth", ("segmentation",), encoder, shard, 2), below),
        (control.control_loss(image, "depth", shard, 2, "segmentation"), image),
    )
    for loss_of, module in losses:
        for step in range(2):
            loss, _ = loss_of(step, torch.Generator().manual_seed(step))
            loss.backward()
        learning = [p for p in module.parameters() if p.requires_grad]
        assert learning and any(p.grad is not None and p.grad.abs().max() > 0 for p in learning)
        assert all(p.grad is None for p in module.parameters() if not p.requires_grad)


def test_order_of_pixel_pairs() -> None:
    true = torch.linspace(0, 1, 64 * 64).view(64, 64)
    assert evaluate_below.right_order(true, true) == 1
    assert evaluate_below.right_order(1 - true, true) == 0
    assert evaluate_below.right_order(0.2 * true + 0.3, true) == 1, "order, not scale"
    noise = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    assert evaluate_below.right_order(noise, true) == pytest.approx(0.5, abs=0.05)


def test_joints_and_lines_that_are_found() -> None:
    people = np.stack([p for look in (0, 8) for p in [people_of.draw(look)[1]]])
    points = torch.from_numpy(np.dstack([people * 0.5 + [[[0.05, 0.3]], [[0.5, 0.3]]], np.ones((2, 18, 1))])).float()
    drawn = {
        shift: pose.draw(pose.Poses(points[None] + torch.tensor([shift, 0.0, 0.0]), 128, 128, 2.0))[0]
        for shift in (0.0, 0.02, 0.2)
    }
    joints = evaluate_below.joints_found
    assert joints(drawn[0.0], drawn[0.0]) == 1 and joints(drawn[0.02], drawn[0.0]) > 0.9
    assert joints(drawn[0.2], drawn[0.0]) < 0.5 and joints(torch.zeros(128, 128, 3), drawn[0.0]) == 0
    assert joints(drawn[0.0], torch.zeros(128, 128, 3)) == 1, "nobody to be found"
    thin, thick = (pose.draw(pose.Poses(points[None], 128, 128, bold))[0].amax(2).gt(0).sum() for bold in (1.0, 2.0))
    assert thick > 1.6 * thin
    cross = torch.zeros(32, 32)
    cross[16], cross[:, 16] = 1, 1
    lines = evaluate_below.lines_found
    assert lines(cross, cross) == lines(cross.roll(1, 0), cross) == 1
    assert (
        lines(cross.roll((4, 4), (0, 1)), cross) == pytest.approx(2 * 3 / 63, abs=0.15) and lines(0 * cross, cross) == 0
    )
