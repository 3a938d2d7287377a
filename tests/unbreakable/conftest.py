"""A command whose file operations are numbered, so that each of them can fail, or be the last one of its process."""

import builtins
import contextlib
import errno
import io
import os
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from convscope.cli.main import main
from convscope.runs import Run
from convscope.training.checkpoint import load_state, load_weights

Kind = Literal["none", "error", "full", "kill"]

ROOM = {"open to write", "write", "fsync", "os.mkdir", "torch.save"}
"""Operations that a full disk refuses."""

# What Python tells of each operation before it is done, whichever library asks for it: the event, and which of its
# arguments is the path.
_EVENTS = {
    **{"os.mkdir": 0, "os.rmdir": 0, "os.remove": 0, "os.chmod": 0, "os.truncate": 0, "os.utime": 0},
    **{"os.rename": 1, "os.link": 1, "os.symlink": 1, "os.listdir": 0, "os.scandir": 0, "fcntl.flock": 0, "open": 0},
}


@dataclass
class Faults:
    """Counts the operations on files below some folders, and what happens at one of them.

    Seen are the operations that Python announces to audit hooks (opening, renaming, removing, making folders, listing,
    locking...), every write to a file that Python opened, and `fsync`. PyTorch writes archives in C++, of which nothing
    is seen from here: saving one counts as a single operation, which breaks off half way.
    """

    folders: tuple[Path, ...]
    kind: Kind = "none"
    number: int = -1
    """Of the operation, from 0: `error` refuses this one, `full` this one and all later ones that need room, and `kill`
    ends the process instead of it."""
    seen: list[str] = field(default_factory=list)
    active: bool = False

    def due(self, operation: str) -> bool:
        """Whether this operation, which is the next, is to fail."""
        if self.kind == "full":
            return len(self.seen) >= self.number and operation in ROOM
        return self.kind != "none" and len(self.seen) == self.number

    def pass_point(self, operation: str, path: Any) -> None:
        """Count an operation on a path or an open file; raises OSError, or ends the process, when it is to fail."""
        if not self.active or not self._is_watched(path):
            return
        due = self.due(operation)
        self.seen.append(operation)
        if due and self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if due:
            code = errno.ENOSPC if self.kind == "full" else errno.EIO
            raise OSError(code, os.strerror(code), str(path))

    def _is_watched(self, path: Any) -> bool:
        self.active = False  # to look must not count
        try:
            place = Path(f"/proc/self/fd/{path}") if isinstance(path, int) else Path(os.fsdecode(path))
            return any(place.resolve().is_relative_to(folder) for folder in self.folders)
        except (OSError, TypeError):
            return False
        finally:
            self.active = True


_current: list[Faults] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _current and _current[-1].active and event in _EVENTS:
        operation = event
        if event == "open":
            operation = "open to write" if arguments[2] & (os.O_WRONLY | os.O_RDWR) else "open to read"
        _current[-1].pass_point(operation, arguments[_EVENTS[event]])


class _File(io.FileIO):
    """A file of which only a half of what is written arrives when the disk fails."""

    def write(self, data: Any) -> int:
        faults = _current[-1] if _current else Faults(())
        if faults.active and faults.due("write"):
            super().write(memoryview(data)[: len(data) // 2])
        faults.pass_point("write", self.name)
        return super().write(data)


@contextlib.contextmanager
def counted(faults: Faults) -> Iterator[None]:
    """Let `faults` see the operations of a block."""
    opened, sync, save = io.open, os.fsync, torch.save

    def open_file(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return opened(file, mode, buffering, *rest, **options)
        raw = _File(file, mode.replace("b", "").replace("t", ""), opener=options.pop("opener", None))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **options)

    def sync_file(descriptor: int) -> None:
        faults.pass_point("fsync", descriptor)
        sync(descriptor)

    def save_archive(state: Any, path: Any) -> None:
        save(state, path)
        if faults.due("torch.save"):
            faults.active = False  # to cut it short is no operation
            os.truncate(path, path.stat().st_size // 2)
            faults.active = True
        try:
            faults.pass_point("torch.save", path)
        except OSError as error:
            raise RuntimeError("unexpected pos 1881536 vs 1881428") from error  # as PyTorch tells it

    with pytest.MonkeyPatch.context() as patch:
        for module in (io, builtins):
            patch.setattr(module, "open", open_file)
        patch.setattr(os, "fsync", sync_file)
        patch.setattr(torch, "save", save_archive)
        _current.append(faults)
        faults.active = True
        try:
            yield
        finally:
            faults.active = False
            _current.remove(faults)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind; the status is negative when it was killed."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence of an error."""
        assert self.status in (1, 2), self
        assert self.err.startswith("convscope: ") and self.err.endswith((".\n", "\n")), self
        assert self.err.count("\n") == 1 and "Traceback" not in self.err, self
        return self.err.removeprefix("convscope: ").rstrip("\n")


Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def _audited() -> None:
    sys.addaudithook(_audit)  # which stays, as Python has no way to remove it


@pytest.fixture
def command(
    _audited: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs `convscope` within this process, or in a fork of it where it is to be killed."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, faults: Faults | None = None) -> Outcome:
        arguments = [str(word) for word in words]
        counting = counted(faults) if faults else contextlib.nullcontext()
        if faults and faults.kind == "kill":
            return fork(arguments, counting)
        capsys.readouterr()
        with counting:
            status = main(arguments)
        written = capsys.readouterr()
        return Outcome(status, written.out, written.err)

    def fork(arguments: list[str], counting: contextlib.AbstractContextManager[None]) -> Outcome:
        streams = [tmp_path / "out", tmp_path / "err"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process with several threads
            child = os.fork()
        if child == 0:
            status = 99
            try:
                sys.stdout, sys.stderr = (path.open("w", buffering=1, encoding="utf-8") for path in streams)
                with counting:
                    status = main(arguments)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Outcome(status, *(path.read_text(encoding="utf-8") for path in streams))

    return run


@dataclass(frozen=True)
class Training:
    """A training of two epochs, of the data set `data` into the directory `folder`."""

    command: Command
    data: Path
    folder: Path

    @property
    def run(self) -> Run:
        return Run(self.folder / "first")

    def start(self, faults: Faults | None = None) -> Outcome:
        words = ("--epochs", 2, "--batch-size", 270, "--device", "cpu", "--threads", 1, "--name", "first")
        return self.command("train", self.data, "linear", *words, "--runs-dir", self.folder, faults=faults)

    def go_on(self) -> Outcome:
        """What a person does next, whatever the run was stopped by."""
        if not (self.run.path / "config.yaml").exists():
            return self.start()  # not even its setting could be written
        if self.run.status == "finished":
            return self.command("report", self.run.path)
        return self.command("train", "--resume", self.run.path)

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}

    def result(self) -> tuple[dict[str, Any], list[dict[str, float]], set[str]]:
        """The weights as lists, the history without times, and the names of the files."""
        weights = {name: tensor.tolist() for name, tensor in load_weights(self.run.best_weights)[0].items()}
        times = ("seconds", "images_per_second")
        history = [{name: row[name] for name in row if name not in times} for row in self.run.history()]
        return weights, history, self.files()

    def assert_kept_what_was_promised(self, printed: str) -> None:
        """An epoch whose row was printed is never trained again, and its weights can be used."""
        promised = len(re.findall(r"^ +\d/2 ", printed, flags=re.MULTILINE))
        if promised:
            assert load_state(self.run.last_state)["position"]["epoch"] > promised
            load_weights(self.run.best_weights)

    def assert_ends_like(self, whole: "Training", *, doctor: bool = True) -> None:
        """Goes on, to the same bits and the same files as an undisturbed training, which the doctor looked on at."""
        done = self.go_on()
        assert done.status == 0, done.err
        assert self.run.status == "finished"
        weights, history, files = whole.result()
        if not doctor:
            files.remove("first/alarms.json")
        assert self.result() == (weights, history, files)


@pytest.fixture
def training(command: Command, fashion_slice: Path, no_pictures: None) -> Callable[[Path], Training]:
    """Gives the training into a directory, not begun yet; its pictures are left out."""
    return lambda folder: Training(command, fashion_slice, folder)


@pytest.fixture
def whole(training: Callable[[Path], Training], tmp_path: Path) -> Training:
    """The training that nothing disturbs."""
    undisturbed = training(tmp_path / "whole")
    assert undisturbed.start().status == 0
    return undisturbed


@pytest.fixture
def make_faults() -> Callable[..., Faults]:
    """Makes the faults of one command; the folders in which operations count come first."""
    return lambda *folders, **fault: Faults(folders, **fault)


@pytest.fixture
def largest_file() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """Lets the system refuse to make files longer than so many bytes, for as long as the context lasts."""

    @contextlib.contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
