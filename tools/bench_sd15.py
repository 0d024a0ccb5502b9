"""`make bench-sd15`: steps, decoding and memory at the size of Stable Diffusion 1.5, with the goals set for them.

Checkpoint, ControlNet and adapter are of full shape with random weights, made for the run and deleted after it: what they
draw means nothing, what they cost is real. The table goes to bench_output/bench_sd15.md too. Runs on the GPU if PyTorch
sees one. A step is that of a guided run (CFG), one picture, Euler; the first step of a run is left out. What is compared is
measured in turns, and medians are shown, so that a machine that slows down does so for all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tools import random_sd15
from tools.bench import Table
from tools.inprocess import InProcessHost, boot
from tools.server import CACHE, ROOT

OUTPUT = ROOT / "bench_output" / "bench_sd15.md"
CHECKPOINT, CONTROLNET, FACTOR = (f"random-{name}.safetensors" for name in ("sd15", "controlnet", "factor"))
GPU = torch.cuda.is_available()
STEPS = 3
CFG = 3.0
FACTOR_GOAL, JOINT_GOAL, MEMORY_GOAL = 1.12, 1.03, 1.15
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Sizes:
    """Sides in pixels: of the image, of the map, of the picture that is decoded by its palette."""

    image: int
    map: int
    palette: int


@dataclass(frozen=True)
class Times:
    """Median seconds. shown: a joint step in which the map is decoded anew for the ControlNet; unshown: one without."""

    plain: float
    factor: float
    control: float
    unshown: float
    shown: float
    map_decode: float
    image_decode: float
    palette: float


@dataclass(frozen=True)
class Run:
    """One cold run: peak bytes while it samples; requests to load models and models moved, before the first UNet call
    and after it."""

    peak: int
    requests: tuple[int, int]
    moves: tuple[int, int]


def judged(value: float, most: float) -> str:
    return f"at most {most:g}: {'met' if value <= most else 'missed'}"


def step_rows(times: Times, sizes: Sizes) -> Iterator[Row]:
    def row(what: str, seconds: float, whole: float = 0.0, of: str = "", goal: float | None = None) -> Row:
        ratio = seconds / whole if whole else 0.0
        share = f", {ratio:.3f} x {of}" if whole else ""
        return what, shown_seconds(seconds) + share, "" if goal is None else judged(ratio, goal)

    steps = times.factor + times.control
    parts = steps + times.map_decode
    yield row(f"plain KSampler step, {sizes.map} px", times.plain)
    yield row(f"factor step, {sizes.map} px", times.factor, times.plain, "plain", FACTOR_GOAL)
    yield row(f"KSampler step with a ControlNet, {sizes.image} px", times.control)
    yield row("factor step + step with the ControlNet", steps)
    yield row(f"VAE decode, {sizes.map} px", times.map_decode)
    yield row("joint step, map not shown anew", times.unshown, steps, "the sum of its steps", JOINT_GOAL)
    yield row("joint step, map decoded and shown anew", times.shown, parts, "the sum with that decode", JOINT_GOAL)
    yield row(f"VAE decode, {sizes.image} px", times.image_decode)
    yield row(f"palette decode, 183 colours, {sizes.palette} px", times.palette)


def memory_rows(alone: Run, joint: Run) -> Iterator[Row]:
    def amount(run: Run) -> str:
        return f"{run.peak / 2**20:.0f} MiB"

    kind = "GPU memory" if GPU else "memory of the process"
    ratio = joint.peak / alone.peak
    yield f"peak {kind}, KSampler with the ControlNet", amount(alone), ""
    yield f"peak {kind}, joint run", f"{amount(joint)}, {ratio:.3f} x that", judged(ratio, MEMORY_GOAL)
    for name, run in (("KSampler with the ControlNet", alone), ("joint run", joint)):
        for moment, requests, moved in zip(("before the first UNet call", "after it"), run.requests, run.moves):
            goal = "" if moment.startswith("before") else judged(moved, 0)
            yield f"{name}, {moment}: loads asked for / models moved", f"{requests} / {moved}", goal


def shown_seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


class Bench:
    """The models of one process, and ways to sample with them."""

    def __init__(self, host: InProcessHost, sizes: Sizes) -> None:
        self.host, self.sizes = host, sizes
        self.graphs, self.joint = (host.engine(f"comfyui_fgdm.host.graph.{name}") for name in ("variables", "joint"))
        self.model, clip, self.vae = host.call("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
        self.net = host.call("ControlNetLoader", control_net_name=CONTROLNET)[0]
        self.positive, self.negative = (
            host.call("CLIPTextEncode", clip=clip, text=text)[0] for text in ("a dog and a bicycle under a tree", "")
        )
        self.euler = host.call("KSamplerSelect", sampler_name="euler")[0]
        self.picture = torch.rand(1, sizes.map, sizes.map, 3, generator=torch.Generator().manual_seed(0))

    @cached_property
    def factor(self) -> Any:
        """Read when it is asked for: a run without it is measured without its memory."""
        return self.host.call("FGDM_LoadFactor", factor_name=FACTOR)[0]

    def latent(self, side: int) -> dict[str, torch.Tensor]:
        return {"samples": torch.zeros(1, 4, side // 8, side // 8)}

    def sigmas(self, steps: int) -> torch.Tensor:
        return self.host.call("BasicScheduler", model=self.model, scheduler="normal", steps=steps, denoise=1.0)[0]

    def run(self, guider: Any, noise: Any, latent: Any, steps: int = STEPS, callback: Callable | None = None) -> None:
        with torch.inference_mode():
            guider.sample(noise, latent, self.euler, self.sigmas(steps), callback=callback, disable_pbar=True, seed=0)

    def alone(self, model: Any, side: int, control: bool = False) -> Callable[..., None]:
        """A run of core's own guider, as KSampler makes one."""
        import comfy.sample
        import comfy.samplers

        positive, negative = self.positive, self.negative
        if control:
            positive, negative = self.host.call(
                "ControlNetApplyAdvanced", positive=positive, negative=negative, control_net=self.net,
                image=self.picture, strength=1.0, start_percent=0.0, end_percent=1.0,
            )  # fmt: skip
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(CFG)
        latent = self.latent(side)["samples"]
        noise = comfy.sample.prepare_noise(latent, 0)
        return lambda **options: self.run(guider, noise, latent, **options)

    def jointly(self, model: Any, refresh: int) -> Callable[..., None]:
        """A run of map and image, the image with the ControlNet on the map."""
        graphs = self.graphs
        common = {"model": model, "positive": self.positive, "negative": self.negative, "cfg": CFG, "seed": 0}
        map_latent, image_latent = self.latent(self.sizes.map), self.latent(self.sizes.image)
        control = graphs.Control(self.net, "segmentation")
        graph = graphs.Graph().add(graphs.Sampled("segmentation", latent=map_latent, factor=self.factor, **common))
        graph = graph.add(graphs.Sampled("image", latent=image_latent, controls=(control,), **common))
        settings = self.joint.GraphSettings(refresh=refresh)
        guider = self.joint.make_guider(graph, self.vae, self.joint.Mode.JOINT, settings)
        start = graphs.start_latent(graph)
        noise = graphs.GraphNoise(graph).generate_noise(start)
        return lambda **options: self.run(guider, noise, start["samples"], **options)

    def with_factor(self) -> Any:
        return self.host.call(
            "FGDM_ApplyFactor", model=self.model, factor=self.factor, strength=1.0, start_percent=0.0, end_percent=1.0
        )[0]

    def decode(self, side: int) -> None:
        self.host.call("VAEDecode", samples=self.latent(side), vae=self.vae)


def step_times(run: Callable[..., None]) -> list[float]:
    """Seconds of the second and later steps of a run."""
    ends: list[float] = []
    run(callback=lambda *_: ends.append(now()))
    return [end - start for start, end in zip(ends, ends[1:])]


def now() -> float:
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(work: Callable[[], object]) -> float:
    start = now()
    work()
    return now() - start


def measure_times(bench: Bench, repeats: int) -> Times:
    """Each way in turn, ``repeats`` times over."""
    palettes = bench.host.engine("comfyui_fgdm.maps.palettes")
    sizes = bench.sizes
    labels = torch.randint(0, 183, (1, sizes.palette // 16, sizes.palette // 16))
    clean = palettes.encode(labels.repeat_interleave(16, 1).repeat_interleave(16, 2))
    noisy = (clean + 0.02 * torch.randn(clean.shape)).clamp(0, 1)
    plain, factored = bench.alone(bench.model, sizes.map), bench.alone(bench.with_factor(), sizes.map)
    control, joint = bench.alone(bench.model, sizes.image, control=True), bench.jointly(bench.model, refresh=2)
    found: dict[str, list[float]] = {name: [] for name in Times.__dataclass_fields__}
    for repeat in range(repeats):
        found["plain"] += step_times(plain)
        found["factor"] += step_times(factored)
        found["control"] += step_times(control)
        # Shown at the steps 0 and 2 of three, not at step 1.
        unshown, shown = step_times(joint)
        found["unshown"].append(unshown)
        found["shown"].append(shown)
        found["map_decode"].append(seconds_of(lambda: bench.decode(sizes.map)))
        found["palette"].append(seconds_of(lambda: palettes.decode(noisy, palettes.COCO)))
        print(f"bench: round {repeat + 1} of {repeats} is done", file=sys.stderr, flush=True)
    found["image_decode"].append(seconds_of(lambda: bench.decode(sizes.image)))
    return Times(**{name: statistics.median(seconds) for name, seconds in found.items()})


class LoadCount:
    """Counts what the host is asked to load, and what that changes, until and after the first call of a UNet."""

    def __init__(self, model: Any) -> None:
        import comfy.model_management

        self.management = comfy.model_management
        self.management.unload_all_models()
        self.started = False
        self.requests, self.moves = [0, 0], [0, 0]
        self.model = model.clone()
        self.model.add_wrapper_with_key("diffusion_model", "bench", self._call)
        self._load = self.management.load_models_gpu
        self.management.load_models_gpu = self._counted

    def _call(self, executor: Any, *arguments: Any, **options: Any) -> Any:
        self.started = True
        return executor(*arguments, **options)

    def _counted(self, *arguments: Any, **options: Any) -> Any:
        before = self._held()
        out = self._load(*arguments, **options)
        after = self._held()
        self.requests[self.started] += 1
        self.moves[self.started] += sum(before.get(key) != after.get(key) for key in before | after)
        return out

    def _held(self) -> dict[int, tuple[str, int]]:
        """Where each loaded model is, and how many bytes of it."""
        held = [entry.model for entry in self.management.current_loaded_models if entry.model is not None]
        return {id(one.model): (str(one.current_loaded_device()), one.loaded_size()) for one in held}


def reset_peak() -> None:
    """From here on the peak counts, where the system can forget the one before."""
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    if GPU:
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def measure_run(bench: Bench, way: str) -> Run:
    """A cold run of two steps in this process. Checkpoint, its own autoencoder and text encoder, ControlNet and (for a joint
    run) factor are read, and the prompts encoded, before the peak counts; on the CPU they all stay in memory."""
    count = LoadCount(bench.model)
    side = bench.sizes.image
    run = bench.jointly(count.model, 1) if way == "joint" else bench.alone(count.model, side, control=True)
    reset_peak()
    run(steps=2)
    return Run(peak(), (count.requests[0], count.requests[1]), (count.moves[0], count.moves[1]))


def cold_run(way: str, base: Path, sizes: Sizes) -> Run:
    command = [sys.executable, "-m", "tools.bench_sd15", "--cold", way, "--base", str(base)]
    command += ["--size", str(sizes.image), "--map-size", str(sizes.map)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def write_models(host: InProcessHost) -> None:
    nets, adapter = (host.engine(f"comfyui_fgdm.factors.{name}") for name in ("networks", "files"))
    models = host.base / "models"
    random_sd15.write(models / "checkpoints" / CHECKPOINT, random_sd15.checkpoint_shapes(), seed=1)
    random_sd15.write(models / "controlnet" / CONTROLNET, random_sd15.controlnet_shapes(), seed=2)
    shapes = nets.official(nets.AdapterKind.PLAIN).shapes()
    random_sd15.write(models / "fgdm_factors" / FACTOR, {adapter.PREFIX + k: v for k, v in shapes.items()}, seed=3)
    host.folder_paths.filename_list_cache.clear()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench_sd15", description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="side of the image (pixels)")
    parser.add_argument("--map-size", type=int, default=256, help="side of the map (pixels)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small pictures, one round: to see that it works")
    parser.add_argument("--cold", choices=["ksampler", "joint"], help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = Sizes(128, 64, 256) if options.quick else Sizes(options.size, options.map_size, 1024)
    if any(side < 64 or side % 64 for side in (sizes.image, sizes.map)) or options.repeats < 1:
        parser.error("--size and --map-size are multiples of 64, --repeats is at least 1")
    if options.cold:
        bench = Bench(boot(options.base, cpu=not GPU), sizes)
        print(json.dumps(asdict(measure_run(bench, options.cold))))
        return 0
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as base:
        host = boot(Path(base), cpu=not GPU)
        write_models(host)
        table = Table("what", "measured", "goal", about=f"; {torch.cuda.get_device_name() if GPU else 'no GPU'}")
        for row in memory_rows(*(cold_run(way, Path(base), sizes) for way in ("ksampler", "joint"))):
            table.add(*row)
        for row in step_rows(measure_times(Bench(host, sizes), 1 if options.quick else options.repeats), sizes):
            table.add(*row)
    table.write(OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
