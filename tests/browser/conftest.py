"""Headless Chromium on a live server, once with each of the front end's two renderers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import chromium
from tools.server import CACHE, Server, make_base

RENDERERS = {"classic": False, "nodes2": True}
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = CACHE / "browser"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium.find()
    if path is None:
        pytest.skip(f"browser tests need Chromium: {chromium.why_missing()}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session", params=list(RENDERERS))
def renderer_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose front end uses one renderer; `server.renderer` is its name."""
    settings = {"Comfy.VueNodes.Enabled": RENDERERS[request.param], "Comfy.NodeBadge.NodeSourceBadgeMode": "None"}
    base = make_base(tmp_path_factory.mktemp(f"browser_{request.param}"), settings=settings)
    with Server(base) as server:
        server.renderer = request.param
        yield server


@pytest.fixture
def page(browser: Any, renderer_server: Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The front end, ready, with an empty graph. A picture of its last state is kept in .cache/browser."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(renderer_server.url)
    tab.wait_for_function("() => window.app && window.app.graph && window.app.canvas")
    tab.wait_for_function("() => window.app.extensionManager && !window.app.extensionManager.spinner")
    tab.wait_for_function("() => window.LiteGraph.registered_node_types['FGDM_SampleMaps']")
    tab.wait_for_function("() => window.app.vueAppReady === true")
    yield tab
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=str(Path(SCREENSHOTS) / f"{request.node.name}.png"))
    context.close()
