"""Files that may lie there as they are, or compressed: found and opened the same way. No torch here."""

import gzip
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from convscope.errors import UserError

_SUFFIXES = ("", ".gz", ".xz")

# What reading a damaged archive raises, whichever the format; OSError covers gzip.BadGzipFile.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)


_HARMLESS, _MOST_COMPRESSED = 1 << 26, 100
"""Bytes that any file may unpack to, and by how much larger ones may be compressed: MNIST is to a fifth."""


def find_archive(folder: Path, name: str) -> Path | None:
    """The file `name` in `folder`, raw before `.gz` before `.xz`; None when there is none."""
    candidates = (folder / (name + suffix) for suffix in _SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def open_archive(path: Path) -> BinaryIO:
    """Open a file for reading its decompressed bytes."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path))
    if path.suffix == ".xz":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")


def check_unpacked(path: Path, count: int) -> None:
    """Raise a UserError when a file has unpacked to so many bytes that it was made to fill the memory or the disk."""
    if count > max(_HARMLESS, _MOST_COMPRESSED * path.stat().st_size):
        raise UserError(
            f"{path} unpacks to more than {_MOST_COMPRESSED} times its size, as no images do: "
            "replace it by an intact copy."
        )
