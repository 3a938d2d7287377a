"""Files that may lie there as they are, or compressed: found and opened the same way. No torch here."""

import gzip
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, cast

_SUFFIXES = ("", ".gz", ".xz")

# What reading a damaged archive raises, whichever the format; OSError covers gzip.BadGzipFile.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)


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
