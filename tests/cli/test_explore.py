"""`convscope explore`: the server as a user starts and ends it, and the page as a file."""

import json
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
from urllib.parse import urlsplit

import pytest
from PIL import Image

Command = Callable[..., Any]


@contextmanager
def exploring(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the address that it prints."""
    command = [sys.executable, "-m", "convscope.cli.main", "explore", *map(str, arguments), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), process.stderr and process.stderr.read()
            yield process, address
        finally:
            process.kill()


def fetch(address: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def test_the_page_is_served_until_ctrl_c(run_path: Path) -> None:  # R-F1
    with exploring("first", "--port", 0) as (process, address):
        assert b"Convscope" in fetch(address)
        runs = json.loads(fetch(f"{address}api/runs"))["runs"]
        assert [run["name"] for run in runs] == ["first"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")


def test_ctrl_c_ends_it_while_it_still_loads(run_path: Path) -> None:
    with exploring(run_path, "--port", 0) as (process, address):
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port)) as waiting:
            waiting.sendall(b"GET /api/runs HTTP/1.1\r\nHost: " + place.netloc.encode() + b"\r\n\r\n")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")


def test_a_run_without_its_data_is_explored_all_the_same(run_path: Path) -> None:
    config = run_path / "config.yaml"
    config.write_text(re.sub("data: .*", "data: gone", config.read_text()))
    with exploring("first", "--port", 0) as (process, address):
        assert json.loads(fetch(f"{address}api/runs"))["splits"] == {"test": 0, "train": 0}
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert err.startswith("convscope: warning: only images of your own") and err.count("\n") == 1


def test_mistakes(refused: Callable[..., str], run_path: Path) -> None:
    assert "name at least one run" in refused("explore")
    assert "there is no run 'second'" in refused("explore", "second")
    assert "port 70000 is impossible" in refused("explore", "first", "--port", 70000)
    assert "--export" in refused("explore", "first", "--images", "test/3")
    assert "no image nothing.png" in refused("explore", "first", "--export", "page.html", "--images", "nothing.png")
    assert "no image test/5000" in refused("explore", "first", "--export", "page.html", "--images", "test/5000")
    (run_path / "no.png").write_text("no image")
    assert "is no image" in refused("explore", "first", "--export", "page.html", "--images", run_path / "no.png")
    assert "same name" in refused("explore", "first", run_path, "--export", "page.html")


def test_a_taken_port_is_told(refused: Callable[..., str], run_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in refused("explore", "first", "--port", port, "--no-browser")


def test_a_run_without_weights_is_told(command: Command, run_path: Path) -> None:
    (run_path / "checkpoints" / "best.safetensors").unlink()
    outcome = command("explore", "first", "--port", 0, "--no-browser")
    assert outcome.status == 2 and "train the run first" in outcome.sentence


def test_the_page_as_a_file(command: Command, run_path: Path, place: Path) -> None:
    Image.new("L", (40, 30), 40).save(place / "grey.png")
    outcome = command("explore", "first", "--export", "page.html", "--images", "test/3", "grey.png")
    assert outcome.status == 0, outcome
    assert outcome.out.startswith("page.html, ") and "with 2 images" in outcome.out
    page = (place / "page.html").read_text(encoding="utf-8")
    assert "api/overview?epoch=best&image=test%2F3&run=first" in page
    assert len(set(re.findall(r"image=upload%2F[0-9a-f]{16}", page))) == 1


def test_the_browser_is_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, command: Command, run_path: Path
) -> None:
    from convscope.cli import explore

    opened: list[str] = []

    def open_browser(address: str) -> None:
        opened.append(address)
        raise KeyboardInterrupt

    monkeypatch.setattr(explore.webbrowser, "open", open_browser)
    monkeypatch.setattr(explore, "_has_screen", lambda: True)
    assert command("explore", "first", "--port", 0).status == 0
    assert len(opened) == 1 and opened[0].startswith("http://127.0.0.1:")
