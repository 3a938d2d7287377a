"""A real browser, and pages that must not complain."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from convscope.explorer.explorer import Explorer
from convscope.explorer.server import serving
from convscope.runs import Run

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        if "CI" in os.environ:
            pytest.fail("there is no Chromium: apt install chromium")
        pytest.skip("there is no Chromium: apt install chromium")
    with sync_playwright() as playwright:
        # Chromium's sandbox needs what containers do not give; nothing but our own pages is opened.
        # The camera is a test picture.
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        expect.set_options(timeout=20_000)  # milliseconds; a slow machine is no fault of the page
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address in a page of its own; a complaint of the page in its console fails the test in the end.

    `dark`, `width` and `height` are of the screen. What a test provokes on purpose it takes out of `page.complaints`.
    """
    contexts, complaints = [], []

    def run(address: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.complaints = complaints  # type: ignore[attr-defined]
        page.set_default_timeout(20_000)
        page.goto(address)
        return page

    yield run
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def explore() -> Iterator[Callable[..., str]]:
    """Serves the explorer of some runs until the test ends; answers the page's address."""
    with ExitStack() as stack:

        def run(*runs: Run) -> str:
            explorer, trouble = Explorer.open(runs, device="cpu")
            assert trouble is None
            stack.callback(explorer.background.close)
            ready: Future[Explorer] = Future()
            ready.set_result(explorer)
            return stack.enter_context(serving(ready, 0))

        yield run
