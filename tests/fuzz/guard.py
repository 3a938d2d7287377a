"""What no file may make its reader do, watched by the interpreter and by the system."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

_FORBIDDEN = (
    "subprocess.",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.send",
    "ctypes.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "pickle.find_class",
    "webbrowser.",
)
"""How the names of events begin that no reading of a file needs: https://docs.python.org/3/library/audit_events.html"""

_CHANGING = frozenset(
    {"os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"}
)
"""Events whose first argument is a path that is changed."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Caught(BaseException):
    """A reader did what it must not; no `except Exception` of a library hides it."""


@dataclass
class _Watch:
    folder: Path | None = None
    """Where the reader may write; None while nobody watches."""
    seen: str | None = None
    """What it did, in case a library swallows even `Caught`."""


_watch = _Watch()


@contextmanager
def guarded(folder: Path, *, seconds: int = 20, megabytes: int = 128) -> Iterator[None]:
    """Raise `Caught` if the block runs code, starts a process, asks the network, writes outside of `folder`, takes
    longer, or touches more memory than what there was before.
    """
    _install()
    before = _peak_memory(reset=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":  # a last resort, so that a bomb ends this process and not the machine
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + (4 << 30), hard))
    previous = signal.signal(signal.SIGALRM, _too_slow)
    _watch.folder, _watch.seen = folder.resolve(), None
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        _watch.folder = None
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    if _watch.seen:
        raise Caught(_watch.seen)
    grown = (_peak_memory() - before) >> 20
    if grown > megabytes:
        raise Caught(f"{grown} MiB were taken, of at most {megabytes}")


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise Caught("it takes too long")


def _install() -> None:
    # There is no way to take a hook off again: it stays, and looks away while nobody watches.
    if not getattr(sys, "_convscope_guard", False):
        sys._convscope_guard = True  # type: ignore[attr-defined]
        repr(torch.zeros(1))  # to write a tensor PyTorch imports more of itself, once, and makes code on the way
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch.folder is None:
        return
    complaint = _complaint(event, arguments, _watch.folder)
    if complaint:
        _watch.seen = complaint
        raise Caught(complaint)


def _complaint(event: str, arguments: tuple[Any, ...], folder: Path) -> str | None:
    if event.startswith(_FORBIDDEN):
        return f"{event} {arguments!r:.200}"
    # Modules that are imported late run their code from a file; code out of a hostile file has none.
    if event == "exec" and isinstance(arguments[0], CodeType) and arguments[0].co_filename.startswith("<"):
        # SQLAlchemy writes constructors for the tables of libraries, whatever is in the file.
        ours = ("<frozen", "<sqlalchemy generated __init__ for class ")
        return None if arguments[0].co_filename.startswith(ours) else f"code was run: {arguments[0].co_filename}"
    if event == "open" and _writes(arguments[1], arguments[2]) and not _inside(arguments[0], folder):
        return f"{arguments[0]!r} was opened for writing"
    # A number at the end stands for an open folder that the name is relative to.
    if event in _CHANGING and arguments[-1] in (-1, *arguments[:1]) and not _inside(arguments[0], folder):
        return f"{event} {arguments[0]!r}"
    return None


def _writes(mode: str | None, flags: int) -> bool:
    return bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(flags & _WRITING)


def _inside(path: object, folder: Path) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return True  # a file that is open already
    place = os.path.realpath(os.fsdecode(path))
    # Python keeps what it has compiled, wherever it imports a module for the first time.
    return Path(place).is_relative_to(folder) or "__pycache__" in place


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _peak_memory(*, reset: bool = False) -> int:
    """The most memory that was in use at once, in bytes; `reset` counts from now on, where the system can do that."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    except OSError:  # no Linux: the most there ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1 << 10)
