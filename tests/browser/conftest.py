"""Headless Chromium on the shared server: one browser, and one page for each of the front end's two renderers."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tools import chromium, editor_page, frontend
from tools.server import CACHE, Server

SCREENSHOTS = CACHE / "browser"
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if chromium.find() is None:
        pytest.skip(f"browser tests need Chromium: {chromium.why_missing()}")
    with frontend.browser() as started:
        yield started


@pytest.fixture(scope="session", params=list(frontend.RENDERERS))
def renderer(request: pytest.FixtureRequest) -> str:
    """Name of the renderer that draws `page`. Tests are grouped by it, so that each page is opened once."""
    return request.param


@pytest.fixture(scope="session")
def renderer_page(browser: Any, live_server: Server, renderer: str) -> Iterator[Any]:
    with frontend.page(browser, live_server, renderer) as tab:
        yield tab


@pytest.fixture
def page(renderer_page: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The front end with an empty graph. A picture of its last state is kept in .cache/browser if the test fails."""
    renderer_page.evaluate("async () => { app.graph.clear() }")
    yield renderer_page
    if not request.node.stash.get(FAILED, False):
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    renderer_page.screenshot(path=str(SCREENSHOTS / f"{request.node.name}.png"))


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    """A page with nothing in it, in which the map editor is opened by itself; `problems` are errors in it."""
    with editor_page.serve() as url:
        context = browser.new_context(viewport={"width": 1400, "height": 900}, has_touch=True)
        tab = context.new_page()
        tab.set_default_timeout(30_000)
        tab.problems = []
        tab.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.goto(f"{url}/editor/")
        yield tab
        context.close()
