"""How long one waits at the explorer: for the page, and for a network's answer to a new image.

    python benchmarks/explorer.py            writes results/explorer.csv beside this file
    python benchmarks/explorer.py --quick    the small network on one thread; only prints

The server is the command, in a process of its own. Measured is what a browser waits for: from the start of the command
to the first byte of the page and to the first answer about the run, and from a question for all layers of an image not
seen before to the last byte of the answer; then, in Chromium, from opening the page to its first paint and to the
network with all its maps, and from a click on "next image" to the maps of that one. The networks are as they were
drawn, for training changes no time.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from convscope.runs import Run
from convscope.training.environment import environment
from figures import HERE, Figure, describe, print_figures, write_figures
from untrained import make_run

RESULTS = HERE / "results" / "explorer.csv"
CASES = {"tinyvgg": (1, 28, 0.3), "vgg16": (3, 224, 3.0)}
"""Networks with their channels, input size, and the seconds within which they are to answer."""
PAGE_SECONDS = 1.0

# The maps are there, and the browser has painted them.
_DRAWN = """async () => {
  const network = document.querySelector("#main-side .network");
  const frame = () => new Promise(requestAnimationFrame);
  while (network.ariaBusy === "true" || !network.querySelector("canvas")) await frame();
  await frame();
  await frame();
}"""
_NEXT = f"""async () => {{
  const before = performance.now();
  document.querySelector("#image button[aria-label='The next image']").click();
  await ({_DRAWN})();
  return (performance.now() - before) / 1000;
}}"""
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the small network on one thread, nothing written")
    parser.add_argument("--rounds", type=int, default=5, help="starts of the server, and images (default: 5)")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        for model in list(CASES)[:1] if options.quick else CASES:
            channels, size, _ = CASES[model]
            run = make_run(Path(directory), model, channels=channels, size=size)
            for threads in (1,) if options.quick else (1, 2):
                measured = measure_run(run, threads=threads, rounds=options.rounds)
                print_figures(measured)
                figures += measured
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()))
        print(f"written: {RESULTS}")


def measure_run(run: Run, *, threads: int, rounds: int) -> list[Figure]:
    """What one waits for, over so many rounds."""
    pages, firsts, overviews, paints, networks, images = [], [], [], [], [], []
    for _ in range(rounds):
        with serving(run, threads) as (address, started):
            ask(address)
            pages.append(time.perf_counter() - started)
            ask(f"{address}api/runs")
            firsts.append(time.perf_counter() - started)
            if len(pages) == rounds:
                overviews = [overview_seconds(address, run, image) for image in range(rounds + 1)]
                with opened() as page:
                    for number in range(rounds):
                        before = time.perf_counter()
                        page.goto(f"{address}#image=test%2F{100 + 2 * number}")  # not asked about before
                        page.evaluate(_DRAWN)
                        networks.append(time.perf_counter() - before)
                        paints.append(page.evaluate(_FIRST_PAINT))
                        images.append(page.evaluate(_NEXT))
                        page.goto("about:blank")
    engine = f"{run.name}, {threads} thread{'s' if threads > 1 else ''}"
    target = CASES[run.name][2]
    page_target = f"at most {PAGE_SECONDS:g}" if run.name == "tinyvgg" else ""
    return [
        Figure.over(pages, "start to page", engine, "s", page_target),
        Figure.over(firsts, "start to first answer", engine, "s"),
        # The first question also imports and warms up what the others find ready.
        Figure.over(overviews[:1], "all layers of the first image", engine, "s"),
        Figure.over(overviews[1:], "all layers of a new image", engine, "s", f"at most {target:g}"),
        Figure.over(paints, "in the browser, first paint", engine, "s", page_target),
        Figure.over(networks, "in the browser, the network with its maps", engine, "s", page_target),
        Figure.over(images, "in the browser, a new image", engine, "s", f"at most {target:g}"),
    ]


@contextmanager
def opened() -> Iterator[Page]:
    """A page of Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


@contextmanager
def serving(run: Run, threads: int) -> Iterator[tuple[str, float]]:
    """The command as a process; its address, and when it was started."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "convscope.cli.main", "explore", str(run.path), "--port", str(port)]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--no-browser"],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}/", started
        finally:
            process.terminate()


def overview_seconds(address: str, run: Run, image: int) -> float:
    """From the question to the last byte of the answer."""
    started = time.perf_counter()
    answer = json.loads(ask(f"{address}api/overview?epoch=best&image=test%2F{image}&run={run.name}"))
    assert len(answer["layers"]) > 10
    return time.perf_counter() - started


def ask(address: str) -> bytes:
    """The answer, as soon as there is a server."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of another machine
    while True:
        try:
            with opener.open(address, timeout=120) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.005)


if __name__ == "__main__":
    main()
