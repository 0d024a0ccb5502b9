"""In which colours the map of one variable is shown to the control net of another."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def engine(comfy_host):
    return comfy_host.engine


@pytest.fixture
def shown(engine, monkeypatch):
    """The pictures that control nets were shown, in order."""
    hints, seen = engine("comfyui_fgdm.host.graph.hints"), []
    show = hints.Pictures.show

    def spy(self, hint, *args):
        show(self, hint, *args)
        seen.append((self.seen[hint.parent].picture, hint.image))

    monkeypatch.setattr(hints.Pictures, "show", spy)
    return seen


@pytest.fixture
def picture(engine, setup, net):
    Shown = engine("comfyui_fgdm.maps.conversion").Shown

    def make(parent, colours):
        control = setup.graphs.Control(net, parent, shown=Shown(colours))
        return setup.variable("image", seed=9, controls=(control,))

    return make


def colours_of(image):
    return set(map(tuple, (image.float() * 255).round().int().reshape(-1, 3).tolist()))


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_a_sampled_map_is_shown_as_decode_map_would_paint_it(
    tiny, factor, setup, picture, shown, mode, comfy_host, engine
):
    palettes = engine("comfyui_fgdm.maps.palettes")
    segmentation = setup.variable("segmentation", factor=factor)
    for colours, painted in (("clean", "as read"), ("ADE20K", "ADE20K")):
        shown.clear()
        setup.run(setup.graph(segmentation, picture("segmentation", colours)), mode)
        assert len(shown) == (3 if mode == "joint" else 1)
        decoded, seen = shown[-1]
        decode = comfy_host.call("FGDM_DecodeMap", maps=decoded, factor=factor, colours=painted)[0]
        torch.testing.assert_close(seen, decode, atol=0, rtol=0)
        palette = palettes.get("ade20k150") if colours == "ADE20K" else palettes.COCO
        assert colours_of(seen) <= {label.rgb for label in palette.labels}
        assert not colours_of(decoded) <= {label.rgb for label in palette.labels}, "as sampled it is not so clean"
    shown.clear()
    setup.run(setup.graph(segmentation, picture("segmentation", "as drawn")), mode)
    assert all(seen is decoded for decoded, seen in shown)


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_other_maps_are_shown_as_they_are(tiny, factor, depth, setup, picture, shown, mode):
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    for parents in (
        [setup.graphs.Given("depth", image=image)],
        [setup.variable("segmentation", factor=factor), setup.variable("depth", factor=depth)],
    ):
        shown.clear()
        setup.run(setup.graph(*parents, picture("depth", "clean")), mode)
        assert shown and all(seen is decoded for decoded, seen in shown)


def test_a_given_map_is_converted_where_ade20k_is_asked_for(setup, picture, shown, engine):
    palettes, conversion = engine("comfyui_fgdm.maps.palettes"), engine("comfyui_fgdm.maps.conversion")
    labels = torch.full((1, 64, 64), palettes.COCO.index("dog"))
    labels[:, :30] = palettes.COCO.index("sky-other")
    given = setup.graphs.Given("segmentation", image=palettes.encode(labels))
    setup.run(setup.graph(given, picture("segmentation", "ADE20K")))
    ade = palettes.get("ade20k150")
    expected = conversion.convert(labels, conversion.table_between(palettes.COCO, ade))
    torch.testing.assert_close(shown[-1][1].float(), palettes.encode(expected, ade))
    there = setup.graphs.Given("segmentation", image=palettes.encode(expected, ade))  # it is in these colours already
    setup.run(setup.graph(there, picture("segmentation", "ADE20K")), steps=1)
    torch.testing.assert_close(shown[-1][1].float(), palettes.encode(expected, ade))


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_maps_without_classes_have_no_colours_of_ade20k(factor, depth, setup, picture, mode):
    graph = setup.graph(
        setup.variable("segmentation", factor=factor), setup.variable("depth", factor=depth), picture("depth", "ADE20K")
    )
    with pytest.raises(setup.joint.GraphError, match="'image' is to see 'depth' in the colours of ADE20K"):
        setup.run(graph, mode)
