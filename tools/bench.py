"""`make bench`: what the pack costs on this machine, as one table, also written to bench_output/bench.md.

Times are medians over repeats. They are of the embedded tiny model; on a full-size model the factor's share of a
step is smaller than the fixed costs measured here.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.demo import WORKFLOW
from tools.inprocess import InProcessHost, boot
from tools.server import CACHE, ROOT, Server
from tools.workflow import node, node_id

OUTPUT = ROOT / "bench_output" / "bench.md"
PROMPT = "a dog and a bicycle under a tree"
REPEATS = 3
STEPS = 10
BATCH_SIZES = (1, 2, 5, 10, 20)
CANDIDATES = 20
Row = tuple[str, str]


class Table:
    """A Markdown table, printed while it grows and written to a file in the end."""

    def __init__(self, *columns: str, about: str = "") -> None:
        self.columns = len(columns)
        self.lines = [f"{datetime.date.today().isoformat()}; {machine()}{about}", ""]
        self.lines += [table_row(columns), "|" + "---|" * len(columns)]
        print("\n".join(self.lines), flush=True)

    def add(self, *cells: str) -> None:
        if len(cells) != self.columns:
            raise ValueError(f"a row of {len(cells)} cells for {self.columns} columns: {cells}")
        self.lines.append(table_row(cells))
        print(self.lines[-1], flush=True)

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        print(f"bench: the table is in {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")


def table_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def median_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def machine() -> str:
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"{name}, {os.cpu_count()} cores{load}; {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def sampling_rows(host: InProcessHost) -> Iterator[Row]:
    """Steps and throughput, in process, so that nothing but the nodes is timed."""
    names = {node["class_type"]: node["inputs"] for node in json.loads(WORKFLOW.read_text("utf-8")).values()}
    model, clip, vae = host.call("FGDM_LoadEmbedded", **names["FGDM_LoadEmbedded"])
    (factor,) = host.call("FGDM_LoadFactor", **names["FGDM_LoadFactor"])
    (positive,) = host.call("CLIPTextEncode", clip=clip, text=PROMPT)
    (negative,) = host.call("CLIPTextEncode", clip=clip, text="")
    (mapper,) = host.call(
        "FGDM_ApplyFactor", model=model, factor=factor, strength=1.0, start_percent=0.0, end_percent=1.0
    )
    query = host.call("FGDM_Objects", text=PROMPT, mode="auto", factor=factor)[0]

    def sample(with_model: Any, batch: int, steps: int) -> Callable[[], object]:
        (latent,) = host.call("EmptyLatentImage", width=128, height=128, batch_size=batch)
        return lambda: host.call(
            "KSampler", model=with_model, seed=0, steps=steps, cfg=3.0, sampler_name="ddim", scheduler="normal",
            positive=positive, negative=negative, latent_image=latent, denoise=1.0,
        )  # fmt: skip

    for batch in (1, 10):
        # The difference of two lengths leaves out what is paid once a run.
        plain, factored = (
            (median_seconds(sample(one, batch, 3 * STEPS)) - median_seconds(sample(one, batch, STEPS))) / (2 * STEPS)
            for one in (model, mapper)
        )
        yield f"plain step, batch {batch} (with guidance)", f"{1000 * plain:.1f} ms"
        yield f"factor step, batch {batch} (with guidance)", f"{1000 * factored:.1f} ms, {factored / plain:.2f} x plain"

    settings = dict(names["FGDM_SampleMaps"]) | {"model": model, "factor": factor, "positive": positive}
    settings |= {"negative": negative, "vae": vae, "objects": query, "seed": 0, "count": CANDIDATES, "steps": STEPS}
    for size in BATCH_SIZES:
        seconds = median_seconds(lambda size=size: host.call("FGDM_SampleMaps", **settings | {"batch_size": size}), 3)
        yield f"maps of {STEPS} steps, decoded and scored, batch {size}", f"{CANDIDATES / seconds:.1f} maps/s"


def server_rows() -> Iterator[Row]:
    prompt = json.loads(WORKFLOW.read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as base:
        server = Server(Path(base), options=["--cache-none"])
        start = time.perf_counter()
        with server:
            yield "ComfyUI start until it answers", f"{time.perf_counter() - start:.1f} s"
            idle = server.peak_memory()
            for repeat in ("first run", "again, without the host's cache"):
                start = time.perf_counter()
                run = server.client.run(prompt)
                if run.status != "success":
                    raise RuntimeError(f"the workflow ended with {run.status}: {run.error}")
                maps = node(prompt, "FGDM_SampleMaps")["inputs"]["count"]
                yield f"main workflow ({maps} maps, one image), {repeat}", f"{time.perf_counter() - start:.1f} s"
            peak = server.peak_memory()
            yield "server memory, idle / at most", f"{idle / 2**20:.0f} / {peak / 2**20:.0f} MiB"
            assert run.executed.count(node_id(prompt, "KSampler")) == 1


def demo_row() -> Row:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tools.demo"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return "make demo, wall time with the set-up done", f"{time.perf_counter() - start:.1f} s"


def import_row() -> Row:
    costs = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as base:
            done = subprocess.run(
                [sys.executable, "-m", "tools.import_cost", base], cwd=ROOT, check=True, capture_output=True, text=True
            )
        costs.append(json.loads(done.stdout.splitlines()[-1])["wall_s"])
    return "import of the pack beyond the host (least of 3)", f"{1000 * min(costs):.0f} ms"


def main() -> int:
    table = Table("what", "measured")
    table.add(*demo_row())
    table.add(*import_row())
    for row in server_rows():
        table.add(*row)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as base:
        host = boot(Path(base))
        importlib.import_module("comfy.utils").set_progress_bar_enabled(False)
        for row in sampling_rows(host):
            table.add(*row)
    table.write(OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
