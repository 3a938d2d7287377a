"""The command as a user meets it: in processes of its own, or within this one where a process adds nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from convscope.cli.main import main

TRAINING = ("--epochs", "2", "--batch-size", "128", "--device", "cpu", "--threads", "1")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence of an error."""
        assert self.err.startswith("convscope: ")
        assert self.err.count("\n") == 1 and self.err.endswith("\n"), self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("convscope: ").rstrip("\n")


Command = Callable[..., Outcome]


def environment(data_dir: Path) -> dict[str, str]:
    return os.environ | {"CONVSCOPE_DATA": str(data_dir), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; data sets are looked for in its folder `sets`."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path / "sets").items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def process(place: Path) -> Command:
    """Runs `convscope` as a process of its own."""

    def run(*arguments: object) -> Outcome:
        command = [sys.executable, "-m", "convscope.cli.main", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place, timeout=120)
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `convscope` within this process."""

    def run(*arguments: object) -> Outcome:
        threads = torch.get_num_threads()
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as exit:
            assert isinstance(exit.code, int)
            status = exit.code
        finally:
            torch.set_num_threads(threads)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def refused(command: Command, place: Path) -> Callable[..., str]:
    """Runs a command that must end with status 2, write nothing, and say why in one sentence, which it returns."""

    def files() -> dict[Path, bytes | None]:
        return {path: path.read_bytes() if path.is_file() else None for path in place.rglob("*")}

    def run(*arguments: object) -> str:
        before = files()
        outcome = command(*arguments)
        assert outcome.status == 2, outcome
        assert outcome.out == ""
        assert files() == before
        return outcome.sentence

    return run


@pytest.fixture(scope="session")
def trained(fashion_slice: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A run `first`, trained by a real command, and what that said."""
    place = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "convscope.cli.main", "train", str(fashion_slice), "linear"]
    done = subprocess.run(
        [*command, "--name", "first", *TRAINING],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env=environment(place / "sets"),
        timeout=120,
    )
    return place / "runs" / "first", Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run_path(trained: tuple[Path, Outcome], place: Path) -> Path:
    """A copy of the trained run, at `runs/first` in the working directory, to do with as one likes."""
    shutil.copytree(trained[0], place / "runs" / "first")
    return Path("runs") / "first"
