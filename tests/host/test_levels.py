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


def test_people_on_pose_maps_are_read_edited_and_drawn_anew(comfy_host):
    """Maps that a recipe does nothing to pass to the bit; what is no figure is told, and not drawn again."""
    reading = comfy_host.engine("comfyui_fgdm.maps.pose_reading")
    standing = comfy_host.engine("comfyui_fgdm.editing.pose").STANDING
    body = tuple((128 + dx / 5, 128 + dy / 5) for dx, dy in standing)
    other = tuple((60 + dx / 5, 128 + dy / 5) for dx, dy in standing)
    maps = reading.PeopleRead((other, body)).draw(256, 256)[None].repeat(2, 1, 1, 1)
    x, y = (int(one) for one in body[7])
    maps[1, y + 6 : y + 10, x - 3 : x + 3] = maps[1, 5:15, 5:15] = (
        1.0  # a hand below the left wrist; something far away
    )
    wrist = {"op": "joint", "target": "a", "joint": "left wrist", "to": [200, 40]}
    text = json.dumps(
        {"version": 1, "variable": "pose", "operations": [{"op": "lift", "id": "a", "at": [128, 128]}, wrist]}
    )
    edited, changed, report = edit(comfy_host, maps, text)
    assert (edited[:, 40, 200] * 255).round().tolist() == [[0, 255, 85]] * 2
    assert torch.equal(changed > 0, (edited != maps).any(-1)) and not changed[:, :, :130].any()
    assert torch.equal(edited[1, 5:15, 5:15], maps[1, 5:15, 5:15]), "what is not beside the wrist stays"
    assert not edited[1, y + 6 : y + 10, x - 3 : x + 3].any(), "the hand was beside it"
    told = json.loads(report)["maps"]
    assert [one["people"] for one in told] == [[2, 2], [2, 2]] and told[0]["unknown"] == 0 < told[1]["unknown"] < 1e-3
    same = edit(comfy_host, maps, "", variable="pose")[0]
    assert torch.equal(same, maps)
    nobody = torch.rand(1, 32, 32, 3) * 0.05
    assert torch.equal(edit(comfy_host, nobody, text)[0], nobody), "nobody is there to be lifted"

    editing = comfy_host.engine("comfyui_fgdm.host.map_editor")
    entry = editing.edit_maps(maps, editing.EditInputs(variable="pose")).entry
    assert (entry["variable"], entry["palette"], entry["bold"], len(entry["people"][0])) == ("pose", None, 1.0, 18)
    assert entry["picture"] is not None and entry["classes"][0] == [0, "background", "#000000", False]
    assert entry["people"][1][4] == pytest.approx(body[4], abs=0.5)
    with pytest.raises(ValueError, match="objects: pose maps have no classes"):
        editing.edit_maps(maps, editing.EditInputs(variable="pose", objects=object()))
    with pytest.raises(ValueError, match="it is for pose maps, and these are depth maps"):
        editing.edit_maps(maps, editing.EditInputs(text, variable="depth"))
    other = json.dumps({**json.loads(text), "map": json.loads(report)["map"]})
    with pytest.raises(ValueError, match="the map is not the one"):
        edit(comfy_host, maps.flip(2), other)


@pytest.mark.parametrize("hands", [False, True])
@pytest.mark.parametrize("side", [512, 768])
def test_maps_that_the_host_draws_are_read(comfy_host, hands, side):
    """By core's SDPose Draw Keypoints, which draws limbs as bright as joints, with hands and faces or without."""
    reading = comfy_host.engine("comfyui_fgdm.maps.pose_reading")
    standing = comfy_host.engine("comfyui_fgdm.editing.pose").STANDING
    bodies = [
        [(x + dx * h / 1000, side / 2 + dy * h / 1000) for dx, dy in standing] for x, h in ((150, 400), (370, 450))
    ]
    rng = np.random.default_rng(0)

    def flat(points):
        return [float(one) for x, y in points for one in (x, y, 1.0)]

    people = [
        {
            "pose_keypoints_2d": flat(body),
            "face_keypoints_2d": flat(body[0] + rng.normal(0, 8, (70, 2))),
            "hand_left_keypoints_2d": flat(np.array(body[7]) + [5, 20] + rng.normal(0, 8, (21, 2))),
            "hand_right_keypoints_2d": flat(np.array(body[4]) + [-5, 20] + rng.normal(0, 8, (21, 2))),
        }
        for body in bodies
    ]
    frame = {"canvas_width": side, "canvas_height": side, "people": people}
    (picture,) = comfy_host.call(
        "SDPoseDrawKeypoints", keypoints=[frame], draw_body=True, draw_hands=hands, draw_face=hands, draw_feet=False,
        stick_width=4, face_point_size=3, score_threshold=0.3, draw_head=True,
    )  # fmt: skip
    read = reading.read(picture[0])
    assert (len(read.bodies), read.bright) == (2, True)
    assert read.bold * side / 128 == pytest.approx(4, abs=0.8)
    assert (read.unread > 1e-3) == hands
    limbs = range(2, 14)  # those of arms and legs; points of a face lie over eyes and nose
    off = [np.hypot(*np.subtract(got[k], body[k])) for got, body in zip(read.bodies, bodies) for k in limbs if got[k]]
    assert len(off) >= (22 if hands else 24), "hands lie over wrists"
    assert max(off) < 7 and np.median(off) < 1, "a shoulder is as bright as the arm that begins there"
