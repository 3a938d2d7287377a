"""CIFAR-10 as Krizhevsky published it "for Python": a folder of six pickles with 10,000 images each, and their names.

Each pickle is a dictionary with an array of bytes, a row an image (1,024 red, 1,024 green, 1,024 blue values, row
after row of the image), and a list of labels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.data.imageset import ImageSet
from convscope.data.pickles import read_pickle, to_array
from convscope.errors import UserError

_TRAIN = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
_TEST = ("test_batch",)
_NAMES = "batches.meta"

_SHAPE = (3, 32, 32)
_MOST_BYTES = 1 << 26
"""The published files have 31 million bytes."""


def is_cifar_folder(folder: Path) -> bool:
    """Whether a folder has the first of the files."""
    return (folder / _TRAIN[0]).is_file()


def read_cifar10(folder: Path) -> tuple[ImageSet, ImageSet]:
    """Training and test images, uint8 (N, 3, 32, 32), of a folder in CIFAR-10's layout.

    Raises:
        UserError: a file is missing, damaged, wants to import something, or does not hold what its name says.
    """
    classes = _read_classes(folder / _NAMES)
    train, test = (_read_part([folder / name for name in names], classes) for names in (_TRAIN, _TEST))
    return train, test


def _read_part(paths: list[Path], classes: tuple[str, ...]) -> ImageSet:
    batches = [_read_batch(path, len(classes)) for path in paths]
    # Concatenating copies the pixels once, out of the memory of the files.
    rows = np.concatenate([pixels for pixels, _ in batches])
    labels = torch.tensor([label for _, labels in batches for label in labels])
    return ImageSet(torch.from_numpy(rows).reshape(-1, *_SHAPE), labels, classes)


def _read_batch(path: Path, num_classes: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
    """Pixels, uint8 (N, 3072), and labels of one file."""
    match read_pickle(path, most_bytes=_MOST_BYTES):
        case {b"data": data, b"labels": list(labels)}:
            pixels = to_array(data)
        case _:
            raise UserError(f"{path} holds no 'data' with 'labels', as batches of CIFAR-10 do: replace it.")
    if pixels is None or pixels.shape[1] != np.prod(_SHAPE):
        raise UserError(f"the 'data' in {path} is no array of bytes (N, 3072): replace the file.")
    if len(labels) != len(pixels):
        raise UserError(f"{path} holds {len(pixels)} images but {len(labels)} labels: replace it.")
    if not all(type(label) is int and 0 <= label < num_classes for label in labels):
        raise UserError(f"the labels in {path} are not all whole numbers from 0 to {num_classes - 1}: replace it.")
    return pixels, labels


def _read_classes(path: Path) -> tuple[str, ...]:
    match read_pickle(path, most_bytes=_MOST_BYTES):
        case {b"label_names": list(names)} if names and all(type(name) is bytes for name in names):
            return tuple(name.decode("utf-8", "replace") for name in names)
    raise UserError(f"{path} holds no names of classes ('label_names'): replace it.")
