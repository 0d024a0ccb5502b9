"""Training a factor on a frozen base: what is learned, what is not, and attention distillation against written-out sums."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from comfyui_fgdm.factors.files import AdapterKind
from comfyui_fgdm.iconworld.family.autoencoder import PatchEncoder, encoder_from, export_encoder
from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.training import objective
from comfyui_fgdm.training.attention import AttentionMaps, combined_cross, combined_own
from comfyui_fgdm.training.distillation import Distillation, distillation, divergence
from comfyui_fgdm.training.factor import Batch, FactorNetwork, FactorSettings, loss_of_batch, shown_parents


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


def batch_of(base: TinyBackbone, size: int = 2, parents: tuple[str, ...] = ()) -> Batch:
    generator = torch.Generator().manual_seed(5)

    def latent() -> torch.Tensor:
        return 0.6 * torch.randn(size, base.facts.channels, 8, 8, generator=generator)

    prompts = base.prompts(["a dog on the grass", "two cars near a tree"][:size])
    return Batch(latent(), prompts, torch.zeros(size, dtype=torch.bool), {name: latent() for name in parents})


def awake(network: FactorNetwork) -> FactorNetwork:
    """With random weights: layers that start at zero keep the gradient from what lies before them."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


def softmaxed(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).softmax(-1)


def test_maps_of_layers_become_one_at_a_common_grid() -> None:
    fine, coarse = softmaxed(2, 64, 5), softmaxed(2, 4, 5)
    mean = combined_cross([fine, coarse], 4)
    cell = torch.stack([fine.reshape(2, 8, 8, 5)[:, 2 + dy, 4 + dx] for dy in (0, 1) for dx in (0, 1)]).mean(0)
    grown = F.interpolate(coarse.reshape(2, 2, 2, 5).permute(0, 3, 1, 2), size=(4, 4), mode="bilinear")
    torch.testing.assert_close(mean[:, 1 * 4 + 2], (cell + grown[:, :, 1, 2]) / 2)
    torch.testing.assert_close(mean.sum(-1), torch.ones(2, 16))

    own = softmaxed(1, 64, 64)
    halved = combined_own([own], 4)
    planes = own.reshape(1, 8, 8, 8, 8)
    queries = planes[:, 0:2, 6:8].mean((1, 2))  # the cell of row 0, column 3
    torch.testing.assert_close(halved[0, 3, 4 * 2 + 1], queries[0, 4:6, 2:4].sum())
    for layers in ([own], [own, softmaxed(1, 4, 4)], [softmaxed(1, 16, 16)]):
        torch.testing.assert_close(combined_own(layers, 4).sum(-1), torch.ones(1, 16))
    with pytest.raises(ValueError, match="6 cells"):
        combined_cross([softmaxed(1, 6, 3)], 4)


def test_divergence_is_that_of_the_definition() -> None:
    teacher, student = softmaxed(2, 3, 4), softmaxed(2, 3, 4).flip(-1)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(teacher), torch.distributions.Categorical(student)
    ).mean()
    torch.testing.assert_close(divergence(teacher, student), expected)
    assert divergence(teacher, teacher) == 0
    never = torch.tensor([[[1.0, 0.0]]])
    assert divergence(never, never.flip(-1)).isfinite()


def test_teacher_and_student_alike_differ_by_nothing(base: TinyBackbone) -> None:
    batch = batch_of(base)
    t = torch.tensor([300, 800])
    teacher, student = AttentionMaps(own=[]), AttentionMaps(own=[])
    plain = base.predict(batch.latent, t, batch.prompts, attention=teacher)
    network = FactorNetwork(base, FactorSettings())  # a fresh time adapter is not zero: its first layers are
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        same = network.predict(base, batch.latent, t, batch.prompts, attention=student)
    assert torch.equal(plain, same)
    assert float(distillation(teacher, student, 4)) == 0
    assert len(teacher.cross) == len(teacher.own or ()) > 3
    with pytest.raises(ValueError, match="different numbers"):
        distillation(teacher, AttentionMaps(student.cross), 4)


@pytest.mark.parametrize("kind", list(AdapterKind))
def test_the_gradient_reaches_every_parameter_of_the_factor_and_no_other(base: TinyBackbone, kind) -> None:
    settings = FactorSettings(
        parents=("segmentation",), kind=kind, rank=4, distillation=Distillation(weight=1.0, side=4)
    )
    network = awake(FactorNetwork(base, settings))
    batch = batch_of(base, parents=("segmentation",))
    loss, figures = loss_of_batch(network, base, batch, settings, 0, torch.Generator().manual_seed(2))
    loss.backward()
    assert set(figures) == {"prediction", "distillation"} and figures["distillation"] > 0
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())
    assert all(p.grad is None and not p.requires_grad for p in [*base.unet.parameters(), *base.text.parameters()])


def test_the_gradient_of_distillation_alone_reaches_what_lies_before_attention(base: TinyBackbone) -> None:
    network = awake(FactorNetwork(base, FactorSettings()))
    batch, t = batch_of(base), torch.tensor([300, 800])
    teacher, student = AttentionMaps(own=[]), AttentionMaps(own=[])
    base.predict(batch.latent, t, batch.prompts, attention=teacher)
    network.predict(base, batch.latent, t, batch.prompts, attention=student)
    distillation(teacher, student, 4).backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in network.parameters())


def test_distillation_trained_alone_falls(base: TinyBackbone) -> None:
    network = awake(FactorNetwork(base, FactorSettings()))
    batch, t = batch_of(base), torch.tensor([300, 800])
    teacher = AttentionMaps(own=[])
    base.predict(batch.latent, t, batch.prompts, attention=teacher)
    optimiser, seen = torch.optim.AdamW(network.parameters(), lr=2e-3), []
    for _ in range(30):
        student = AttentionMaps(own=[])
        network.predict(base, batch.latent, t, batch.prompts, attention=student)
        loss = distillation(teacher, student, 4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < 0.2 * seen[0]


def test_the_prediction_is_measured_in_the_type_of_the_base(base: TinyBackbone, monkeypatch) -> None:
    """A base that predicts exactly the noise, or exactly the velocity, has no loss."""
    batch, settings = batch_of(base), FactorSettings()
    network = FactorNetwork(base, settings)
    generator = torch.Generator().manual_seed(9)
    t = torch.randint(objective.STEPS, (2,), generator=generator)
    noise = torch.randn(batch.latent.shape, generator=generator)
    for kind, answer in (("eps", noise), ("v", objective.noised(batch.latent, noise, t)[1])):
        monkeypatch.setattr(network, "predict", lambda *_args, _answer=answer, **_kw: _answer)
        facts = type(base.facts)(**{**vars(base.facts), "prediction": kind})
        stand_in = type("Other", (), {"facts": facts})()
        loss, _ = loss_of_batch(network, stand_in, batch, settings, 0, torch.Generator().manual_seed(9))
        assert float(loss) == 0, kind


def test_parents_are_left_out_and_noised_as_often_as_asked() -> None:
    value = torch.full((4000, 1, 2, 2), 3.0)
    t = torch.full((4000,), 700)
    settings = FactorSettings(parents=("a", "b"), parent_dropout=0.2, noised_parents=0.5)
    shown = shown_parents({"a": value, "b": value}, t, settings, torch.Generator().manual_seed(0))
    absent = {name: (seen.flatten(1) == 0).all(1) for name, seen in shown.items()}
    for gone in absent.values():
        assert 0.18 < gone.float().mean() < 0.22
    both = (absent["a"] & absent["b"]).float().mean()
    assert 0.03 < both < 0.05, "each parent is left out by itself"
    near = (shown["a"].flatten(1) - 3).abs().amax(1) < 0.6
    assert 0.36 < near.float().mean() < 0.5, (
        "of those that are shown, half is clean, and some noised ones are nearly so"
    )
    clean = shown_parents(
        {"a": value}, t, FactorSettings(("a",), parent_dropout=0, noised_parents=0), torch.Generator()
    )
    assert float((clean["a"] - 3).abs().max()) < 0.6


def test_the_embedded_encoder_is_found_in_the_checkpoint(base: TinyBackbone) -> None:
    encoder = PatchEncoder()
    encoder.fit(torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    again = encoder_from(export_encoder(encoder))
    picture = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(again(picture), encoder(picture))
    flat = torch.full((1, 3, 64, 64), 0.3)
    assert float((base.decode(base.encode(flat)) - flat).abs().max()) < 0.08
