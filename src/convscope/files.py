"""Writing files so that a reader, or a power cut, never meets half of one; and locks that die with their process."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from convscope.errors import ConvscopeError

TEMPORARY = ".convscope-"
"""What the names of temporary files begin with, and of lock files beside them."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, the file there takes the place of `path`.

    The contents reach the disk before the name does, so after a crash the file is the old one or the new one.
    When the block raises, nothing of it is left and `path` is as it was. What a killed process left is removed by the
    next one that writes into the folder.

    Raises:
        ConvscopeError: the file cannot be written (full disk, no permission).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        with _temporary(path) as temporary:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # mkstemp makes files private to their owner; give back what an ordinary new file would have.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    except OSError as error:
        raise ConvscopeError(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged: "
            f"free some space or choose another directory, then try again."
        ) from error
    _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be no text


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock file `path`, which no other process can do meanwhile, and remove it in the end.

    While another process holds it, calls `on_wait`, which may raise instead, and waits. However a process ends, its
    lock ends with it; the file that it leaves does no harm.

    Yields:
        Whether the lock is held: not where there are none, on Windows and some network drives.

    Raises:
        OSError: the file cannot be made.
    """
    tries = 0
    while True:
        with path.open("ab") as file:
            held = _lock(file.fileno())
            if held is not False:
                try:
                    yield bool(held)
                finally:
                    with suppress(OSError):
                        path.unlink()
                return
        tries += 1
        if tries == 5:  # not at once: `is_locked` of another process holds it for an instant
            on_wait()
        time.sleep(0.02)


def is_locked(path: Path) -> bool | None:
    """Whether a living process holds the lock file `path`; None where that cannot be known."""
    try:
        with path.open("rb+") as file:
            held = _lock(file.fileno())
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return None if held is None else not held


def _lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; False if another process has done so, or has just removed the file.

    None where there are no such locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path` that is gone in the end, unless it was renamed; locked, to show that it is in use."""
    held: bool | None = False
    while held is False:  # whoever removes abandoned files may have met this one before it was locked
        # The suffix stays, because savers such as Matplotlib's choose the format by it.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=f".part{path.suffix}")
        held = _lock(descriptor)
        if not held:
            os.close(descriptor)  # there is nothing to hold; and Windows does not rename what is open
    try:
        yield Path(name)
    finally:
        if held:
            os.close(descriptor)
        with suppress(OSError):
            Path(name).unlink()


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary and lock files of processes that were killed; those of living ones are locked."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError), path.open("rb+") as file:
            if _lock(file.fileno()):
                path.unlink()


def _sync(folder: Path) -> None:
    """Bring names to the disk too: a power cut never keeps a file and takes back one that was written before it."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # not every file system can; the file is in its place in any case
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
