"""A kind of variable that other code brings along: its factor is loaded, sampled, shown to a control net and decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch


@pytest.fixture
def warmth(comfy_host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Warmth in red, the rest of the picture black; clean is what is fully warm or not at all."""
    kinds = comfy_host.engine("comfyui_fgdm.maps.kinds")
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    kind = kinds.VariableKind(
        name="warmth",
        title="Warmth",
        about="red where it is warm",
        values="float [B, H, W] in 0..1",
        draw=lambda warm: torch.nn.functional.pad(warm[..., None], (0, 2)),
        read=lambda picture: picture[..., 0].clamp(0, 1),
        clean=lambda warm: (warm > 0.5).float(),
        level=lambda warm: warm,
        controlnets=("control_of_warmth",),
        expects="red on black",
    )
    kinds.register(kind)
    return kind


def test_nothing_but_its_own_file_is_touched(comfy_host, setup, tiny, make_factor, net, warmth, monkeypatch):
    factor = tiny.load(make_factor("warmth.safetensors", variable="warmth", palette=None))
    assert (factor.reader.kind, factor.reader.palette, factor.reader.drawn_by) == (warmth, None, "warmth.safetensors")
    drawn = tiny.decode(tiny.sample(tiny.apply(factor), size=32)).float()

    clean, mask, legend, text, segs = comfy_host.call("FGDM_DecodeMap", maps=drawn, factor=factor)
    red = (drawn[..., 0] > 0.5).float()
    assert torch.equal(clean, torch.nn.functional.pad(red[..., None], (0, 2)))
    torch.testing.assert_close(mask, drawn[..., 0].clamp(0, 1))
    assert legend.shape[-1] == 3 and segs == [((32, 32), [])]
    report = json.loads(text)
    assert (report["variable"], report["about"]) == ("warmth", warmth.about)
    assert report["maps"][0]["most"] == pytest.approx(mask.max().item())
    with pytest.raises(ValueError, match="class_name: warmth maps have no classes; leave it empty"):
        comfy_host.call("FGDM_DecodeMap", maps=drawn, factor=factor, class_name="dog")
    with pytest.raises(ValueError, match="colours: warmth maps have no classes; choose 'as read'"):
        comfy_host.call("FGDM_DecodeMap", maps=drawn, factor=factor, colours="ADE20K")

    hints, shown = comfy_host.engine("comfyui_fgdm.host.graph.hints"), []
    show = hints.Hint.show
    monkeypatch.setattr(hints.Hint, "show", lambda self, *args: (show(self, *args), shown.append(self.image))[0])
    graph = setup.graph(setup.variable("warmth", factor=factor, size=32), setup.variable("image", size=32))
    for colours in ("clean", "as drawn"):
        shown.clear()
        linked = comfy_host.call(
            "FGDM_GraphControl", graph=graph, control_net=net, variable="image", shows="warmth", strength=1.0,
            start_percent=0.0, end_percent=1.0, colours=colours,
        )[0]  # fmt: skip
        setup.run(linked, steps=1)
        assert (shown[0][..., 1:] == 0).all() == (colours == "clean")
    with pytest.raises(ValueError, match="to see 'warmth' in the colours of ADE20K, but warmth maps have no classes"):
        setup.run(
            comfy_host.call(
                "FGDM_GraphControl", graph=graph, control_net=net, variable="image", shows="warmth", strength=1.0,
                start_percent=0.0, end_percent=1.0, colours="ADE20K",
            )[0], steps=1,
        )  # fmt: skip


def test_every_kind_of_the_table_is_decoded(comfy_host, tiny, make_factor):
    """Those that can be read; the others say that they cannot be."""
    kinds = comfy_host.engine("comfyui_fgdm.maps.kinds")
    for name in kinds.names():
        kind = kinds.get(name)
        factor = tiny.load(make_factor(f"one-{name}.safetensors", variable=name, palette=kind.palette))
        picture = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))
        if kind.has_classes:
            picture = kind.to_picture(torch.arange(64).reshape(1, 8, 8))
        if kind.read is None:
            with pytest.raises(ValueError, match=f"factor: {name} maps can be drawn from .*, but not read"):
                comfy_host.call("FGDM_DecodeMap", maps=picture, factor=factor)
            continue
        clean, mask, _, text, _ = comfy_host.call("FGDM_DecodeMap", maps=picture, factor=factor)
        assert clean.shape == picture.shape and mask.shape == (1, 8, 8), name
        assert json.loads(text)["palette" if kind.has_classes else "variable"] == kind.palette or name
    depth = torch.linspace(0, 1, 64).reshape(1, 8, 8)
    factor = tiny.load(make_factor("one-depth.safetensors", variable="depth", palette=None))
    torch.testing.assert_close(
        comfy_host.call("FGDM_DecodeMap", maps=kinds.get("depth").draw(depth), factor=factor)[1], depth
    )
