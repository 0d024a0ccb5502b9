"""The report of `make bench-search` on made measurements with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_fgdm.iconworld.measure import evaluate_search as ways
from comfyui_fgdm.iconworld.measure.measuring import MAP_CFG, MAP_STEPS
from comfyui_fgdm.sampling.ddim import sample
from tools import bench_search_report, measure_resampling
from tools.bench_search import rows_of
from tools.bench_search_cost import Flops
from tools.bench_search_drafts import DRAFTS

COUNTED = Flops(factor_256=0.25, unet_512=1.0, control_512=0.5, decode_256=1.0, decode_512=2.0)


def row(number: int, first: float) -> dict:
    """A prompt whose candidate 0 scores ``first``, candidate 1 everything, and all others a half."""
    final = [[first, 0.0, 0.1], [1.0, 0.0, 0.1], *([[0.5, 0.0, 0.1]] * 8)]
    cost = {"unet": 20, "gradients": 0, "control": 0, "decodes": 1, "reads": 0, "seconds": 1.0}
    recalls = {ways.ONE: 0.5, ways.TEN: 0.75, ways.MAP_ONE: 0.5, ways.MAP_TEN: 1.0, ways.SEARCH: 0.75}
    found = {
        name: {"recall": recall, "map": None if "base" in name else 1.0, **cost} for name, recall in recalls.items()
    }
    return {"number": number, "ways": found, "final": final, "predicted": {str(step): final for step in ways.PRUNED_AT}}


def test_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_search_report, "OUTPUT", tmp_path / "bench.md")
    monkeypatch.setattr(bench_search_report, "CHART", tmp_path / "bench.png")
    monkeypatch.setattr(bench_search_report, "flops", lambda: COUNTED)
    monkeypatch.setattr(bench_search_report, "DRAWS", 50)
    (tmp_path / "rows_0.jsonl").write_text(json.dumps(row(1, 0.5)) + "\n")
    (tmp_path / "rows_1.jsonl").write_text(json.dumps(row(0, 1.0)) + "\n")
    excited = {1: {"ways": {ways.EXCITED: row(1, 1.0)["ways"][ways.ONE] | {"gradients": 5}}}}
    drafts = {
        0: {
            "ways": {DRAFTS: row(0, 1.0)["ways"][ways.ONE]},
            "image_evaluations": [12] * 10,  # of 20: four tenths are left out
            "maps": [[0.5, 0.0, 0.1], [0.5, 0.0, 0.1], [1.0, 0.0, 0.1], *([[0.5, 0.0, 0.1]] * 7)],
            "map_evaluations": [10] * 10,
        }
    }
    last = bench_search_report.report(rows_of(tmp_path), excited, drafts)
    # One prompt takes one map of 20 x .25 + 1, the other three; an image is 40 x 1.5 + 2, and ten plain ones 10 x (40 + 2).
    assert last == (
        "search: choosing the map costs 0.19 of an image, recall 0.75 (plain best-of-10 1.00), SD best-of-10 / ours 5.7"
    )
    text = (tmp_path / "bench.md").read_text()
    assert text.endswith(last + "\n")
    assert f"| {ways.EXCITED} | 1 |" in text and "| 72.0 |" in text, (
        "42, and half a gradient of three evaluations in 20 steps"
    )
    assert f"| {DRAFTS} | 1 |" in text and f"| {42 + 10 * (0.6 * 40 + 2):.1f} |" in text
    # Of prompt 0 candidate 0 holds all in full, candidate 2 as a draft, and in full a half.
    lines = {
        cells[1]: cells[2:]
        for cells in ([c.strip() for c in line.split("|")] for line in text.splitlines())
        if len(cells) > 5
    }
    found = {name: (lines[name][0][:5], lines[name][2]) for name in lines if "draft" in name and "base" not in name}
    assert found == {
        "ten drafts, the best as it is": ("1.000", "100.0"),
        "ten drafts, the best in full": (".500 ", "120.0"),
        "search of drafts, the best as it is": ("1.000", "30.0"),
        "search of drafts, the best in full": (".500 ", "50.0"),
    }
    assert lines["search, maps in full"][2] == "20.0" and lines["search of drafts, the best in full"][1][:5] == "-.500"
    assert Image.open(tmp_path / "bench.png").size[0] > 1000


def test_draws_are_those_of_the_paper_s_table_3() -> None:
    recall, predicted = bench_search_report.draws_of_table_3(4000)
    found = [recall.min(1).mean(), np.median(recall, 1).mean(), recall.max(1).mean()]
    assert found == pytest.approx([0.55, 0.70, 0.75], abs=0.025)
    assert [10 * (recall >= level).mean() for level in (0.5, 0.75, 0.9)] == pytest.approx([9.0, 3.6, 1.2], abs=0.7)
    within = [
        np.corrcoef(one.argsort().argsort(), two.argsort().argsort())[0, 1]
        for one, two in zip(recall, predicted, strict=True)
    ]
    assert np.mean(within) == pytest.approx(0.5, abs=0.06)


def test_resampling_without_noise_is_the_deterministic_sampler_and_copies_in_proportion() -> None:
    start = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    context, empty = torch.ones(3, 1, 1), torch.zeros(3, 1, 1)

    def velocity(x, t, prompts):
        return x.tanh() * (1 + prompts[:, :, None]) + t[:, None, None, None] / 1000

    *_, (done, plain, _) = measure_resampling.noisy_ddim(velocity, start, context, empty, 0.0, 1)
    assert done == MAP_STEPS
    torch.testing.assert_close(plain, sample(velocity, start, context, empty, MAP_STEPS, MAP_CFG))
    *_, (_, noisy, _) = measure_resampling.noisy_ddim(velocity, start[:1].expand(3, -1, -1, -1), context, empty, 1.0, 1)
    assert not torch.equal(noisy[0], noisy[1]), "copies part"
    for offset in (0.0, 0.5, 0.99):
        chosen = measure_resampling.systematic(np.array([1.0, 0.0, 2.0, 1.0]), offset)
        assert [chosen.count(one) for one in range(4)] == [1, 0, 2, 1]
