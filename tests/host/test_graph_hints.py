"""What control nets of a graph are shown: the part that a prompt is for, and no picture more often than needed."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def hints(comfy_host):
    return comfy_host.engine("comfyui_fgdm.host.graph.hints")


@pytest.fixture
def cells():
    """A picture of which no part is like another."""
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))


def halves(host, tiny, kind, controlled=lambda conditioning, _half: conditioning):
    """A prompt for the left half and one for the right half, each passed through `controlled`."""
    parts = []
    for k, text in enumerate(("a dog", "a red car")):
        if kind == "mask":
            mask = torch.zeros(1, 64, 64)
            mask[:, :, 32 * k : 32 * k + 32] = 1
            (one,) = host.call(
                "ConditioningSetMask", conditioning=tiny.encode(text), mask=mask, strength=1.0,
                set_cond_area="mask bounds",
            )  # fmt: skip
        elif kind == "pixels":
            (one,) = host.call(
                "ConditioningSetArea", conditioning=tiny.encode(text), width=32, height=64, x=32 * k, y=0, strength=1.0
            )
        else:
            (one,) = host.call(
                "ConditioningSetAreaPercentage", conditioning=tiny.encode(text), width=0.5, height=1.0, x=0.5 * k, y=0.0,
                strength=1.0,
            )  # fmt: skip
        parts += controlled(one, slice(32 * k, 32 * k + 32))
    return parts


@pytest.mark.parametrize(("kind", "mode"), [("pixels", "sequential"), ("percentage", "joint"), ("mask", "joint")])
def test_a_prompt_for_an_area_sees_what_is_there(tiny, net, setup, comfy_host, cells, mode, kind):
    """As when core is given the cut picture with each half: both are as large, so a cache by size alone would mix them up."""

    def controlled(conditioning, part):
        return comfy_host.call(
            "ControlNetApplyAdvanced", positive=conditioning, negative=conditioning, control_net=net,
            image=cells if part is None else cells[:, :, part], strength=1.0, start_percent=0.0, end_percent=1.0,
        )[0]  # fmt: skip

    control = setup.graphs.Control(net, "map")
    node = setup.variable(
        "image", size=128 if kind == "mask" else 64, controls=(control,)
    )  # bounds are 8 cells or more
    node = type(node)(**{**vars(node), "positive": halves(comfy_host, tiny, kind)})
    found = setup.run(setup.graph(setup.graphs.Given("map", image=cells), node), mode)["image"]
    (expected,) = comfy_host.call(
        "KSampler", model=tiny.model, seed=node.seed, steps=3, cfg=node.cfg, sampler_name="euler", scheduler="normal",
        positive=halves(comfy_host, tiny, kind, controlled), negative=controlled(node.negative, None),
        latent_image=node.latent, denoise=1.0,
    )  # fmt: skip
    torch.testing.assert_close(found, expected["samples"], atol=0, rtol=0)


def test_the_area_of_a_hint_is_cut_from_the_whole_hint(hints, net, cells):
    """Whatever the size of the picture: it is scaled as the whole would be, and an area that reaches out ends at the edge."""
    import comfy.utils

    picture = cells[:, :40].movedim(-1, 1)  # 40 x 64 for latents of 6 x 9 cells
    whole = comfy.utils.common_upscale(picture, 72, 48, "nearest-exact", "center")
    assert torch.equal(hints._part(picture, (4, 3, 1, 5), (6, 9), net), whole[:, :, 8:40, 40:64])
    assert hints._area({"area": (4, 8, 3, 5)}, (6, 9)) == (3, 4, 3, 5)
    assert hints._area({"area": (6, 9, 0, 0)}, (6, 9)) is None and hints._area({}, (6, 9)) is None


@pytest.fixture
def decoded(tiny, monkeypatch):
    """The latents that the VAE decoded, in order."""
    seen, real = [], type(tiny.vae).decode
    monkeypatch.setattr(
        type(tiny.vae), "decode", lambda self, latent, *args: seen.append(latent) or real(self, latent, *args)
    )
    return seen


def test_a_parent_is_decoded_once_a_step_for_all_that_see_it(factor, net, setup, hints, decoded, monkeypatch):
    painted, real = [], hints._painted
    monkeypatch.setattr(hints, "_painted", lambda *args: painted.append(args) or real(*args))
    Control = setup.graphs.Control
    graph = setup.graph(
        setup.variable("segmentation", factor=factor),
        setup.variable("one", controls=(Control(net, "segmentation"), Control(net, "segmentation", 0.5))),
        setup.variable(
            "two", seed=3, controls=(Control(net, "segmentation"), Control(net, "segmentation", strength=0.0))
        ),
    )
    setup.run(graph, "joint", steps=3)
    assert len(decoded) == 3 and len(painted) == 3
    assert not torch.equal(decoded[0], decoded[1])
    decoded.clear()
    setup.run(graph, "sequential", steps=3)
    assert len(decoded) == 1


def test_nothing_is_decoded_outside_of_the_range_in_which_a_net_acts(factor, net, setup, decoded, tiny):
    def graph(start, end):
        control = setup.graphs.Control(net, "segmentation", start=start, end=end)
        image = setup.variable("image", cfg=1.0, controls=(control,))
        return setup.graph(setup.variable("segmentation", factor=factor, cfg=1.0), image)

    late = setup.run(graph(0.5, 1.0), steps=6)
    assert len(decoded) == 3
    decoded.clear()
    setup.run(graph(0.0, 0.3), steps=6, refresh=2)
    assert len(decoded) == 1
    always = setup.run(graph(0.0, 1.0), steps=6)
    assert not torch.equal(late["image"], always["image"])


def test_maps_in_the_making_are_read_coarsely_and_finished_ones_as_they_are(
    factor, hints, setup, comfy_host, monkeypatch
):
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    Shown = comfy_host.engine("comfyui_fgdm.maps.conversion").Shown
    labels = torch.zeros(2, 200, 320, dtype=torch.int64)
    dog, sky = palettes.COCO.index("dog"), palettes.COCO.index("sky-other")
    labels[:], labels[1, :, 151:], labels[0, 92:, :] = sky, dog, dog
    map_ = palettes.encode(labels)
    sides, real = [], hints._painted
    monkeypatch.setattr(hints, "_painted", lambda image, *rest: sides.append(image.shape) or real(image, *rest))
    node = setup.variable("segmentation", factor=factor)
    for way in (Shown.CLEAN, Shown.ADE20K):
        coarse = hints._painted_coarsely(map_, node, way)
        assert sides[-1] == (2, 67, 107, 3) and coarse.shape == map_.shape
        wrong = (coarse != real(map_, node, way)).any(-1)
        assert 0 < wrong.float().mean() < 0.01, "but for pixels along edges"
    assert hints._painted_coarsely(map_, node, Shown.AS_DRAWN) is map_
