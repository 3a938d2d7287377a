"""The IDX format, in which MNIST and FashionMNIST are published.

Four bytes (0, 0, element type, number of dimensions), then each dimension as a big-endian 32-bit number, then
the elements, last dimension fastest. Only unsigned bytes (type 8) occur in these sets.
"""

import hashlib
import math
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from convscope.data.archives import DAMAGED, open_archive
from convscope.errors import UserError
from convscope.files import atomic_path

_UNSIGNED_BYTE = 8
_CHUNK = 1 << 20


def read_idx(path: Path, *, sha256: str | None = None) -> Tensor:
    """Read an IDX file of unsigned bytes, raw or compressed (`.gz`, `.xz`), into a uint8 tensor.

    Args:
        path: of the file; the suffix tells the compression.
        sha256: checksum the decompressed bytes must have.

    Raises:
        UserError: the file cannot be read, is no IDX file, is shorter or longer than its header says, is
            empty, or has another checksum.
    """
    try:
        with open_archive(path) as file:
            header, shape = _read_header(file, path)
            elements = _read_elements(file, path, shape)
    except DAMAGED as error:
        raise UserError(f"cannot read {path}: {error}; replace it by an intact copy.") from error
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(elements)
        if digest.hexdigest() != sha256:
            raise UserError(
                f"{path} is not the published file: its SHA-256 is {digest.hexdigest()}, not {sha256}; "
                "replace it, or move it away to have it fetched again."
            )
    # The tensor takes over the bytes; nothing is copied.
    return torch.frombuffer(elements, dtype=torch.uint8).view(shape)


def read_images(path: Path, *, sha256: str | None = None) -> Tensor:
    """Grey images from an IDX file of three dimensions: uint8 (N, 1, H, W)."""
    elements = read_idx(path, sha256=sha256)
    if elements.ndim != 3:
        raise UserError(
            f"{path} should hold images (N, H, W), but its shape is {tuple(elements.shape)}: "
            "were the files of images and labels swapped?"
        )
    return elements.unsqueeze(1)


def read_labels(path: Path, *, sha256: str | None = None) -> Tensor:
    """Labels from an IDX file of one dimension: int64 (N,)."""
    elements = read_idx(path, sha256=sha256)
    if elements.ndim != 1:
        raise UserError(
            f"{path} should hold labels (N,), but its shape is {tuple(elements.shape)}: "
            "were the files of images and labels swapped?"
        )
    return elements.to(torch.int64)


def write_idx(path: Path, elements: Tensor) -> None:
    """Write a uint8 tensor of one to four dimensions as a raw IDX file, atomically."""
    if elements.dtype != torch.uint8 or not 1 <= elements.ndim <= 4:
        raise UserError(
            f"cannot write {elements.dtype} of {elements.ndim} dimensions to {path}: give uint8 with one to four."
        )
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack(f">HBB{elements.ndim}I", 0, _UNSIGNED_BYTE, elements.ndim, *elements.shape))
        file.write(np.ascontiguousarray(elements.numpy()).data)


def _read_header(file: BinaryIO, path: Path) -> tuple[bytes, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise UserError(f"{path} is no IDX file: it does not begin with two zero bytes; replace it.")
    kind, dimensions = magic[2:]
    if kind != _UNSIGNED_BYTE or not 1 <= dimensions <= 4:
        raise UserError(
            f"{path} has elements of type {kind} in {dimensions} dimensions, but only unsigned bytes (type 8) "
            "in one to four are read: convert it first."
        )
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise UserError(f"{path} ends within its header: replace it by a complete copy.")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if 0 in shape:
        raise UserError(f"{path} is empty: its header announces the shape {shape}; replace it.")
    return magic + sizes, shape


def _read_elements(file: BinaryIO, path: Path, shape: tuple[int, ...]) -> bytearray:
    """The bytes after the header, exactly as many as announced.

    Read piece by piece, never in one request of the announced size: a damaged header may announce more than
    any memory holds, and an archive may unpack to more than its header admits.
    """
    announced = math.prod(shape)
    elements = bytearray()
    while piece := file.read(min(_CHUNK, announced + 1 - len(elements))):
        elements += piece
    if len(elements) != announced:
        found = f"only {len(elements)} are there" if len(elements) < announced else "more follow"
        raise UserError(
            f"{path} is damaged: its header announces {announced} bytes of shape {shape}, but {found}; "
            "replace it by a complete copy."
        )
    return elements
