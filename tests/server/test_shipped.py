"""What the server offers of the pack: workflows that run, templates, help pages, translations."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tools.client import Prompt
from tools.server import PACK_FOLDER, Server
from tools.workflow import runs_as_shipped, saved

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(file.stem for file in (ROOT / "workflows" / "api").glob("*.json") if runs_as_shipped(file.stem))


def posted() -> list[str]:
    """The main workflow, and those that train: the browser's tests post every one, but train for a few steps only."""
    training = [
        name for name in WORKFLOWS if "FGDM_Train" in (ROOT / "workflows" / "api" / f"{name}.json").read_text("utf-8")
    ]
    assert training
    return ["fgdm_best_of_10", *training]


@pytest.mark.parametrize("name", posted())
def test_an_api_workflow_of_embedded_models_runs_as_shipped(
    live_server: Server, api_workflow: Callable[[str], Prompt], name: str
) -> None:
    prompt = api_workflow(name)
    run = live_server.client.run(prompt)
    pictures = saved(live_server.client, run, prompt)
    for files in pictures.values():
        assert files
        for data in files:
            with Image.open(io.BytesIO(data)) as picture:
                low, high = picture.convert("L").getextrema()
                assert high > low, "a picture of one colour"
    # While maps appear, their progress is reported.
    assert run.data("progress") or run.data("progress_state")


def test_templates_are_offered(live_server: Server) -> None:
    offered = live_server.client.get("/api/workflow_templates")[PACK_FOLDER]
    assert sorted(offered) == sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))
    for name in offered:
        place = f"/api/workflow_templates/{PACK_FOLDER}/{quote(name)}"
        served = live_server.client.get(f"{place}.json")
        assert served == json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))
        thumbnail = live_server.client.get_bytes(f"{place}.jpg")
        assert thumbnail == (ROOT / "workflows" / f"{name}.jpg").read_bytes()


def test_help_pages_are_served(live_server: Server) -> None:
    ours = [node_id for node_id in live_server.client.object_info() if node_id.startswith("FGDM_")]
    assert ours
    for node_id in ours:
        page = live_server.client.get_bytes(f"/extensions/{PACK_FOLDER}/docs/{node_id}.md")
        assert page == (ROOT / "web" / "docs" / f"{node_id}.md").read_bytes()


def test_translations_are_served(live_server: Server) -> None:
    served = live_server.client.get("/i18n")
    languages = [folder.name for folder in (ROOT / "locales").iterdir()]
    assert {"en", "zh"} <= set(languages)
    for language in languages:
        ours = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text("utf-8"))
        assert {key: served[language]["nodeDefs"][key] for key in ours} == ours


def test_embedded_models_are_listed(live_server: Server) -> None:
    def options(node_id: str, name: str) -> list[str]:
        kind = live_server.client.object_info(node_id)[node_id]["input"]["required"][name]
        return kind[0] if isinstance(kind[0], list) else kind[1]["options"]

    assert options("FGDM_LoadEmbedded", "model_name")[0] == "fgdm-iconworld.safetensors"
    assert options("FGDM_LoadEmbeddedImageFactor", "image_factor_name")[0] == "fgdm-iconworld-image.safetensors"
    for core in (options("CheckpointLoaderSimple", "ckpt_name"), options("ControlNetLoader", "control_net_name")):
        assert not [name for name in core if "iconworld" in name], "lists of core are the user's"
    assert "fgdm-iconworld-segmentation.safetensors" in options("FGDM_LoadFactor", "factor_name")
    # The host lists every file of an unknown kind of folder: no read-me or checksum may show up as a factor.
    assert all(name.endswith(".safetensors") for name in options("FGDM_LoadFactor", "factor_name"))
