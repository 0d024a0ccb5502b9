"""`make demo`: a prompt becomes maps, the best map and an image, through the shipped workflow on a real server.

Writes demo_output/{maps/*.png, scores.json, chart.png, best_map.png, image.png, contact_sheet.png}.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import host_source
from tools.client import Event, Prompt, RequestError, Run
from tools.server import CACHE, ROOT, Server, ServerError, port_is_free
from tools.workflow import node_id, node_ids, set_text, text_of, upstream

if TYPE_CHECKING:
    import torch

    from comfyui_fgdm.objects.words import ObjectQuery

WORKFLOW = ROOT / "workflows" / "api" / "fgdm_best_of_10.json"
WEIGHTS = ROOT / "comfyui_fgdm" / "data" / "weights"
FACTOR = WEIGHTS / "fgdm_factors" / "fgdm-iconworld-segmentation.safetensors"
JUDGE = WEIGHTS / "judge" / "fgdm-iconworld-judge.safetensors"
OUTPUT = ROOT / "demo_output"
MAX_COUNT = 64  # of Sample Maps
STAGES = {
    "FGDM_LoadEmbedded": "loading the models",
    "FGDM_SampleMaps": "sampling maps",
    "KSampler": "sampling the image from the best map",
}


class DemoError(RuntimeError):
    """Worded for the person at the terminal."""


@dataclass(frozen=True)
class Request:
    """What the demo was asked for; None leaves what the workflow says."""

    text: str | None = None
    seed: int | None = None
    count: int | None = None
    port: int | None = None


@dataclass(frozen=True)
class Captured:
    """Node ids of a prepared prompt whose outputs the demo collects."""

    best: str
    maps: str
    chart: str
    scores: str
    image: str


def read_request(argv: list[str], environment: dict[str, str]) -> Request:
    """Command line, then FGDM_DEMO_PROMPT, _SEED, _COUNT and _PORT (an empty number is none).

    Raises DemoError for what cannot be run.
    """
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--prompt", default=environment.get("FGDM_DEMO_PROMPT"))
    parser.add_argument("--seed", help=f"0 to {2**64 - 1}")
    parser.add_argument("--count", help=f"number of maps, 1 to {MAX_COUNT}")
    parser.add_argument("--port", help="a free port on 127.0.0.1; without it any")
    given = parser.parse_args(argv)
    if given.prompt is not None and not given.prompt.strip():
        raise DemoError('the prompt is empty; write for example: make demo PROMPT="a dog and a bicycle under a tree"')

    def number(name: str, least: int, most: int, hint: str) -> int | None:
        behind = getattr(given, name)
        word = environment.get(f"FGDM_DEMO_{name.upper()}", "") if behind is None else behind
        if not word.strip():
            return None
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,30}\s*", word):
            raise DemoError(f"{name.upper()}={word} is no whole number; {hint}")
        if not least <= int(word) <= most:
            raise DemoError(f"{name.upper()}={word} is out of range; {hint}")
        return int(word)

    seed = number("seed", 0, 2**64 - 1, f"write 0 to {2**64 - 1}")
    count = number("count", 1, MAX_COUNT, f"write 1 to {MAX_COUNT} maps")
    port = number("port", 1, 65535, "write 1 to 65535, or leave it out")
    if port is not None and not port_is_free(port):
        raise DemoError(f"port {port} on 127.0.0.1 is in use; name another one, or leave PORT out to get a free one")
    return Request(given.prompt, seed, count, port)


def prepare(prompt: Prompt, request: Request) -> Captured:
    """Put what was asked for into the workflow, and see that every result is saved by some node."""
    sampler = node_id(prompt, "FGDM_SampleMaps")
    if request.text is not None:
        set_text(prompt, request.text)
    if request.seed is not None:
        for key in (sampler, node_id(prompt, "KSampler")):
            prompt[key]["inputs"]["seed"] = request.seed
    if request.count is not None:
        prompt[sampler]["inputs"]["count"] = request.count
    prompt[sampler]["inputs"]["stop_at"] = 0.0  # the demo shows all maps of the count

    def saved(source: str, socket: int) -> str:
        for key in node_ids(prompt, "SaveImage"):
            if prompt[key]["inputs"]["images"] == [source, socket]:
                return key
        name = f"demo_{source}_{socket}"
        inputs = {"images": [source, socket], "filename_prefix": f"fgdm/{name}"}
        prompt[name] = {"class_type": "SaveImage", "inputs": inputs}
        return name

    image_sampler = node_id(prompt, "KSampler")
    images = [key for key in node_ids(prompt, "SaveImage") if image_sampler in upstream(prompt, key)]
    if len(images) != 1:
        raise DemoError(f"the workflow saves {len(images)} images, the demo needs one")
    prompt["demo_scores"] = {"class_type": "PreviewAny", "inputs": {"source": [sampler, 4]}}
    clean = node_id(prompt, "FGDM_DecodeMap")  # the best map in exact colours, which the image is made from
    return Captured(
        best=saved(clean, 0), maps=saved(sampler, 1), chart=saved(sampler, 2), scores="demo_scores", image=images[0]
    )


def objects_of(text: str) -> ObjectQuery:
    """The objects that the embedded factor can draw. Raises DemoError if there is none."""
    from comfyui_fgdm.factors import files
    from comfyui_fgdm.objects import words

    info = files.read_file(FACTOR)[0]
    try:
        return words.restrict(words.parse(text), info.classes)
    except words.ObjectsError as error:
        raise DemoError(str(error)) from None


def fresh_output() -> None:
    """Make demo_output; of an earlier run only what the demo itself writes is removed."""
    shutil.rmtree(OUTPUT / "maps", ignore_errors=True)
    for name in ("scores.json", "chart.png", "best_map.png", "image.png", "contact_sheet.png"):
        (OUTPUT / name).unlink(missing_ok=True)
    (OUTPUT / "maps").mkdir(parents=True)


def run_workflow(server: Server, prompt: Prompt, started: float) -> Run:
    def narrate(event: Event) -> None:
        stage = STAGES.get(prompt.get(event.data.get("node") or "", {}).get("class_type", ""))
        if event.type == "executing" and stage:
            say(f"{stage} ({time.monotonic() - started:.1f} s)")

    try:
        run = server.client.run(prompt, narrate)
    except RequestError as error:
        raise DemoError(f"the server refused the workflow: {refusal(error.body)}") from None
    if run.status != "success":
        raise DemoError(f"the workflow ended with {run.status}: {run.error.get('exception_message', '').strip()}")
    return run


def refusal(body: dict[str, Any]) -> str:
    reasons = [body.get("error", {}).get("message", "")]
    for node in (body.get("node_errors") or {}).values():
        reasons += [f"{node['class_type']}: {error['message']} ({error['details']})" for error in node["errors"]]
    return "; ".join(reasons)


def picture(data: bytes) -> torch.Tensor:
    """An encoded picture as float [H, W, 3] in 0..1."""
    import numpy as np
    import torch
    from PIL import Image

    return torch.from_numpy(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255)


def write_results(server: Server, run: Run, captured: Captured, query: ObjectQuery, title: str) -> str:
    """Write everything to demo_output and return the summary line."""
    from PIL import Image

    from comfyui_fgdm.iconworld.family import judge
    from comfyui_fgdm.maps import palettes
    from comfyui_fgdm.objects import charts, recall

    maps = server.client.images(run, captured.maps)
    (image,) = server.client.images(run, captured.image)
    (best,) = server.client.images(run, captured.best)
    (chart,) = server.client.images(run, captured.chart)
    scores = json.loads(run.outputs[captured.scores]["text"][0])

    seen = judge.load(JUDGE)(picture(image)[None])
    judged = recall.score(seen, query)
    image_recall = float(judged.recall[0])
    scores["image"] = {
        "recall_by_judge": round(image_recall, 6),
        "present": [name for name, yes in zip(query.names, judged.present[0].tolist()) if yes],
    }

    for index, data in enumerate(maps):
        (OUTPUT / "maps" / f"map_{index:02d}.png").write_bytes(data)
    (OUTPUT / "best_map.png").write_bytes(best)
    (OUTPUT / "chart.png").write_bytes(chart)
    (OUTPUT / "image.png").write_bytes(image)
    (OUTPUT / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")

    pictures: list[torch.Tensor] = [picture(data) for data in maps]
    captions = [f"map {entry['index']}: recall {entry['recall']:.2f}" for entry in scores["maps"]]
    pictures += [picture(best), picture(image), palettes.encode(seen[0], palettes.COCO)]
    captions += [f"best map: {scores['best_recall']:.2f}", "image", f"image as judged: {image_recall:.2f}"]
    sheet = charts.contact_sheet(pictures, captions, title=one_line(title))
    Image.fromarray(sheet).save(OUTPUT / "contact_sheet.png")

    return (
        f"map recall best-of-{len(maps)} {scores['best_recall']:.2f} (mean {scores['mean_recall']:.2f}), "
        f"image recall by the judge {image_recall:.2f} -> {(OUTPUT / 'contact_sheet.png').relative_to(ROOT)}"
    )


def one_line(text: str) -> str:
    """A prompt of several lines as the terminal and the contact sheet show it."""
    return " ".join(text.split())


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def demo(argv: list[str]) -> str:
    """Run it all; returns the summary line. Raises DemoError."""
    started = time.monotonic()
    request = read_request(argv, dict(os.environ))
    prompt: Prompt = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    text = request.text or text_of(prompt)
    captured = prepare(prompt, request)
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-", dir=CACHE) as base:
        server = Server(Path(base), port=request.port)
        try:
            say(f"starting ComfyUI {host_source.locate(CACHE).version} at {server.url}")
            server.launch()
            query = objects_of(text)  # imports torch while the server does
            from comfyui_fgdm.objects.query import summary

            say(f"prompt: {one_line(text)}")
            say(summary(query))
            server.wait_ready()
            run = run_workflow(server, prompt, started)
            fresh_output()
            summary = write_results(server, run, captured, query, text)
        finally:
            server.stop()
    say(f"all done in {time.monotonic() - started:.1f} s")
    return summary


def main() -> int:
    try:
        summary = demo(sys.argv[1:])
    except (DemoError, ServerError, host_source.HostError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    say(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
