"""The fastest way is found once for each machine, whatever happens to the file that keeps it."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from convscope.kernels import choice
from convscope.kernels.build import KERNELS
from convscope.kernels.choice import faster

SCRIPT = """
import sys
from pathlib import Path
from convscope.kernels.build import KERNELS
from convscope.kernels.choice import faster
KERNELS.folder = Path(sys.argv[1])
for index in range(20):
    faster(f"{sys.argv[2]} {index}", {"one": lambda: None, "two": lambda: None})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where choices are kept, and nothing is known."""
    monkeypatch.setitem(KERNELS.__dict__, "folder", tmp_path / "kernels")
    monkeypatch.setattr(choice, "_known", {})
    return tmp_path / "kernels"


@pytest.fixture
def runs() -> Counter[str]:
    return Counter()


@pytest.fixture
def ways(runs: Counter[str]) -> dict[str, Callable[[], object]]:
    def way(name: str, seconds: float) -> Callable[[], object]:
        def run() -> None:
            runs[name] += 1
            time.sleep(seconds)

        return run

    return {"slow": way("slow", 0.02), "fast": way("fast", 0.001), "middling": way("middling", 0.01)}


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_known", {})


def test_measured_once(
    folder: Path, runs: Counter[str], ways: dict[str, Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert faster("a", ways) == "fast"
    assert runs == {"slow": 6, "fast": 6, "middling": 6}
    assert faster("a", ways) == "fast"
    new_process(monkeypatch)
    assert faster("a", ways) == "fast"
    assert runs.total() == 18
    faster("b", ways)
    assert runs.total() == 36
    (file,) = folder.glob("*.json")
    assert json.loads(file.read_text()) == {"a": "fast", "b": "fast"}


def test_another_number_of_threads_is_another_machine(
    folder: Path, runs: Counter[str], ways: dict[str, Callable[[], object]]
) -> None:
    threads = torch.get_num_threads()
    faster("a", ways)
    try:
        torch.set_num_threads(threads + 1)
        faster("a", ways)
    finally:
        torch.set_num_threads(threads)
    assert runs.total() == 36


@pytest.mark.parametrize("content", [b"", b'{"a": "fa', b"[]", b'{"a": 3}', b'{"a": "gone"}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_replaced(
    folder: Path,
    ways: dict[str, Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    faster("b", ways)
    (file,) = folder.glob("*.json")
    file.write_bytes(content)
    new_process(monkeypatch)
    assert faster("a", ways) == "fast"
    assert json.loads(file.read_text())["a"] == "fast"


def test_where_nothing_can_be_kept_it_is_known_all_the_same(
    folder: Path, runs: Counter[str], ways: dict[str, Callable[[], object]]
) -> None:
    folder.write_text("in the way")
    assert faster("a", ways) == faster("a", ways) == "fast"
    assert runs.total() == 18


def test_two_processes_at_once_lose_nothing(folder: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), name]) for name in ("first", "second")]
    assert [process.wait() for process in processes] == [0, 0]
    (file,) = folder.glob("*.json")
    assert len(json.loads(file.read_text())) == 40


def test_what_a_way_raises_is_told(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        faster("a", {"wrong": lambda: 1 / 0, "right": lambda: None})
