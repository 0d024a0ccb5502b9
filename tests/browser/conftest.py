"""Headless Chromium on a live server, once with each of the front end's two renderers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import chromium
from tools.server import CACHE, Server

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


@pytest.fixture(params=list(RENDERERS))
def renderer(request: pytest.FixtureRequest, live_server: Server) -> str:
    """Name of the renderer that the front end of `live_server` uses in this test."""
    live_server.client.post("/settings", {"Comfy.VueNodes.Enabled": RENDERERS[request.param]})
    return request.param


@pytest.fixture
def page(browser: Any, live_server: Server, renderer: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The front end, ready, with an empty graph. A picture of its last state is kept in .cache/browser."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(live_server.url)
    tab.wait_for_function("() => window.app && window.app.graph && window.app.canvas")
    tab.wait_for_function("() => window.app.extensionManager && !window.app.extensionManager.spinner")
    tab.wait_for_function("() => window.LiteGraph.registered_node_types['FGDM_SampleMaps']")
    tab.wait_for_function("() => window.app.vueAppReady === true")
    yield tab
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=str(Path(SCREENSHOTS) / f"{request.node.name}.png"))
    context.close()
