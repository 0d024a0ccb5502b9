"""`make eval-edits`: edits by text of maps and pictures of the embedded family, against simpler ways to do the same.

Each edit adds a class to a map of a held-out prompt, removes one, or replaces one by another. A way succeeds if the class is there
or gone afterwards, by the rule by which recall counts objects: on the map as it is read, and in the picture by the judge. How much
else changed is the share of pixels of another class outside the affected region: where the class was or now is, widened by 8 pixels.

Ways, all from the same map, with as many steps from the same noise level:
  text       Edit by Text; bounded to the class that goes, else by its own masks. finished: the same after Finish Edited Map
  img2img    KSampler with the changed prompt; in region: the same with a noise mask of the class that goes
  recolour   no model: the class that goes is filled with what is next to it or repainted, a new class is a box on the ground
Pictures, of the same edits: text under the image factor with the old map, then with the finished one; img2img with the changed
prompt and the finished map; anew: another picture of the finished map. pasted: what changed, pasted into the picture as it was and
harmonised by six steps at denoise .4. before: nothing done. In the same pictures the largest object that has room is moved by 40
pixels on the map ("moved"); a move succeeds if the judge sees at least half of the new place covered, and less than a quarter of
the old one.

Rows, one a prompt, go to runs/edits.jsonl, from which the next run goes on; the report to runs/edits.json and, as tables, to the screen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tools.edit_ways import KINDS, Ways
from tools.server import CACHE, ROOT

BESIDE = {"map": "text, finished", "picture": "text, pasted", "moved": "text, pasted"}
"""The way that the others of a kind are compared with, edit by edit."""
MEASURED = 150
"""Prompts that are measured at most; the settings were chosen on later ones."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=120, help="of maps")
    parser.add_argument("--pictures", type=int, default=30, help="how many of them are made of pictures as well")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs" / "edits.jsonl", help="rows; the report lies beside it"
    )
    parser.add_argument("--report", action="store_true", help="only tell what the rows say")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    rows = [json.loads(line) for line in lines]
    if not options.report:
        run(rows, options)
    report = reported(rows)
    options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(tables(report))
    return 0


def run(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Measure what the rows lack, and add it to them and to their file."""
    import torch

    from comfyui_fgdm.iconworld.measure import evaluate
    from tools.inprocess import boot

    with tempfile.TemporaryDirectory(prefix="edits-", dir=CACHE) as base, torch.inference_mode():
        ways = Ways(boot(Path(base)))
        for number, prompt in enumerate(evaluate.prompts(MEASURED)):
            done = sum(row["rows"] is not None for row in rows)
            if number < len(rows) or done >= options.edits:
                continue
            start, kind = time.process_time(), KINDS[done % 3]
            found = ways.measure(prompt.text, prompt.seed, kind, done < options.pictures)
            seconds = round(time.process_time() - start, 1)
            rows.append({"prompt": number, "kind": kind, "seconds": seconds, "rows": found})
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(f"edits: {done + (found is not None)} of {options.edits}", flush=True)


def reported(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """{"cpu seconds", "map: text": {"all" and each kind: {"edits", "success", "changed elsewhere", "success against ..."}}}: means
    with 95 % bootstrap intervals; differences are of the same edits."""
    rows = list(rows)
    report: dict[str, Any] = {"cpu seconds": round(sum(row["seconds"] for row in rows))}
    for what, beside in BESIDE.items():
        made = [(row["kind"], row["rows"][what]) for row in rows if row["rows"] and what in row["rows"]]
        for way in dict.fromkeys(way for _, one in made for way in one):
            entry = report[f"{what}: {way}"] = {}
            for kind in ("all", *(KINDS if what != "moved" else ())):
                pairs = [(one[way], one[beside]) for k, one in made if way in one and kind in ("all", k)]
                if pairs:
                    entry[kind] = _shares(np.array(pairs, dtype=float), beside if way != beside else "")
    return report


def _shares(pairs: np.ndarray, beside: str) -> dict[str, Any]:
    """pairs: [edits, this way and the other, success and change]."""
    from comfyui_fgdm.iconworld.measure.measuring import interval

    told: dict[str, Any] = {"edits": len(pairs)}
    for k, name in enumerate(("success", "changed elsewhere")):
        told[name] = interval(pairs[:, 0, k])
        if beside:
            told[f"{name} against {beside}"] = interval(pairs[:, 0, k] - pairs[:, 1, k])
    return told


def tables(report: dict[str, Any]) -> str:
    """The report as tables for docs/evidence.md."""
    parts = []
    for what, beside in BESIDE.items():
        lines = [
            f"| {what} | edits | success | add / remove / replace | minus *{beside}* | changed elsewhere | minus *{beside}* |",
            "|---|---|---|---|---|---|---|",
        ]
        for name in [name for name in report if name.startswith(f"{what}: ")]:
            entry = report[name]
            one = entry["all"]
            kinds = " / ".join(f"{entry[k]['success'][0]:.2f}" if k in entry else "-" for k in KINDS)
            success, elsewhere = (
                _spread(one.get(f"{k} against {beside}"), "+") for k in ("success", "changed elsewhere")
            )
            lines.append(
                f"| {name.partition(': ')[2]} | {one['edits']} | {_spread(one['success'])} | {kinds if what != 'moved' else ''} | "
                f"{success} | {_spread(one['changed elsewhere'])} | {elsewhere} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, f"cpu seconds: {report['cpu seconds']}"])


def _spread(values: list[float] | None, sign: str = "") -> str:
    if values is None:
        return ""
    mean, low, high = (f"{value:{sign}.3f}" for value in values)
    return f"{mean} ({low} to {high})"


if __name__ == "__main__":
    raise SystemExit(main())
