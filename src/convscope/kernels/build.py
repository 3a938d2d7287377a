"""The compiled kernels, built with this machine's compiler once, kept, and loaded into PyTorch.

The package carries their C++ sources and no program, so that it installs everywhere and the program uses all that this
CPU has. It is kept in the user's cache directory, in a folder for these sources, this compiler, PyTorch and CPU.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import platformdirs
import torch

from convscope.downloads import Progress, file_digest
from convscope.errors import ConvscopeError
from convscope.files import TEMPORARY, atomic_path, locked, write_text
from convscope.kernels import compiler

LOG = "failed.txt"
"""What the compiler said when it failed; as long as this file lies there, it is not tried again."""

_CHECKSUM = "sha256"
_PASSING = ("Killed signal", "No space left on device", "out of memory")
"""Failures of the moment, to be tried again by the next process."""


def load(progress: Progress | None = None) -> bool:
    """Whether `torch.ops.convscope` is there: builds the library at first, in less than a minute, and loads it.

    `progress` is told of the building, in bytes of source.
    """
    if not KERNELS.load(progress):
        return False
    # Here, because shapes can be told only of operators that are there; once, because an import happens once.
    import convscope.kernels.operators  # noqa: F401

    return True


def obstacle() -> str | None:
    """Why there are no compiled kernels, in words that follow "compiled kernels are off: "; None if none is known."""
    return KERNELS.obstacle()


def refusal() -> str | None:
    """The compiler's own words, where it was tried and refused the sources."""
    return KERNELS.refusal()


def is_built() -> bool:
    """Whether `load` has nothing to build."""
    return KERNELS.is_built()


def is_loaded() -> bool:
    """Whether this process has them, because somebody called `load`."""
    return KERNELS.is_loaded()


class _NotBuilt(Exception):
    """The library is not to be had; the message is the reason with its remedy, in `obstacle`'s words."""


class Library:
    """What a folder of C++ sources becomes."""

    def __init__(self, sources: Path) -> None:
        self.sources = sources
        self._loaded = False
        self._failure: str | None = None
        self._lock = threading.Lock()

    def load(self, progress: Progress | None = None) -> bool:
        """Load the library, building it first where it is not yet; whether it is there. Never raises."""
        with self._lock:
            if self.obstacle() is not None:
                return False
            if not self._loaded:
                try:
                    self._load(_silent if progress is None else progress)
                except (ConvscopeError, _NotBuilt) as error:
                    self._failure = str(error)
            return self._loaded

    def obstacle(self) -> str | None:
        """See the function of the module."""
        if os.environ.get("CONVSCOPE_KERNELS") == "0":
            return "the variable CONVSCOPE_KERNELS=0 switches them off; unset it to have them"
        if self._loaded or self._failure is not None:
            return self._failure
        if sys.platform != "linux":
            name = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform)
            return f"they are for Linux, not for {name}; training goes on without them"
        if platform.machine() not in ("x86_64", "aarch64"):
            return f"they are for x86-64 and ARM, not for {platform.machine()}; training goes on without them"
        if shutil.which(compiler.COMPILER) is None:
            return f"there is no compiler {compiler.COMPILER} here; install it, for example with `apt-get install g++`"
        if not (compiler.torch_folder() / "include" / "ATen" / "core" / "Tensor.h").exists():
            return "PyTorch's header files are missing; install PyTorch with `pip install torch`, which brings them"
        return self._failed()

    def is_built(self) -> bool:
        """Whether there is a whole library; one that was cut short would end the process when it is loaded."""
        return self._loaded or self._built() is not None

    def is_loaded(self) -> bool:
        """See the function of the module."""
        return self._loaded and os.environ.get("CONVSCOPE_KERNELS") != "0"

    @cached_property
    def folder(self) -> Path:
        """Where the library is kept, by all that decides what it would be."""
        digest = hashlib.blake2b(digest_size=10)
        for source in sorted((*self.sources.glob("*.cpp"), *self.sources.glob("*.h"))):
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
        for part in (*compiler.flags(), compiler.version(), str(torch.__version__), *compiler.cpu()):
            digest.update(part.encode() + b"\0")
        return platformdirs.user_cache_path("convscope") / "kernels" / digest.hexdigest()

    def _load(self, progress: Progress) -> None:
        library = self._built() or self._build(progress)
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        except OSError as error:
            # PyTorch's own error names the file alone; what it comes from gives the reason.
            reason = error.__cause__ or error
            raise _NotBuilt(f"{library} cannot be loaded ({reason}); remove it to have it built again") from error
        self._loaded = True

    def _built(self) -> Path | None:
        """The library, if what is there has the checksum of its name."""
        for path in self.folder.glob("*.so"):
            with suppress(OSError):
                if file_digest(path, _CHECKSUM).startswith(path.stem):
                    return path
        return None

    def _build(self, progress: Progress) -> Path:
        """Compile and link, unless another process does so.

        Raises:
            _NotBuilt: it cannot be compiled, or not kept.
        """
        with _words_of_the_system(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self.folder / f"{TEMPORARY}lock"
            with locked(lock, on_wait=lambda: progress("waiting for another process that builds the kernels", 0, 0)):
                library = self._built()  # another process may have done it while this one waited
                if library is not None:
                    return library
                failed = self._failed()
                if failed is not None:
                    raise _NotBuilt(failed)
                return self._compile(progress)

    def _compile(self, progress: Progress) -> Path:
        for damaged in self.folder.glob("*.so"):
            damaged.unlink()
        with tempfile.TemporaryDirectory(prefix="convscope-") as place:
            library = Path(place, "library.so")
            try:
                compiler.compile_library(sorted(self.sources.glob("*.cpp")), library, progress)
            except subprocess.CalledProcessError as error:
                words = f"{' '.join(map(str, error.cmd))}\n\n{error.stderr}"
                if any(sign in words for sign in _PASSING):
                    raise _NotBuilt(compiler.first_error(error.stderr)) from error
                write_text(self.folder / LOG, words)
                raise _NotBuilt(self._failed() or compiler.first_error(words)) from error
            # A name by the content: nobody takes half of a file for a library.
            path = self.folder / f"{file_digest(library, _CHECKSUM)[:16]}.so"
            with atomic_path(path) as temporary:
                shutil.copyfile(library, temporary)
        return path

    def refusal(self) -> str | None:
        """See the function of the module."""
        try:
            return (self.folder / LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def _failed(self) -> str | None:
        """What the compiler refused when it was last tried, in a line."""
        words = self.refusal()
        if words is None:
            return None
        return f"{compiler.first_error(words)}; {self.folder / LOG} has all that it said, remove it to try again"


KERNELS = Library(Path(__file__).parent / "csrc")


@contextmanager
def _words_of_the_system(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _NotBuilt(
            f"they cannot be kept in {folder} ({error.strerror or error}); make room there, or name another cache "
            "directory with the variable XDG_CACHE_HOME"
        ) from error


def _silent(what: str, done: int, total: int) -> None:
    """Nobody listens."""
