"""Edit Map on depth maps and sketches, and the normals that belong to a depth map."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image


def edit(comfy_host, maps, text, when_changed="ask", **more):
    return comfy_host.call("FGDM_EditMap", map=maps, recipe=text, when_changed=when_changed, **more)


def test_depth_maps_and_sketches_are_edited_by_recipes_of_their_own(comfy_host, tmp_path):
    """What no operation touches keeps its value to the bit, whatever it is; fonts come from the input folder alone."""
    depth = torch.linspace(0, 0.7, 20)[None, None, :, None].repeat(1, 8, 1, 3)
    text = json.dumps({"version": 1, "variable": "depth", "operations": [
        {"op": "lift", "id": "a", "within": [[2, 2], [4, 2], [4, 4], [2, 4]], "fill": 0},
        {"op": "transform", "target": "a", "move": [10, 0]}, {"op": "shift", "target": "a", "by": 20},
    ]})  # fmt: skip
    edited, changed, report = edit(comfy_host, depth, text)
    wanted = torch.zeros(1, 8, 20)
    wanted[:, 2:5, 2:5] = wanted[:, 2:5, 12:15] = 1
    assert torch.equal(changed, wanted)
    assert torch.equal(edited[changed == 0], depth[changed == 0]) and not edited[0, 2:5, 2:5].any()
    assert torch.equal((edited[0, 2:5, 12:15] * 255).round(), (depth[0, 2:5, 2:5] * 255).round() + 20)
    mark = json.loads(report)["map"]
    assert (mark["width"], mark["height"], mark["palette"]) == (20, 8, None)
    with pytest.raises(ValueError, match="the map is not the one"):
        edit(comfy_host, depth.flip(2), json.dumps({**json.loads(text), "map": mark}))

    sketch = torch.zeros(1, 32, 64, 3)
    word = {"op": "text", "text": "ab", "at": [4, 4], "size": 20}
    written = edit(comfy_host, sketch, json.dumps({"version": 1, "variable": "sketch", "operations": [word]}))[0]
    assert written.max() == 1 and written[:, :, 40:].sum() == 0
    drawn = comfy_host.call("FGDM_DrawOnMap", map=sketch, shapes=json.dumps([word]), variable="sketch")[0]
    assert torch.equal(drawn, written)
    with pytest.raises(ValueError, match="shapes: operation 1: unknown operation 'text'"):
        comfy_host.call("FGDM_DrawOnMap", map=sketch, shapes=json.dumps([word]), variable="depth")
    for name in ("none.ttf", "../../a.ttf", str(tmp_path / "a.ttf"), "text.png"):
        with pytest.raises(ValueError, match=r"recipe: operation 1 \(text\): 'font': "):
            edit(
                comfy_host,
                sketch,
                json.dumps({"version": 1, "variable": "sketch", "operations": [{**word, "font": name}]}),
            )


def test_the_editor_opens_depth_maps_and_sketches(comfy_host):
    """It is told what it needs, before the first edit too, and letters are drawn for it as they will be written."""
    depth = torch.linspace(0, 0.7, 20)[None, None, :, None].repeat(1, 8, 1, 3)
    text = json.dumps({"version": 1, "variable": "depth", "operations": [{"op": "shift", "by": 9}]})
    editing = comfy_host.engine("comfyui_fgdm.host.map_editor")
    told = []
    entry = editing.edit_maps(depth, editing.EditInputs(variable="depth")).entry
    assert (entry["variable"], entry["width"], entry["height"], entry["palette"]) == ("depth", 20, 8, None)
    assert editing.edit_maps(depth, editing.EditInputs(text)).entry["report"]["fits"]
    with pytest.raises(ValueError, match="it is for depth maps, and these are sketch maps"):
        editing.edit_maps(depth, editing.EditInputs(text, variable="sketch"), told.append)
    assert told[0]["variable"] == "sketch" and told[0]["edited"] is None
    with pytest.raises(ValueError, match="second: nothing can be taken"):
        editing.edit_maps(depth, editing.EditInputs(text, second=depth))
    word = {"op": "text", "text": "ab", "at": [4, 4], "size": 20}
    recipe = json.dumps({"version": 1, "variable": "sketch", "operations": [word]})
    written = edit(comfy_host, torch.zeros(1, 32, 64, 3), recipe)[0]
    letters = comfy_host.engine("comfyui_fgdm.host.letters")
    shown = Image.open(io.BytesIO(letters.picture({"text": "ab", "size": "20", "width": "64", "height": "32"})))
    ink = (written[0, ..., 0] * 255).round()
    assert torch.equal(torch.from_numpy(np.array(shown)).float(), ink[4 : 4 + shown.height, 4 : 4 + shown.width])
    assert ink.sum() == float(np.array(shown).sum())
    for wrong in ({"size": "x"}, {"size": "nan"}, {"text": ""}, {"width": "1e9"}, {"font": "../a.ttf"}):
        with pytest.raises(ValueError):
            letters.picture({"text": "ab", "size": "20", "width": "64", "height": "32", **wrong})


def test_normals_follow_an_edited_depth_map_and_stay_elsewhere(comfy_host):
    depth = torch.linspace(0, 0.7, 20)[None, None, :, None].repeat(1, 8, 1, 3)
    edited, changed = depth.clone(), torch.zeros(1, 8, 20)
    edited[:, 2:5, 2:5] += 0.2
    changed[:, 2:5, 2:5] = 1
    normals = comfy_host.call("FGDM_NormalsFromDepth", depth=depth, relief=1.0)[0]
    given = torch.rand(1, 8, 20, 3)
    after = comfy_host.call("FGDM_NormalsFromDepth", depth=edited, relief=1.0, normal=given, changed=changed)[0]
    assert (normals[..., 0] > 0.5).all() and torch.equal(after[:, :, 9:], given[:, :, 9:])
    anew = comfy_host.call("FGDM_NormalsFromDepth", depth=edited, relief=1.0)[0]
    assert torch.equal(after[0, 2:5, 2:5], anew[0, 2:5, 2:5])
    low = {"normal": given[:, 1:], "changed": changed}
    for wrong, why in (({"normal": given}, "changed: normal is"), (low, "20 x 7 pixels, and depth 20 x 8")):
        with pytest.raises(ValueError, match=why):
            comfy_host.call("FGDM_NormalsFromDepth", depth=edited, relief=1.0, **wrong)
