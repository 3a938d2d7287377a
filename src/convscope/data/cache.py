"""Where decoded photos are kept: a file of pixels that is mapped into memory, and an index of what it holds.

The index names the file of pixels that belongs to it, so one renaming, the index's, puts a new cache in the place of an
old one. A process that reads meanwhile finds either; what it has mapped, it keeps, though the file may be gone from the
folder.
"""

import json
import math
import mmap
import secrets
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from convscope.files import atomic_path, write_text
from convscope.shapes import misfit, read_json

LOCK = "lock"
"""File in a cache that is held by the process which changes the cache."""

_INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as it was when it was listed, and what came of it."""

    path: str
    bytes: int
    mtime_ns: int
    width: int = 0
    height: int = 0
    mode: str = ""
    channels: int = 0
    digest: str = ""
    problem: str = ""
    """Why it gave no pixels, if it gave none."""

    @property
    def stamp(self) -> tuple[str, int, int]:
        """What changes whenever the file does."""
        return self.path, self.bytes, self.mtime_ns


_INDEX_SHAPE = {
    "pixels": str,
    "channels": int,
    "entries": {field.name: [field.type] for field in fields(Entry)},
}


@dataclass(frozen=True, slots=True, eq=False)
class Cache:
    """What is in a cache."""

    rows: tuple[Entry, ...]
    """The file of each row of `pixels`."""
    failed: tuple[Entry, ...]
    """Files that gave no pixels."""
    pixels: Tensor
    """uint8 (N, C, S, S), mapped for reading only; C is 1 if all files are grey, else 3."""


def open_cache(folder: Path, size: int) -> Cache | None:
    """The cache in a folder, of images with `size` pixels a side; None when there is none, or it is damaged."""
    try:
        index = _read_index(folder)
        columns = (index["entries"][field.name] for field in fields(Entry))
        entries = tuple(Entry(*values) for values in zip(*columns, strict=True))
        count = sum(not entry.problem for entry in entries)
        with (folder / index["pixels"]).open("rb") as file:
            pixels = map_file(file, (count, index["channels"], size, size))
    except (OSError, ValueError):
        return None
    return Cache(entries[:count], entries[count:], pixels)


def _read_index(folder: Path) -> dict[str, Any]:
    """The index as `write_cache` writes it; a `ValueError` when it is another one."""
    index: dict[str, Any] = read_json(folder / _INDEX)
    problem = misfit(index, _INDEX_SHAPE)
    if problem or Path(index["pixels"]).name != index["pixels"] or index["channels"] not in (1, 3):
        raise ValueError(problem or "its pixels are no file of the cache")
    return index


def write_cache(
    folder: Path, size: int, rows: tuple[Entry, ...], failed: tuple[Entry, ...], images: Iterable[Tensor]
) -> Cache:
    """Put a new cache in the place of the old one; the folder must be locked.

    Args:
        folder: of the cache.
        size: side of the images in pixels.
        rows: the files that gave pixels.
        failed: the files that gave none.
        images: of each of `rows`, uint8 (C, size, size), with at least as many channels as the file has.
    """
    channels = max(entry.channels for entry in rows)
    name = f"{secrets.token_hex(8)}.pixels"
    with atomic_path(folder / name) as temporary, temporary.open("wb") as file:
        for entry, image in zip(rows, images, strict=True):
            # Of a grey one, the only channel is repeated where others have colour.
            file.write(image[: entry.channels].expand(channels, -1, -1).numpy().tobytes())
    # By columns, which are shorter to write and faster to read than an object for each file.
    columns = zip(*map(astuple, rows + failed), strict=True)
    entries = dict(zip((field.name for field in fields(Entry)), columns, strict=True))
    write_text(folder / _INDEX, json.dumps({"pixels": name, "channels": channels, "entries": entries}))
    remove_leftovers(folder)
    with (folder / name).open("rb") as file:
        return Cache(rows, failed, map_file(file, (len(rows), channels, size, size)))


def map_file(file: IO[bytes], shape: tuple[int, ...]) -> Tensor:
    """The bytes of a file as uint8 of a shape, for reading only; a `ValueError` if they are not so many.

    Not by `torch.from_file`: that maps for writing too, which Linux refuses for a file larger than the memory.
    """
    if math.prod(shape) == 0:
        return torch.empty(shape, dtype=torch.uint8)  # nothing cannot be mapped
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(mapped) != math.prod(shape):
        raise ValueError(f"the file has {len(mapped)} bytes, not those of {shape}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        return torch.frombuffer(mapped, dtype=torch.uint8).view(shape)


def remove_leftovers(folder: Path) -> None:
    """Remove what the index does not name, such as what a killed process left; the folder must be locked."""
    kept = {_INDEX, LOCK}
    with suppress(OSError, ValueError):
        kept.add(_read_index(folder)["pixels"])
    for path in folder.iterdir():
        if path.name not in kept:
            with suppress(PermissionError):  # Windows keeps what a process has mapped
                path.unlink(missing_ok=True)
