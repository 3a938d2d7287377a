"""Data sets by name, or from a folder of the user's own."""

from pathlib import Path

import torch

from convscope.catalog import DATA, DataEntry, data_entry
from convscope.data.archives import find_archive
from convscope.data.idx import read_images, read_labels
from convscope.data.imageset import ImageSet, Splits, stratified_split
from convscope.data.sources import fetch
from convscope.downloads import Progress
from convscope.errors import UserError

# FashionMNIST's layout: published names of the images and labels, training first.
_PARTS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_splits(
    name_or_folder: str | Path,
    *,
    val_share: float = 0.1,
    seed: int = 0,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Splits:
    """Load a data set and cut the validation images off its training images.

    Args:
        name_or_folder: a name from the catalogue (it wins over a folder of that name), or a folder with four
            IDX files in FashionMNIST's layout, each raw, `.gz` or `.xz`, and perhaps `classes.txt`, a name a line.
        val_share: part of the training images to validate on, stratified by class.
        seed: decides which images those are.
        data_dir: where named data sets are kept; see `data_directory`.
        progress: told how far a download is.

    Raises:
        UserError: no such name or folder; files missing, damaged, swapped, or not the published ones.
        ConvscopeError: a named data set could not be fetched.
    """
    train, test = load_train_test(name_or_folder, data_dir=data_dir, progress=progress)
    kept, held = stratified_split(train.labels, share=val_share, seed=seed)
    return Splits(name=str(name_or_folder), train=train.select(kept), val=train.select(held), test=test)


def load_train_test(
    name_or_folder: str | Path, *, data_dir: Path | None = None, progress: Progress | None = None
) -> tuple[ImageSet, ImageSet]:
    """Load a data set's training and test images as published; arguments and errors as for `load_splits`."""
    if isinstance(name_or_folder, str) and name_or_folder in DATA:
        entry = data_entry(name_or_folder)
        return _read_folder(fetch(entry, data_dir=data_dir, progress=progress), entry=entry)
    folder = Path(name_or_folder)
    if folder.is_dir():
        return _read_folder(folder, entry=None)
    if folder.exists() or folder.name != str(name_or_folder):
        raise UserError(f"{folder} is no folder: give one with four IDX files, or one of: {', '.join(DATA)}.")
    return _read_folder(folder, entry=data_entry(str(name_or_folder)))  # raises: the name is unknown


def _read_folder(folder: Path, *, entry: DataEntry | None) -> tuple[ImageSet, ImageSet]:
    checksums = {file.name: file.sha256 for file in entry.files} if entry else {}
    parts = []
    for names in _PARTS.values():
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


def _class_names(folder: Path, labels: torch.Tensor) -> tuple[str, ...]:
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


def _size(images: torch.Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[3]}"
