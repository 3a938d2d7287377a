"""Make the pictures of the explorer in docs/figures: python scripts/picture_explorer.py RUN.

RUN is a trained run of `tinyvgg` on FashionMNIST, for the picture of the arithmetic shows one of its layers. Needs the
test tools (Playwright) and Chromium.
"""

import shutil
import sys
from concurrent.futures import Future
from pathlib import Path

from playwright.sync_api import sync_playwright

from convscope.explorer.explorer import Explorer
from convscope.explorer.server import serving
from convscope.runs import Run

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
VIEWS = {
    "explorer.png": ("image=test/17", "#main-side .network canvas"),
    "explorer-arithmetic.png": ("layer=block1.conv2&channel=3", "dialog canvas"),
}
"""Name, the page's state, and what shows that it is drawn."""


def main(run: Path) -> None:
    explorer: Future[Explorer] = Future()
    explorer.set_result(Explorer.open([Run.open(run)])[0])
    with serving(explorer, 0) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (state, drawn) in VIEWS.items():
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(f"{address}#{state}")
            page.wait_for_selector(drawn)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=FIGURES / name)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
