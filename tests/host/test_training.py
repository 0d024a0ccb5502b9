"""A MODEL of the host as the base of training: the same numbers as the family outside it, and nothing of it is changed."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def engines(comfy_host):
    names = (
        "host.training.base",
        "iconworld.family.backbone",
        "training.factor",
        "training.distillation",
        "training.attention",
        "training.image_factor",
        "training.joint",
    )
    return [comfy_host.engine(f"comfyui_fgdm.{name}") for name in names]


@pytest.fixture(scope="module")
def bases(tiny, engines):
    """The embedded family twice: as the host's MODEL, and outside it."""
    return engines[0].HostBackbone(tiny.model, tiny.clip, tiny.vae), engines[1].TinyBackbone()


def test_the_host_s_model_is_the_same_base(bases) -> None:
    host, tiny = bases
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    texts = ["a dog on the grass", ""]
    assert {**vars(host.facts), "fingerprint": ""} == {**vars(tiny.facts), "fingerprint": ""}
    torch.testing.assert_close(host.encode(picture), tiny.encode(picture), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(host.prompts(texts), tiny.prompts(texts), atol=2e-3, rtol=2e-3)
    long = ["a dog " * 100, "a dog"]  # in parts, when it is sampled; of these training sees the first
    assert host.prompts(long).shape == tiny.prompts(long).shape == host.prompts(texts).shape
    words = ["a", "dog,", "traffic-light", ",", "2"]
    assert host.lengths(words) == tiny.lengths(words) == [1, 2, 2, 1, 0]
    latent = tiny.encode(picture)
    torch.testing.assert_close(host.decode(latent), tiny.decode(latent), atol=5e-3, rtol=0)
    t = torch.tensor([10, 900])
    torch.testing.assert_close(host.embed(t), tiny.embed(t), atol=1e-4, rtol=1e-4)


def test_loss_and_gradients_are_those_outside_the_host(bases, engines) -> None:
    _, _, factors, distil, attention, *_ = engines
    settings = factors.FactorSettings(("segmentation",), rank=4, distillation=distil.Distillation(0.5, side=4))
    host, tiny = bases
    assert host.weights.keys() == tiny.unet.state_dict().keys()
    host.weights = tiny.unet.state_dict()  # the host may keep them in half precision
    generator = torch.Generator().manual_seed(1)
    latents = [0.6 * torch.randn(2, 12, 8, 8, generator=generator) for _ in range(2)]
    prompts = tiny.prompts(["a dog on the grass", "two cars"])
    batch = factors.Batch(latents[0], prompts, torch.zeros(2, dtype=torch.bool), {"segmentation": latents[1]})
    found = []
    for base in (host, tiny):
        torch.manual_seed(2)
        network = factors.FactorNetwork(base, settings)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.03)
        loss, figures = factors.loss_of_batch(network, base, batch, settings, 0, torch.Generator().manual_seed(3))
        loss.backward()
        found.append((figures, {name: p.grad for name, p in network.named_parameters()}))
    (one, grads), (other, expected) = found
    assert one.keys() == other.keys() == {"prediction", "distillation"}
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-4), name
    assert grads.keys() == expected.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, expected[name], atol=1e-5, rtol=2e-3, msg=name)
    maps = [attention.AttentionMaps(own=[]) for _ in bases]
    for base, kept in zip(bases, maps, strict=True):
        base.predict(latents[0], torch.tensor([5, 700]), prompts, attention=kept)
    for one, other in (
        (a, b) for kind in ("cross", "own") for a, b in zip(*(getattr(m, kind) for m in maps), strict=True)
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("rank", [0, 4])
def test_an_image_factor_of_the_host_is_that_outside_it(bases, engines, rank: int) -> None:
    """The host's own ControlNet, trained: the same prediction, loss and gradients, alone and under a factor's own map."""
    factors, images, joint = engines[2], engines[5], engines[6]
    host, tiny = bases
    host.weights = tiny.unet.state_dict()
    generator = torch.Generator().manual_seed(1)
    latents = [0.6 * torch.randn(2, 12, 8, 8, generator=generator) for _ in range(2)]
    hint, prompts = torch.rand(2, 3, 64, 64, generator=generator), tiny.prompts(["a dog on the grass", "two cars"])
    batch = factors.Batch(latents[0], prompts, torch.zeros(2, dtype=torch.bool), hint=hint, image=latents[1])
    found, t = [], torch.tensor([300, 800])
    for base in (host, tiny):
        torch.manual_seed(2)
        image = images.ImageFactorNetwork.new(base, rank)
        plain = base.predict(latents[0], t, prompts)
        assert torch.equal(image.predict(base, latents[0], t, prompts, hint), plain), "nothing is changed at first"
        factor = factors.FactorNetwork(base, factors.FactorSettings())
        network = joint.JointNetwork(factor, image)
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for _, parameter in sorted(network.named_parameters()):
                parameter.copy_(0.03 * torch.randn(parameter.shape, generator=generator))
        settings = images.ImageFactorSettings(rank)
        alone, _ = images.loss_of_batch(image, base, batch, settings, None, torch.Generator().manual_seed(3))
        both, _ = joint.loss_of_batch(network, base, batch, joint.JointSettings(), 0, torch.Generator().manual_seed(3))
        (alone + both).backward()
        found.append(
            (float(alone.detach()), float(both.detach()), {name: p.grad for name, p in network.named_parameters()})
        )
    assert found[0][:2] == pytest.approx(found[1][:2], rel=1e-4)
    assert found[0][2].keys() == found[1][2].keys() and len(found[0][2]) > 100
    for name, grad in found[0][2].items():
        torch.testing.assert_close(grad, found[1][2][name], atol=1e-5, rtol=5e-3, msg=name)


def test_a_lora_of_the_model_is_in_the_base_and_the_model_stays_as_it_is(tiny, engines, bases) -> None:
    before = {name: value.clone() for name, value in tiny.unet.state_dict().items()}
    sample = tiny.sample(tiny.model)
    key = next(name for name in before if name.endswith("attn2.to_q.weight"))
    patched = tiny.model.clone()
    patched.add_patches({f"diffusion_model.{key}": (torch.ones_like(before[key]),)}, 0.25)
    base = engines[0].HostBackbone(patched, tiny.clip, tiny.vae)
    torch.testing.assert_close(base.weights[key], before[key].float() + 0.25, atol=1e-3, rtol=1e-3)
    network = engines[2].FactorNetwork(base, engines[2].FactorSettings())
    base.predict(
        torch.randn(1, 12, 8, 8),
        torch.tensor([5]),
        base.prompts(["a dog"]),
        network.adapter(torch.randn(1, 12, 8, 8), base.embed(torch.tensor([5]))),
    )
    assert torch.equal(tiny.sample(tiny.model), sample), "a plain run after training is the plain run before it"
    assert not any(parameter.requires_grad for parameter in tiny.unet.parameters())


def test_what_cannot_be_a_base_is_refused(tiny, engines) -> None:
    class Video(torch.nn.Module):
        pass

    model = tiny.model.clone()
    model.add_object_patch("diffusion_model", Video())
    with pytest.raises(engines[0].NotTrainableError, match="Video is no base"):
        engines[0].HostBackbone(model, tiny.clip, tiny.vae)
