"""The clients of the load test: they ask as they say, and every answer counts."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from convscope.predict import Predictor
from convscope.runs import Run
from convscope.serving.counts import Counts
from convscope.serving.questions import Limits
from convscope.serving.server import serving
from convscope.serving.service import Service
from convscope.web.server import address_of, listen

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_clients_ask_about_as_many_images_as_they_say(make_run: Callable[..., Run], tmp_path: Path) -> None:
    Image.effect_noise((28, 28), 50).save(tmp_path / "image.png")
    run, limits, counts = make_run("linear"), Limits(), Counts()

    def load() -> Service:
        return Service(run, Predictor.from_run(run, "cpu"), limits=limits, max_batch=8, patience=0.0, counts=counts)

    with listen([0]) as listener, serving(load, listener, limits=limits, counts=counts):
        command = [sys.executable, str(BENCHMARKS / "asking.py"), address_of(listener), "--image", "image.png"]
        options = ["--images", "3", "--clients", "4", "--seconds", "0.2"]
        done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["images_per_second"] > 0 and 0 < said["p50"] <= said["p95"] <= said["p99"]
    text = counts.text(queue=0, facts={})
    requests = next(line for line in text.splitlines() if line.startswith("convscope_requests_total"))
    assert requests.startswith('convscope_requests_total{path="/predict",status="200"}')
    answered = int(requests.rpartition(" ")[2])
    assert f'convscope_images_total{{result="answered"}} {3 * answered}' in text


def test_the_image_is_one_that_servers_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    benchmark = importlib.import_module("serving")
    for photo, size in ((None, (28, 28)), ((50, 40), (50, 40))):
        with Image.open(benchmark.write_image(tmp_path, photo)) as image:
            assert image.size == size
