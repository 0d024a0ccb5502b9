"""Importing the pack into a running ComfyUI: a hundredth of what the host itself takes, no network, no new heavy module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 0.015  # of the CPU time that the host takes to start: 0.1 s where that is 7 s


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two fresh processes: the least of them is the cost, the rest is the machine's other work."""
    results = []
    for number in range(2):
        base = tmp_path_factory.mktemp(f"import_{number}")
        done = subprocess.run(
            [sys.executable, "-m", "tools.import_cost", str(base)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return results


def test_import_costs_little_beside_the_host(costs: list[dict[str, Any]]) -> None:
    # CPU time, measured against the host's in the same process: neither a busy nor a slow machine decides.
    shares = [cost["cpu_s"] / cost["host_cpu_s"] for cost in costs]
    best = min(costs, key=lambda cost: cost["cpu_s"])
    print(f"import of the pack: {best['cpu_s'] * 1000:.0f} ms CPU of the host's {best['host_cpu_s']:.1f} s")
    assert min(shares) < BUDGET


def test_import_uses_no_network(costs: list[dict[str, Any]]) -> None:
    assert [cost["network"] for cost in costs] == [[], []]


def test_import_brings_no_heavy_module(costs: list[dict[str, Any]]) -> None:
    heavy = {"scipy", "transformers", "kornia", "torchvision", "resvg_py", "matplotlib"}
    assert not heavy & set(costs[0]["new_top_level_modules"])
