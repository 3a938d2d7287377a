"""Archives of whole folders (tar and zip), unpacked without trusting the names and sizes in them. No torch here."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from convscope.downloads import Progress
from convscope.errors import ConvscopeError, UserError

_CHUNK = 1 << 16
_LONGEST_READ = 1 << 20
_COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""How compressed files begin, and what decompresses them."""
_BLOCK = 4096  # bytes that even an empty file takes on a disk

_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile),
    *(zlib.error, lzma.LZMAError, EOFError, ValueError),
    RuntimeError,  # a file in it is encrypted, or compressed in a way that Python cannot undo
)
"""What reading a damaged archive raises."""

_Open = Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: str, target: Path, *, most_bytes: int, progress: Progress | None = None) -> None:
    """Write the files that lie below `folder` in an archive to the same places below `target`, and no others.

    After an error `target` may hold a part of them, so give a temporary one.

    Args:
        archive: a zip file, or a tar file of any compression.
        folder: of the archive.
        target: a folder that is not there yet; nothing is written outside of it.
        most_bytes: room that the files may take, so that a small archive cannot fill the disk.
        progress: told how far the archive is read.

    Raises:
        UserError: the archive is damaged, lacks the folder or unpacks to more than `most_bytes`; or there is a link in
            it, a device, or a name that leads elsewhere.
        ConvscopeError: a file cannot be written.
    """
    room, size = most_bytes, archive.stat().st_size
    try:
        with archive.open("rb") as file:
            for name, is_file, open_member in _members(file):
                path = _checked(name, archive)
                if not is_file:
                    raise UserError(f"{archive} holds {name!r}, a link or a device: take the published archive.")
                if not path.is_relative_to(folder):
                    continue
                room -= _write(open_member, target / path.relative_to(folder), room)
                if room < 0:
                    raise UserError(f"{archive} unpacks to more than {most_bytes:,} bytes: take the published archive.")
                if progress:
                    progress(f"unpacking {archive.name}", file.tell(), size)
        if progress:
            progress(f"unpacking {archive.name}", size, size)  # whatever follows the last file
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise UserError(f"{archive} is damaged ({reason}): replace it by the published archive.") from error
    except OSError as error:
        raise ConvscopeError(
            f"cannot unpack {archive} to {target.parent} ({error.strerror or error}): "
            "free some space, or choose another data directory."
        ) from error
    if not target.is_dir():
        raise UserError(f"{archive} has no folder {folder}: take the published archive.")


def _members(file: BinaryIO) -> Iterator[tuple[str, bool, _Open]]:
    """Name of each member that is no folder, whether it is an ordinary file, and how to open it."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as opened:
            for entry in opened.infolist():
                if not entry.filename.endswith("/"):  # is_dir() trips over a name without letters
                    # The upper half holds Unix's mode, which says what is no ordinary file; other systems leave it 0.
                    kind = stat.S_IFMT(entry.external_attr >> 16)
                    yield entry.filename, kind in (0, stat.S_IFREG), partial(opened.open, entry)
        return
    file.seek(0)
    magic = file.read(6)
    file.seek(0)
    decompress = next((opener for sign, opener in _COMPRESSIONS.items() if magic.startswith(sign)), lambda file: file)
    with tarfile.open(fileobj=cast(BinaryIO, _Frugal(decompress(file))), mode="r:") as tar:
        for member in tar:
            if not member.isdir():
                yield member.name, member.isreg(), partial(tar.extractfile, member)


class _Frugal:
    """A stream that refuses to read much at once, as tarfile does where a header announces a name of gigabytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        if not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError(f"it has a header of {size:,} bytes")
        return self._stream.read(size)


def _checked(name: str, archive: Path) -> PurePosixPath:
    """A member's name as a path that stays below the folder which it is unpacked to, on any system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise UserError(f"{archive} holds {name!r}, a name that leads elsewhere: take the published archive.")
    return path


def _write(open_member: _Open, path: Path, room: int) -> int:
    """Write a member to `path` until more than `room` bytes are taken; returns how many are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    member = open_member()
    assert member is not None  # only links and devices have no contents
    taken = _BLOCK
    # "x": nothing that is there already is written over, not even by a second member of that name.
    with closing(member), path.open("xb") as written:
        while taken <= room and (piece := member.read(_CHUNK)):
            taken += len(piece)
            written.write(piece)
    return taken
