from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convscope.catalog import data_entry
from convscope.data import load_train_test
from convscope.data.cifar import is_cifar_folder, read_cifar10
from convscope.data.sources import locate
from convscope.errors import UserError

Folder = Callable[..., Path]

ENTRY = data_entry("cifar10")
ROW = np.arange(3072, dtype=np.uint16) % 251  # the pixels of the first image of data_batch_1


def batch(**replaced: Any) -> dict[bytes, Any]:
    contents = {"data": np.zeros((4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 0]} | replaced
    return {name.encode(): value for name, value in contents.items()}


def test_reads_images_labels_and_classes(cifar_folder: Folder) -> None:  # R-D2
    folder = cifar_folder()
    train, test = read_cifar10(folder)
    assert train.images.shape == (20, 3, 32, 32)
    assert test.images.shape == (4, 3, 32, 32)
    assert train.classes == test.classes == ("cat", "dog", "frog")
    assert train.labels.tolist() == [0, 1, 2, 0, 0, 1, 2, 1, 0, 1, 2, 2, 0, 1, 2, 0, 0, 1, 2, 1]
    # Colour after colour, row after row; the files one after the other.
    red, green, blue = (torch.from_numpy(plane.reshape(32, 32).astype(np.uint8)) for plane in np.split(ROW, 3))
    assert torch.equal(train.images[0], torch.stack([red, green, blue]))
    assert torch.equal(train.images[4::4], train.images[:1] + torch.arange(1, 5, dtype=torch.uint8).view(-1, 1, 1, 1))
    assert torch.equal(test.images[0], train.images[0] + 5)


def test_arrays_stored_column_by_column(cifar_folder: Folder) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    _, test = read_cifar10(cifar_folder(test_batch=batch(data=np.asfortranarray(pixels))))
    np.testing.assert_array_equal(test.images.flatten(1).numpy(), pixels)


def test_loads_by_folder_and_by_name(cifar_folder: Folder, tmp_path: Path) -> None:
    folder = cifar_folder(ENTRY.archive.folder if ENTRY.archive else "")
    assert locate(ENTRY, tmp_path) == folder
    by_folder, _ = load_train_test(folder)
    by_name, _ = load_train_test("cifar10", data_dir=tmp_path)
    assert len(by_folder) == len(by_name) == 20
    assert is_cifar_folder(folder)
    assert not is_cifar_folder(tmp_path)


@pytest.mark.parametrize("name", [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"])
def test_a_missing_file_is_named(cifar_folder: Folder, name: str) -> None:
    folder = cifar_folder()
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"there is no file {folder / name}: put"):
        read_cifar10(folder)


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ([1, 2], "holds no 'data' with 'labels'"),
        ({b"data": np.zeros((4, 3072), dtype=np.uint8)}, "holds no 'data' with 'labels'"),
        (batch(labels=b"1234"), "holds no 'data' with 'labels'"),
        (batch(data=np.zeros((4, 1024), dtype=np.uint8)), r"is no array of bytes \(N, 3072\)"),
        (batch(data=np.zeros((4, 3072), dtype=np.float32)), r"is no array of bytes \(N, 3072\)"),
        (batch(data=np.zeros((0, 3072), dtype=np.uint8), labels=[]), r"is no array of bytes \(N, 3072\)"),
        (batch(data=bytes(4 * 3072)), r"is no array of bytes \(N, 3072\)"),
        (batch(labels=[0, 1, 2]), "holds 4 images but 3 labels"),
        (batch(labels=[0, 1, 2, 3]), "are not all whole numbers from 0 to 2"),
        (batch(labels=[0, 1, 2, -1]), "are not all whole numbers from 0 to 2"),
        (batch(labels=[0, 1, 2, True]), "are not all whole numbers from 0 to 2"),
        (batch(labels=[0, 1, 2, b"0"]), "are not all whole numbers from 0 to 2"),
        (b"\x80\x02cos\nsystem\nU\x04true\x85R.", "wants to import 'os system'"),
        (b"<html>log in</html>", "is no pickle"),
    ],
)
def test_a_batch_that_is_none_is_refused(cifar_folder: Folder, replaced: object, reason: str) -> None:
    folder = cifar_folder(data_batch_3=replaced)
    with pytest.raises(UserError, match=reason) as caught:
        read_cifar10(folder)
    assert str(folder / "data_batch_3") in str(caught.value)


@pytest.mark.parametrize("names", [[], [1, 2, 3], b"catdogfrog", bytes(300), None])
def test_classes_need_names(cifar_folder: Folder, names: object) -> None:
    folder = cifar_folder(**{"batches.meta": {b"label_names": names}})
    with pytest.raises(UserError, match=r"batches\.meta holds no names of classes"):
        read_cifar10(folder)


def test_a_file_that_is_cut_short(cifar_folder: Folder) -> None:
    path = cifar_folder() / "test_batch"
    contents = path.read_bytes()
    for length in (len(contents) - 1, len(contents) // 2, 10):
        path.write_bytes(contents[:length])
        with pytest.raises(UserError, match=f"{path} is damaged or cut short"):
            read_cifar10(path.parent)
