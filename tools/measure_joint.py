"""`make eval-joint`: joint against sequential sampling of map and picture, on held-out prompts of the embedded family.

For each prompt the same seeds are run sequentially, and jointly with the map shown to the image factor every 1, 2 and 5
steps; the map is shown clean, or as drawn. Maps are scored by what they show, pictures by the judge; nothing is selected.
Writes runs/joint.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tools.inprocess import boot, embedded
from tools.server import CACHE, ROOT

SIZE = 128
REFRESH = (1, 2, 5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "joint.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="joint-", dir=CACHE) as base:
        host = boot(Path(base))
        with torch.inference_mode():
            rows = measure(host, options.prompts)
    from comfyui_fgdm.iconworld.measure.measuring import interval

    report: dict[str, dict] = {"prompts": {"count": len(rows["sequential"])}}
    for name, figures in rows.items():
        table = np.array(figures)
        report[name] = {
            key: interval(table[:, column])
            for column, key in enumerate(("map recall", "image recall", "map kept in the image", "seconds"))
        }
        if name != "sequential":
            less = table - np.array(rows["sequential"])
            report[name]["image recall, minus sequential"] = interval(less[:, 1])
            report[name]["map kept, minus sequential"] = interval(less[:, 2])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    return 0


def measure(host, count: int) -> dict[str, list[list[float]]]:
    """Per way of sampling and prompt: map recall, image recall by the judge, share of the map kept, seconds."""
    from comfyui_fgdm.iconworld.family import export, judge
    from comfyui_fgdm.iconworld.measure import evaluate, measuring
    from comfyui_fgdm.objects import recall

    graphs, joint = host.engine("comfyui_fgdm.host.graph.variables"), host.engine("comfyui_fgdm.host.graph.joint")
    mode = host.engine("comfyui_fgdm.sampling.graph").Mode
    files = export.files()
    family = embedded(host)
    model, clip, vae, factor, net = family.model, family.clip, family.vae, family.factor, family.net
    sampler = host.call("KSamplerSelect", sampler_name="ddim")[0]
    sigmas = host.call("BasicScheduler", model=model, scheduler="sgm_uniform", steps=measuring.MAP_STEPS, denoise=1.0)[
        0
    ]
    read = judge.load(files.reader("judge"))
    empty = host.call("CLIPTextEncode", clip=clip, text="")[0]
    latent = host.call("EmptyLatentImage", width=SIZE, height=SIZE, batch_size=1)[0]
    shown = host.engine("comfyui_fgdm.maps.conversion").Shown
    ways = {
        "sequential": (mode.SEQUENTIAL, 1, shown.CLEAN),
        "sequential, as drawn": (mode.SEQUENTIAL, 1, shown.AS_DRAWN),
    }
    ways |= {f"joint, shown every {n} steps": (mode.JOINT, n, shown.CLEAN) for n in REFRESH}
    ways["joint, as drawn"] = (mode.JOINT, 1, shown.AS_DRAWN)
    rows: dict[str, list[list[float]]] = {name: [] for name in ways}
    for number, prompt in enumerate(evaluate.prompts(count)):
        positive = host.call("CLIPTextEncode", clip=clip, text=prompt.text)[0]
        common = {"model": model, "positive": positive, "negative": empty, "latent": latent, "seed": prompt.seed}
        first = graphs.Graph().add(graphs.Sampled("segmentation", cfg=measuring.MAP_CFG, factor=factor, **common))
        for name, (way, refresh, colours) in ways.items():
            control = graphs.Control(net, "segmentation", shown=colours)
            graph = first.add(graphs.Sampled("image", cfg=measuring.IMAGE_CFG, controls=(control,), **common))
            start = time.perf_counter()
            guider = joint.make_guider(graph, vae, way, joint.GraphSettings(refresh=refresh))
            out = host.call(
                "SamplerCustomAdvanced", noise=graphs.GraphNoise(graph), guider=guider, sampler=sampler, sigmas=sigmas,
                latent_image=graphs.start_latent(graph),
            )[0]  # fmt: skip
            seconds = time.perf_counter() - start
            pictures = [vae.decode(graphs.result(out, graph, which)["samples"]) for which in ("segmentation", "image")]
            labels = factor.reader.read(pictures[0].float())
            seen = read((pictures[1] * 255).round() / 255)
            scores = [float(recall.score(found, prompt.query).recall[0]) for found in (labels, seen)]
            rows[name].append([*scores, float((labels == seen).float().mean()), seconds])
        print(f"joint: prompt {number + 1} of {count}", flush=True)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
