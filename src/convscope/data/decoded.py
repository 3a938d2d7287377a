"""Photos decoded once, by several threads, and kept as pixels from then on."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

from torch import Tensor

from convscope.data.ahead import read_files
from convscope.data.cache import LOCK, Cache, Entry, map_file, open_cache, remove_leftovers, write_cache
from convscope.data.decoding import Resize, Undecodable, decode_square, open_image, undecodable
from convscope.data.folder import ListedFile, Listing, Part
from convscope.data.splits import Skipped
from convscope.downloads import Progress, data_directory
from convscope.errors import ConvscopeError, UserError
from convscope.files import locked

_FORMAT = 1
"""To be raised when the same photo comes to give other pixels, or the cache is laid out in another way."""


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """A photo whose pixels are in the cache."""

    path: str
    """Inside the listed folder, with slashes."""
    label: int
    part: Part | None
    width: int
    """Of the photo as it is stored, in pixels; so are its height and mode."""
    height: int
    mode: str
    """Pillow's name for the kind of its pixels, such as RGB."""
    digest: str
    """Of the file's bytes, in hexadecimal: the same for identical copies."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The photos of a listing as pixels."""

    folder: Path
    """Where the cache is."""
    pixels: Tensor
    """uint8 (N, C, S, S), mapped for reading only: writing to it ends the process. C is 1 if all photos are grey, else
    3."""
    files: tuple[DecodedFile, ...]
    """The photo of each row of `pixels`, in the order of their digests. These have nothing to do with names or classes,
    so that any neighbouring rows are a random sample."""
    skipped: tuple[Skipped, ...]
    """Files that could not be decoded."""


def decode(
    listing: Listing, *, size: int, resize: Resize, data_dir: Path | None = None, progress: Progress | None = None
) -> Decoded:
    """The pixels of all photos of a listing, as `decoding.read_square` gives them.

    They come from the cache in the data directory; files that are new or have changed since are decoded into it first.
    What gives no pixels is skipped, with the reason.

    Raises:
        UserError: not one of the files can be decoded.
        ConvscopeError: the cache cannot be written, or there is no room for it.
    """
    progress = progress or _silent
    root = listing.root.resolve()
    key = hashlib.blake2b(os.fsencode(root), digest_size=6).hexdigest()
    folder = data_directory(data_dir) / "decoded" / f"{root.name[:40]}-{key}-{resize}-{size}-{_FORMAT}"
    cache = _current(folder, listing, size)
    if cache is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / LOCK, on_wait=lambda: progress("waiting for another process to decode them", 0, 0)):
                # Another process may have decoded them while this one waited for it.
                cache = _current(folder, listing, size) or _update(folder, listing, size, resize, progress)
        except OSError as error:
            raise ConvscopeError(
                f"cannot keep decoded photos in {folder}: {error.strerror}; make room, or move the data directory and "
                "name its new place with --data-dir."
            ) from error
    listed = {file.path: file for file in listing.files}
    files = tuple(_decoded_file(listed[entry.path], entry) for entry in cache.rows)
    skipped = tuple(Skipped(entry.path, entry.problem) for entry in cache.failed)
    return Decoded(folder, cache.pixels, files, skipped)


def _decoded_file(file: ListedFile, entry: Entry) -> DecodedFile:
    return DecodedFile(file.path, file.label, file.part, entry.width, entry.height, entry.mode, entry.digest)


def _current(folder: Path, listing: Listing, size: int) -> Cache | None:
    """The cache, if it holds exactly the listed files as they are now."""
    cache = open_cache(folder, size)
    if cache is None or {entry.stamp for entry in cache.rows + cache.failed} != set(map(_stamp, listing.files)):
        return None
    return None if any(_can_be_read_now(listing.root, entry) for entry in cache.failed) else cache


def _stamp(file: ListedFile) -> tuple[str, int, int]:
    return file.path, file.bytes, file.mtime_ns


def _can_be_read_now(root: Path, entry: Entry) -> bool:
    """Whether a file that the system did not let us read can be read by now, which does not show in its stamp."""
    if entry.digest:
        return False  # it was read, but is no image
    try:
        with (root / entry.path).open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _update(folder: Path, listing: Listing, size: int, resize: Resize, progress: Progress) -> Cache:
    """Make the cache hold the listed files, taking over what has not changed; the folder must be locked."""
    remove_leftovers(folder)
    kept: dict[Entry, Tensor] = {}
    old = open_cache(folder, size)
    if old:
        listed = set(map(_stamp, listing.files))
        kept = {entry: image for entry, image in zip(old.rows, old.pixels, strict=True) if entry.stamp in listed}
    paths = {entry.path for entry in kept}
    fresh = [file for file in listing.files if file.path not in paths]
    _check_room(folder, 3 * size * size * (len(fresh) + len(listing.files)))
    # A file without a name: the system removes it with the process, however that ends.
    with TemporaryFile(dir=folder) as scratch:
        entries = _decode_all(listing.root, fresh, scratch, size, resize, progress)
        images = kept | dict(zip(entries, map_file(scratch, (len(fresh), 3, size, size)), strict=True))
        rows = sorted((entry for entry in images if not entry.problem), key=lambda entry: (entry.digest, entry.path))
        failed = [entry for entry in entries if entry.problem]
        if not rows:
            raise UserError(
                f"none of the {len(failed):,} images in {listing.root} can be decoded ({failed[0].path} "
                f"{failed[0].problem}): give another folder."
            )
        return write_cache(folder, size, tuple(rows), tuple(failed), (images[entry] for entry in rows))


def _decode_all(
    root: Path, files: Sequence[ListedFile], scratch: IO[bytes], size: int, resize: Resize, progress: Progress
) -> list[Entry]:
    """Decode the files by threads, and write the pixels of each to its slot (3, S, S) of the scratch file."""
    writing = Lock()

    def work(numbered: tuple[int, ListedFile]) -> Entry:
        slot, file = numbered
        entry, pixels = _decode_file(root, file, size, resize)
        with writing:
            scratch.seek(slot * 3 * size * size)
            scratch.write(pixels)
        return entry

    entries = []
    done, total = 0, sum(file.bytes for file in files)
    with closing(read_files(enumerate(files), work, size=lambda numbered: numbered[1].bytes)) as read:
        for entry in read:
            entries.append(entry)
            done += entry.bytes
            progress(f"decoding {len(files):,} photos", done, total)
    scratch.truncate(len(files) * 3 * size * size)
    scratch.flush()
    return entries


def _decode_file(root: Path, file: ListedFile, size: int, resize: Resize) -> tuple[Entry, bytes]:
    """What the index has to know of a file, and its pixels (C, S, S), if it gives any."""
    entry = Entry(*_stamp(file))
    try:
        with (root / file.path).open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            entry = replace(entry, digest=digest)
            if not file.bytes:
                return replace(entry, problem="is empty"), b""
            stream.seek(0)
            with undecodable(file.path), open_image(stream) as opened:
                entry = replace(entry, width=opened.width, height=opened.height, mode=opened.mode)
                pixels = decode_square(opened, size=size, resize=resize)
    except OSError as error:
        return replace(entry, problem=f"cannot be read ({error.strerror})"), b""
    except Undecodable as error:
        return replace(entry, problem=error.reason), b""
    return replace(entry, channels=len(pixels)), pixels.numpy().tobytes()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConvscopeError(
            f"decoding the photos takes up to {needed / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free: "
            "make room, or move the data directory and name its new place with --data-dir."
        )


def _silent(name: str, done: int, total: int) -> None:
    """Nobody wants to know how far we are."""
