"""python -m comfyui_fgdm objects: what a caption asks for, as words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyui_fgdm.__main__ import main
from comfyui_fgdm.maps import palettes


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["objects", *arguments])
    return code, *capsys.readouterr()


def test_json_has_objects_words_without_a_class_and_what_cannot_be_drawn(capsys, tmp_path: Path) -> None:
    caption = "a puppy and a unicorn with a hat under a tree, no people, a \u732b"
    code, out, err = run(capsys, caption, "--json")
    assert (code, err) == (0, "") and "\u732b" in out
    assert json.loads(out) == {
        "objects": ["dog", "tree"],
        "unmatched": ["unicorn", "\u732b"],
        "not_representable": ["hat"],
    }
    assert json.loads(run(capsys, "a puppy", "--json", "--palette", "ade20k150")[1])["objects"] == ["animal"]
    own = tmp_path / "own.json"
    labels = [{"index": i, "name": name, "rgb": [i, 0, 0]} for i, name in enumerate(("nothing", "unicorn"))]
    own.write_text(json.dumps({"name": "own", "void": 0, "labels": labels}), encoding="utf-8")
    found = json.loads(run(capsys, "unicorns and dogs", "--json", "--palette", str(own))[1])
    assert found == {"objects": ["unicorn"], "unmatched": ["dogs"], "not_representable": []}
    nothing = {"objects": [], "unmatched": ["justice"], "not_representable": []}
    assert json.loads(run(capsys, "justice", "--json")[1]) == nothing
    assert json.loads(run(capsys, "light, dog", "--json", "--mode", "prompt")[1])["unmatched"] == ["light"]


def test_without_json_it_is_a_report(capsys) -> None:
    code, out, _ = run(capsys, "a puppy and a unicorn")
    assert code == 0 and out.splitlines() == ["required: dog (from 'puppy')", "no class for: unicorn"]
    assert run(capsys, "")[:2] == (0, "nothing\n")


def test_a_palette_that_is_not_there_is_refused(capsys, tmp_path: Path) -> None:
    code, out, err = run(capsys, "dog", "--palette", "magic")
    assert (code, out) == (1, "") and all(name in err for name in ("objects: refused", "magic", *palettes.NAMES))
    code, _, err = run(capsys, "dog", "--palette", str(tmp_path / "none.json"))
    assert code == 1 and "none.json" in err and "check the path" in err


def test_counts_attributes_and_palettes(capsys) -> None:
    def found(*arguments: str) -> dict:
        return json.loads(run(capsys, *arguments, "--json")[1])

    assert found("three dogs and a cat", "--counts") == {
        "objects": ["dog", "cat"],
        "unmatched": [],
        "not_representable": [],
        "counts": {"dog": 3, "cat": 1},
    }
    assert list(found("three dogs and a cat")) == ["objects", "unmatched", "not_representable"]
    assert found("a dog, no cats", "--absences")["objects"] == ["dog", "no cat"]
    assert found("a bald smiling man with earrings", "--palette", "celebamask19") == {
        "objects": ["bald", "earring"],
        "unmatched": [],
        "not_representable": ["smiling", "man"],
    }
    assert found("a cyclist beside a pine tree", "--palette", "cityscapes19")["objects"] == ["rider", "vegetation"]
