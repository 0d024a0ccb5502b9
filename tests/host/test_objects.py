"""Objects on the host: what is understood reaches maps of any palette, and what is not reaches the user."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch


def test_objects_of_another_palette_are_scored_on_its_maps(comfy_host, tiny, make_factor) -> None:
    """A couch is a sofa on maps of ADE20K. Objects that were read without the factor are refused, by the name of the input."""
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    ade = palettes.get("ade20k150")
    factor = tiny.load(make_factor("ade_objects.safetensors", palette="ade20k150"))
    labels = torch.full((2, 40, 32), ade.index("sky"))
    labels[1, 10:30, 5:25] = ade.index("sofa")
    wanted, names, _ = comfy_host.call("FGDM_Objects", text="a couch and a unicorn", mode="auto", factor=factor)
    assert names == "sofa"
    rest = {"keep": 1, "min_area": 0.001, "erode": 1, "maps": palettes.encode(labels, ade), "factor": factor}
    best, _, recall, index, text, _ = comfy_host.call("FGDM_BestOfN", objects=wanted, **rest)
    assert (recall, index) == (1.0, 1)
    report = json.loads(text)
    assert report["palette"] == "ade20k150" and report["summary"] == "1 object: sofa; not counted: unicorn"
    assert [one["spurious"] for one in report["maps"]] == [["sky"], ["sky"]]
    without = comfy_host.call("FGDM_BestOfN", objects=wanted, **{**rest, "factor": None})
    assert without[2:4] == (1.0, 1), "the objects say of which palette the maps are"
    of_coco = comfy_host.call("FGDM_Objects", text="couch", mode="list")[0]
    with pytest.raises(
        ValueError, match="objects: they are classes of 'coco183', but 'ade_objects.*Connect the factor"
    ):
        comfy_host.call("FGDM_BestOfN", objects=of_coco, **rest)


def test_the_node_shows_what_counts_and_what_does_not(comfy_host, monkeypatch) -> None:
    """In a run as the host makes it: as text on the node, as its ``ui``, and in the report."""
    from server import PromptServer

    shown: list[tuple[str, str]] = []
    server = SimpleNamespace(send_progress_text=lambda text, node_id: shown.append((node_id, text)))
    monkeypatch.setattr(PromptServer, "instance", server, raising=False)
    texts = {
        "1": "a unicorn and a dragon near a dog, no cat",
        "2": "no humans, scenery, tree, grass",
        "3": "dog, bicycle and tree",
    }
    prompt = {
        key: {"class_type": "FGDM_Objects", "inputs": {"text": text, "mode": "auto"}} for key, text in texts.items()
    }
    run = comfy_host.run(prompt, wanted=list(prompt))
    expected = {
        "1": "1 object: dog; not counted: unicorn, dragon",
        "2": "2 objects: tree, grass; not counted: scenery",
        "3": "3 objects: dog, bicycle, tree",
    }
    assert dict(shown) == expected
    report = run.output("1", 2)
    assert run.ui["1"]["text"] == [f"{expected['1']}\n{report}"]
    assert "not required: cat: the text says that it is absent" in report


def test_the_class_of_a_mask_may_be_a_plural_or_a_synonym(comfy_host, tiny, make_factor) -> None:
    """A word that means several classes masks all of them, or those that the factor knows."""
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    place = {name: palettes.COCO.index(name) for name in ("dog", "cat", "wall-brick", "wall-other")}
    labels = torch.tensor(list(place.values())).repeat_interleave(8).expand(1, 16, 32)
    picture = palettes.encode(labels)

    def masked(name: str, factor: object = None) -> tuple[list[str], str]:
        _, mask, _, text, _ = comfy_host.call("FGDM_DecodeMap", maps=picture, class_name=name, factor=factor, clean=0)
        return [key for key, label in place.items() if mask[labels == label].all()], json.loads(text)["mask"]

    for name in ("dog", "dogs", "Puppy", "the puppies"):
        assert masked(name) == (["dog"], "dog"), name
    found, said = masked("walls")
    assert found == ["wall-brick", "wall-other"] and said.startswith("wall-other, wall-brick")
    factor = tiny.load(make_factor("bricks.safetensors", classes=(17, place["wall-brick"])))
    assert masked("walls", factor) == (["wall-brick"], "wall-brick")
    with pytest.raises(ValueError, match="was not trained to draw 'kittens'"):
        masked("kittens", factor)


def test_counts_absences_and_palettes_reach_the_scores(comfy_host) -> None:
    """Maps of faces without a factor; a count in every way of asking; a palette that is not there or not the factor's."""
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    face = palettes.get("celebamask19")
    labels = torch.full((2, 48, 48), face.index("skin"))
    labels[0, :12] = face.index("hair")
    rest = {"keep": 1, "min_area": 0.001, "erode": 1}
    bald, names, report = comfy_host.call(
        "FGDM_Objects", text="a bald and smiling man", mode="auto", palette="celebamask19"
    )
    assert names == "bald" and "skin without hair" in report and "smiling: an expression" in report
    assert comfy_host.call("FGDM_BestOfN", maps=palettes.encode(labels, face), objects=bald, **rest)[2:4] == (1.0, 1)
    labels = torch.full((2, 48, 48), palettes.COCO.index("grass"))
    labels[:, 4:12, 4:12] = palettes.COCO.index("dog")
    labels[1, 4:12, 24:32] = palettes.COCO.index("dog")
    recalls = []
    for text, options in (
        ("two dogs", {}),
        ("two dogs", {"counts": False}),
        ("three dogs", {}),
        ("grass, no dogs", {"denied": "must be absent"}),
    ):
        asked = comfy_host.call("FGDM_Objects", text=text, mode="auto", **options)[0]
        _, _, recall, index, scores, _ = comfy_host.call(
            "FGDM_BestOfN", maps=palettes.encode(labels), objects=asked, **rest
        )
        recalls.append((recall, index))
        assert "connected regions" in json.loads(scores)["held"]
    assert recalls[:3] == [(1.0, 1), (1.0, 1), (0.0, 1)] and recalls[3] == (0.5, 0)
    with pytest.raises(ValueError, match="palette: unknown palette 'magic'; known: ade20k150"):
        comfy_host.call("FGDM_Objects", text="dog", mode="auto", palette="magic")


def test_a_palette_that_is_not_the_factors_is_refused(comfy_host, tiny, make_factor) -> None:
    factor = tiny.load(make_factor("ade_told.safetensors", palette="ade20k150"))
    with pytest.raises(ValueError, match="'cityscapes19' is told, but 'ade_told.*Choose 'of the factor'"):
        comfy_host.call("FGDM_Objects", text="a car", mode="auto", factor=factor, palette="cityscapes19")
    assert comfy_host.call("FGDM_Objects", text="a couch", mode="auto", factor=factor, palette="ade20k150")[1] == "sofa"


def test_a_picture_is_judged_beside_its_map(comfy_host) -> None:
    """A segmentation in the colours of ADE20K lost the cat that the best map of COCO colours had; boxes over the API."""
    palettes = comfy_host.engine("comfyui_fgdm.maps.palettes")
    ade = palettes.get("ade20k150")
    wanted = comfy_host.call("FGDM_Objects", text="a couch, a car", mode="auto")[0]
    labels = torch.full((2, 48, 48), palettes.COCO.index("grass"))
    labels[1, 4:20, 4:20], labels[1, 4:20, 24:40] = palettes.COCO.index("couch"), palettes.COCO.index("car")
    maps = palettes.encode(labels)
    selector = comfy_host.call("FGDM_BestOfN", maps=maps, objects=wanted, keep=1, min_area=0.001, erode=1)[4]
    seen = torch.full((1, 40, 40), ade.index("wall"))
    seen[0, 4:20, 4:20] = ade.index("sofa")
    segmented = {"judge": "segmentation", "segmentation": palettes.encode(seen, ade), "palette": "ade20k150"}
    image = torch.rand(1, 64, 64, 3)
    rest = {"image": image, "objects": wanted, "selector": selector}
    value, table, text, values = comfy_host.call("FGDM_Judge", **rest, **segmented)
    report = json.loads(text)
    assert (value, values) == (0.5, [0.5]) and table.shape[0] == 1 and table.shape[-1] == 3
    assert report["images"][0]["selector"] == {
        **{"map": 1, "seed": None, "recall": 1.0, "recall_of_the_same": 1.0},
        **{"lost": ["car"], "gained": []},
    }
    box = {"x": 0, "y": 0, "width": 9, "height": 9, "score": 0.9}
    boxes = [[{**box, "label": "car"}, {**box, "label": "couch", "score": 0.2}]]
    assert comfy_host.call("FGDM_Judge", **rest, judge="boxes", boxes=boxes)[3] == [0.5]
    for wrong, message in (
        ({"judge": "boxes"}, "boxes: nothing is connected"),
        ({"judge": "segmentation"}, "segmentation: nothing is connected"),
        ({**segmented, "palette": "magic"}, "palette: unknown palette 'magic'"),
        (
            {**segmented, "palette": "of the objects"},
            "segmentation: the colours of these maps are those .* 'ade20k150'",
        ),
        ({**segmented, "segmentation": torch.rand(1, 64, 64, 3)}, "segmentation: .* no segmentation maps"),
        ({**segmented, "segmentation": maps, "palette": "coco183"}, "segmentation: it has 2 pictures, image has 1"),
        ({"judge": "boxes", "boxes": [[{**box, "label": "sofa"}]]}, "none of the 80 classes"),
        ({"judge": "boxes", "boxes": boxes, "selector": "{}"}, "selector: expected the json output"),
        ({"judge": "boxes", "boxes": "couch"}, "boxes: expected a link"),
    ):
        with pytest.raises(ValueError, match=message):
            comfy_host.call("FGDM_Judge", **{**rest, **wrong})


def test_the_embedded_judge_reads_as_its_network_does(comfy_host) -> None:
    """At the sides its network takes, bit for bit; a picture of another size is fitted; what it does not know is named."""
    judging = comfy_host.engine("comfyui_fgdm.host.judging")
    recall = comfy_host.engine("comfyui_fgdm.objects.recall")
    image = torch.rand(2, 64, 96, 3).round()
    query = comfy_host.call("FGDM_Objects", text="a dog, a person, grass, a toaster", mode="auto")[0]
    text = comfy_host.call("FGDM_Judge", image=image, objects=query, judge="embedded judge")[2]
    report = json.loads(text)
    labels = judging.family_judge.load(judging.EMBEDDED_FILE)(image)
    assert [one["recall"] for one in report["images"]] == [
        pytest.approx(float(x) * 4 / 3, abs=1e-5) for x in recall.score(labels, query).recall
    ]
    assert [one["name"] for one in report["not_judged"]] == ["toaster"]
    assert comfy_host.call("FGDM_Judge", image=torch.rand(1, 50, 33, 3), objects=query, judge="embedded judge")
    unknown = comfy_host.call("FGDM_Objects", text="a toaster", mode="auto")[0]
    with pytest.raises(ValueError, match="the judge of the tiny family knows none of: toaster"):
        comfy_host.call("FGDM_Judge", image=image, objects=unknown, judge="embedded judge")


def test_a_language_model_is_asked_only_where_it_is_set_up(comfy_host, monkeypatch) -> None:
    """By the environment, else by the settings; without an endpoint, or where it lies, the table reads, or the node stops."""
    from tools.chat_endpoint import ChatEndpoint

    for name in ("FGDM_LLM_URL", "FGDM_LLM_KEY", "FGDM_LLM_MODEL"):
        monkeypatch.delenv(name, raising=False)
    node = comfy_host.node("FGDM_ObjectsByModel")
    ask = {
        "text": "zwei Hunde, a cat",
        "shots": "one-shot",
        "scope": "named in the text",
        "if_it_fails": "read by the table",
    }
    before = node.fingerprint_inputs()
    _, names, report = comfy_host.call("FGDM_ObjectsByModel", **ask)
    assert names == "cat" and "no endpoint is set up" in report and node.fingerprint_inputs() == before
    with pytest.raises(ValueError, match="no endpoint is set up; set FGDM_LLM_URL"):
        comfy_host.call("FGDM_ObjectsByModel", **{**ask, "if_it_fails": "stop"})
    file = comfy_host.base / "user" / "default" / "comfy.settings.json"
    assert file.parents[1] == Path(comfy_host.folder_paths.get_user_directory())
    with ChatEndpoint() as chat:
        chat.answers = ['{"objects": [{"name": "dog", "count": 2}, {"name": "cat"}]}']
        monkeypatch.setenv("FGDM_LLM_URL", chat.url)
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = file.read_text(encoding="utf-8") if file.exists() else None
        try:
            file.write_text(
                json.dumps({"fgdm.llm.key": "sk-1", "fgdm.llm.model": "small", "fgdm.llm.url": "http://no"})
            )
            assert node.fingerprint_inputs() != before
            _, names, report = comfy_host.call("FGDM_ObjectsByModel", **ask)
        finally:
            file.unlink() if kept is None else file.write_text(kept, encoding="utf-8")
        assert names == "2 dog, cat" and report.startswith("listed by small at 127.0.0.1:") and "sk-1" not in report
        assert chat.requests[0][1]["Authorization"] == "Bearer sk-1" and chat.requests[0][2]["model"] == "small"
        chat.answers = ["I would rather not."]
        _, names, report = comfy_host.call("FGDM_ObjectsByModel", **ask, model="other")
        assert (
            names == "cat" and "is not JSON: I would rather not" in report and chat.requests[-1][2]["model"] == "other"
        )
        with pytest.raises(ValueError, match="could not be used: its answer is not JSON"):
            comfy_host.call("FGDM_ObjectsByModel", **{**ask, "if_it_fails": "stop"}, model="other")
