"""`make bench-search`: what it costs to choose the map, and what else one could do for an image that holds everything.

On held-out prompts of the embedded family, from the same seeds and read by the same judge, which selects nothing: one image
of the plain base; its best of ten; the best of ten drafts; Attend-and-Excite; the image of the best of ten maps; the image of a
search. Every prompt is one line of runs/search/rows_K.jsonl, so that a run can be stopped and taken up again, and shared out: `--part 0/2` and
`--part 1/2` beside each other. The report is made of all lines there are. What the ways cost at the size of Stable Diffusion
1.5 is counted on networks without memory for weights; seconds are processor time of one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.server import ROOT

ROWS = ROOT / "runs" / "search"
SIDE = 16  # of the latents


def collect(kind: str, count: int, part: str, folder: Path) -> None:
    """Measure prompts k, k + n, ... of part 'k/n' that are not measured yet. kind: "rows", "excited" or "drafts"."""
    import torch

    from comfyui_fgdm.iconworld.measure import evaluate

    torch.set_num_threads(1)
    number, parts = (int(n) for n in part.split("/"))
    folder.mkdir(parents=True, exist_ok=True)
    done = rows_of(folder, kind)
    todo = [at for at in range(number, count, parts) if at not in done]
    if not todo:
        return
    prompts, start = evaluate.prompts(count), time.monotonic()
    with measuring(kind) as measure, (folder / f"{kind}_{number}.jsonl").open("a", encoding="utf-8") as out:
        for place, at in enumerate(todo):
            out.write(json.dumps({"number": at, **measure(prompts[at])}) + "\n")
            out.flush()
            seconds = time.monotonic() - start
            print(f"bench: {kind}, prompt {place + 1} of {len(todo)}, {seconds:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def measuring(kind: str) -> Iterator[Callable]:
    """What measures a prompt."""
    if kind == "drafts":
        from tools import bench_search_drafts

        with bench_search_drafts.drafter() as drafter:
            yield lambda prompt: bench_search_drafts.measure_drafts(drafter, prompt)
        return
    from comfyui_fgdm.iconworld.measure import evaluate_search

    kit = evaluate_search.Kit()
    measure = {"rows": evaluate_search.measure, "excited": evaluate_search.measure_excited}[kind]
    yield lambda prompt: measure(kit, prompt, SIDE)


def rows_of(folder: Path, kind: str = "rows") -> dict[int, dict]:
    """All rows of a kind that have been measured, by the number of their prompt."""
    lines = [line for path in sorted(folder.glob(f"{kind}_*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return {row["number"]: row for row in sorted(map(json.loads, lines), key=lambda row: row["number"])}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench_search", description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--part", default="0/1", help="k/n: only the prompts k, k + n, ...")
    parser.add_argument("--excited", type=int, help="prompts with Attend-and-Excite (default: all)")
    parser.add_argument(
        "--drafts", type=int, default=60, help="prompts with drafts under EasyCache (default: %(default)s)"
    )
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--report", action="store_true", help="only the report of what is measured")
    options = parser.parse_args()
    if not options.report:
        collect("rows", options.prompts, options.part, options.rows)
        excited = options.prompts if options.excited is None else options.excited
        collect("excited", excited, options.part, options.rows)
        collect("drafts", min(options.drafts, options.prompts), options.part, options.rows)
    from tools.bench_search_report import report

    print(report(*(rows_of(options.rows, kind) for kind in ("rows", "excited", "drafts"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
