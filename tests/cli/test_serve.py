"""`convscope serve`: started, asked and ended as a user does it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Command = Callable[..., Any]


@contextmanager
def served(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own once it is ready, and the address that it prints."""
    command = [sys.executable, "-m", "convscope.cli.main", "serve", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://[\d.]+:\d+/", address), process.stderr and process.stderr.read()
            assert process.stdout.readline() == "\n"
            assert "first answers: linear on pytorch-float32; Ctrl-C ends it" in process.stdout.readline()
            yield process, address
        finally:
            process.kill()


def fetch(address: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(address, body, {"Content-Type": "image/png"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def test_it_answers_until_it_is_ended(run_path: Path, place: Path, command: Command) -> None:
    # R-F1
    Image.effect_mandelbrot((28, 28), (-2, -1, 1, 1), 50).save(place / "image.png")
    with served("first", "--port", 0, "--engine", "pytorch-float32") as (process, address):
        assert fetch(f"{address}ready") == {"status": "ready"}
        (prediction,) = fetch(f"{address}predict?top_k=3", (place / "image.png").read_bytes())["predictions"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out == "what was asked is still answered; Ctrl-C again ends it at once\n"
    said = json.loads(command("predict", "first", "image.png", "--top-k", 3, "--json").out)["predictions"][0]
    assert [row["name"] for row in prediction["classes"]] == [name for name, _ in said["classes"]]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such address to listen at")
def test_who_lets_others_in_is_warned(run_path: Path) -> None:
    with served("first", "--port", 0, "--host", "0.0.0.0") as (process, address):
        assert process.stdout is not None
        assert "`convscope bench inference first`" in process.stdout.readline()  # nobody has measured it yet
        # Any name may lead to it now.
        request = urllib.request.Request(f"{address}health", headers={"Host": "server.example"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert err.startswith("convscope: warning: whoever reaches 0.0.0.0") and "no password" in err
        assert err.count("\n") == 1


def test_mistakes(refused: Callable[..., str], run_path: Path) -> None:
    assert "there is no run 'second'" in refused("serve", "second")
    assert "port 70000 is impossible" in refused("serve", "first", "--port", 70000)
    assert "max-batch is 0" in refused("serve", "first", "--max-batch", 0)
    assert "queue is 0" in refused("serve", "first", "--queue", 0)
    assert "wait-ms is -1" in refused("serve", "first", "--wait-ms", -1)
    assert "no address" in refused("serve", "first", "--host", "203.0.113.7")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in refused("serve", "first", "--port", port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--engine", "coal"), "unknown engine 'coal'"), (("--device", "toaster"), "there is no device 'toaster'")],
)
def test_what_is_found_out_while_it_loads(
    command: Command, run_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = command("serve", "first", "--port", 0, *arguments)
    assert outcome.status == 2 and words in outcome.sentence
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_run_without_weights_is_told(command: Command, run_path: Path) -> None:
    (run_path / "checkpoints" / "best.safetensors").unlink()
    outcome = command("serve", "first", "--port", 0)
    assert outcome.status == 2 and "train the run first" in outcome.sentence
