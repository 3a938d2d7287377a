"""Fetching published files, and the directory that keeps them. Nothing is slow until something is fetched."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import platformdirs

from convscope.errors import ConvscopeError

Progress = Callable[[str, int, int], None]
"""Told what is being done, such as "fetching FILE", how many bytes of it are done, and how many there are (or 0)."""

_CHUNK = 1 << 16
_MOST_BYTES = 1 << 32
"""More than any published file has, so that no server can fill the disk."""
_PATIENCE = 10  # seconds a silent server is waited for


class Unavailable(ConvscopeError):
    """An address did not give the published file; the message is the reason, in words that follow the address."""


def data_directory(data_dir: Path | None = None) -> Path:
    """Where data sets and weights are kept: `data_dir`, else `CONVSCOPE_DATA`, else the user's cache directory."""
    if data_dir is not None:
        return data_dir
    from_environment = os.environ.get("CONVSCOPE_DATA")
    return Path(from_environment).expanduser() if from_environment else platformdirs.user_cache_path("convscope")


def download(
    address: str, path: Path, *, name: str, algorithm: str, digest: str, progress: Progress | None = None
) -> None:
    """Write what `address` gives to `path`, and check that it is the published file.

    Args:
        address: where the file is, `http` or `https`.
        path: a temporary path; after an error it may hold anything.
        name: of the file, for `progress`.
        algorithm: of the checksum, as `hashlib` calls it.
        digest: the checksum in hexadecimal, or as many of its first digits as are known.
        progress: told how far the download is.

    Raises:
        Unavailable: no answer, a refusal, a connection that broke off, or another file.
        ConvscopeError: what came cannot be stored, which it could not from another address either.
    """
    import pooch  # here, because it takes longer to import than a look-up takes

    fetch = pooch.HTTPDownloader(
        progressbar=_Bar(f"fetching {name}", progress) if progress else False,
        chunk_size=_CHUNK,
        timeout=_PATIENCE,
        headers={"Accept-Encoding": "identity"},  # the file itself, though it may be an archive
    )
    try:
        with path.open("wb") as file:
            fetch(address, _Bounded(file), None)
    except (OSError, ValueError) as error:
        # The system's errors have a text of their own, those of the network's library wrap another error.
        if isinstance(error, OSError) and error.strerror:
            raise ConvscopeError(
                f"cannot store {name} in {path.parent} ({error.strerror}): free some space, or choose another data "
                "directory."
            ) from error
        raise Unavailable(_reason(error)) from error
    if not file_digest(path, algorithm).startswith(digest):
        raise Unavailable("sent another file than the published one (wrong checksum)")


def file_digest(path: Path, algorithm: str) -> str:
    """A file's checksum in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _reason(error: OSError | ValueError) -> str:
    """Why an address did not help, in a few words instead of the library's paragraph."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"answered {response.status_code}"
    return "could not be reached or broke off"


class _Bounded:
    """A file that takes no more than so many bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._room = file, _MOST_BYTES
        self.flush = file.flush

    def write(self, data: bytes) -> None:
        """Write, or break off the download."""
        self._room -= len(data)
        if self._room < 0:
            raise Unavailable(f"sent more than {_MOST_BYTES:,} bytes, which no published file has")
        self._file.write(data)


class _Bar:
    """What pooch takes for a progress bar, passing the figures on."""

    def __init__(self, name: str, progress: Progress) -> None:
        self.name, self.progress = name, progress
        self.total = self.done = 0

    def update(self, count: int) -> None:
        self.done = min(self.done + count, self.total or self.done + count)
        self.progress(self.name, self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing is held open."""
