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

from convscope.catalog import DataEntry
from convscope.data.archives import DAMAGED, check_unpacked, find_archive, open_archive
from convscope.data.imageset import ImageSet
from convscope.errors import UserError
from convscope.files import atomic_path

# FashionMNIST's layout: published names of the images and of the labels.
_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

_UNSIGNED_BYTE = 8
_CHUNK = 1 << 20


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder has at least one of the four files."""
    return any(find_archive(folder, name) for name in (*_TRAIN, *_TEST))


def read_idx_folder(folder: Path, entry: DataEntry | None = None) -> tuple[ImageSet, ImageSet]:
    """Training and test images, uint8 (N, 1, H, W), of a folder in FashionMNIST's layout.

    Args:
        folder: with four files, each raw, `.gz` or `.xz`, and perhaps `classes.txt`, a name a line.
        entry: the data set it is to be, which has the checksums and the names of the classes.

    Raises:
        UserError: files missing, damaged, swapped, or not the published ones.
    """
    checksums = {file.name: file.sha256 for file in entry.files} if entry else {}
    parts = []
    for names in (_TRAIN, _TEST):
        images_path, labels_path = (_existing(folder, name) for name in names)
        images = read_images(images_path, sha256=checksums.get(names[0]))
        labels = read_labels(labels_path, sha256=checksums.get(names[1]))
        if len(images) != len(labels):
            raise UserError(
                f"{images_path} holds {len(images)} images but {labels_path} {len(labels)} labels: "
                "they do not belong together; replace one of them."
            )
        parts.append((images, labels))
    (train_images, train_labels), (test_images, test_labels) = parts
    if train_images.shape[1:] != test_images.shape[1:]:
        raise UserError(
            f"the training images in {folder} are {_size(train_images)} but the test images "
            f"{_size(test_images)}: they do not belong together; replace one of the files."
        )
    classes = entry.classes if entry else _class_names(folder, torch.cat([train_labels, test_labels]))
    return ImageSet(train_images, train_labels, classes), ImageSet(test_images, test_labels, classes)


def _existing(folder: Path, name: str) -> Path:
    path = find_archive(folder, name)
    if path is None:
        raise UserError(f"{folder} has no file {name} (raw, .gz or .xz): put it there, or give another folder.")
    return path


def _class_names(folder: Path, labels: Tensor) -> tuple[str, ...]:
    """The lines of `classes.txt`, else the numbers."""
    path = folder / "classes.txt"
    if not path.is_file():
        return tuple(str(k) for k in range(int(labels.max()) + 1))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; save it as UTF-8, one class a line.") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) <= int(labels.max()):
        raise UserError(
            f"{path} names {len(names)} classes, but the labels go up to {int(labels.max())}: "
            "write one name for each class, a line each."
        )
    return names


def _size(images: Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[3]}"


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
        check_unpacked(path, len(elements))
    if len(elements) != announced:
        found = f"only {len(elements)} are there" if len(elements) < announced else "more follow"
        raise UserError(
            f"{path} is damaged: its header announces {announced} bytes of shape {shape}, but {found}; "
            "replace it by a complete copy."
        )
    return elements
