"""What `make eval-edits` says of its rows: shares, differences of the same edits, and tables."""

from __future__ import annotations

import json
import sys

import pytest

from tools import eval_edits

ROWS = [
    {"kind": "add", "rows": {"map": {"text, finished": [1, 0.5], "img2img": [0, 0.75]}}},
    {"kind": "remove", "rows": None},  # a map without a thing
    {"kind": "remove", "rows": {"map": {"text, finished": [1, 0.25], "img2img": [1, 0.5], "img2img in region": [0, 0.25]}}},
    {"kind": "add", "rows": {"map": {"text, finished": [0, 0.0], "img2img": [0, 0.25]}, "moved": {"text, pasted": [1, 0.0]}}},
]  # fmt: skip
ROWS = [{"prompt": k, "seconds": 1.5, **row} for k, row in enumerate(ROWS)]


def test_differences_are_of_the_same_edits() -> None:
    report = eval_edits.reported(ROWS)
    assert report["cpu seconds"] == 6 and "picture: text" not in report
    img2img = report["map: img2img"]
    assert img2img["all"]["edits"] == 3 and img2img["add"]["edits"] == 2 and "replace" not in img2img
    assert img2img["all"]["success"][0] == pytest.approx(1 / 3, abs=1e-4)
    assert img2img["all"]["success against text, finished"][0] == pytest.approx(-1 / 3, abs=1e-4)
    assert img2img["all"]["changed elsewhere against text, finished"] == [0.25, 0.25, 0.25], (
        "each edit changes as much more"
    )
    region = report["map: img2img in region"]["all"]
    assert region["edits"] == 1 and region["success against text, finished"] == [-1, -1, -1], (
        "not the mean of all others"
    )
    assert not any("against" in key for key in report["map: text, finished"]["all"])
    assert set(report["moved: text, pasted"]) == {"all"}
    lines = eval_edits.tables(report).splitlines()
    (line,) = [line for line in lines if line.startswith("| img2img |")]
    assert "0.00 / 1.00 / -" in line and "+0.250 (+0.250 to +0.250)" in line
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_rows_that_are_there_are_not_measured_again(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "edits.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.setattr(sys, "argv", ["eval_edits", "--report", "--out", str(file)])
    assert eval_edits.main() == 0
    assert "| img2img | 3 |" in capsys.readouterr().out
    assert json.loads(file.with_suffix(".json").read_text())["map: text, finished"]["all"]["edits"] == 3
