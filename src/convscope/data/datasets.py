"""Data sets by name, or from a folder of the user's own."""

from pathlib import Path

from convscope.catalog import DATA, data_entry
from convscope.data.cifar import is_cifar_folder, read_cifar10
from convscope.data.decoding import Resize
from convscope.data.idx import is_idx_folder, read_idx_folder
from convscope.data.imageset import ImageSet
from convscope.data.photos import load_photos
from convscope.data.sources import fetch
from convscope.data.splits import Splits, stratified_split
from convscope.downloads import Progress
from convscope.errors import UserError, unknown


def load_splits(
    name_or_folder: str | Path,
    *,
    val_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    size: int | None = None,
    resize: Resize = "crop",
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Splits:
    """Load a data set in its three parts.

    Args:
        name_or_folder: a name from the catalogue (it wins over a folder of that name), or a folder: with four IDX files
            in FashionMNIST's layout, with CIFAR-10's files, or with photos (see `folder.list_images`).
        val_share: part of the training images to validate on, stratified by class.
        test_share: part of a folder of photos to test on, where it has no test part of its own.
        seed: decides which images those are.
        size: height and width in pixels at which photos are decoded; other images have a size.
        resize: how photos become squares.
        data_dir: where named data sets and decoded photos are kept; see `data_directory`.
        progress: told how far a download or the decoding is.

    Raises:
        UserError: no such name or folder; photos, and no size for them; files missing, damaged, swapped, or not the
            published ones.
        ConvscopeError: a named data set could not be fetched, or there is no room for decoded photos.
    """
    name = str(name_or_folder)
    if is_photos(name_or_folder):
        if size is None:
            raise UserError(f"the photos of {name} have many sizes: say to which size in pixels to bring them.")
        return load_photos(
            name_or_folder,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
            size=size,
            resize=resize,
            data_dir=data_dir,
            progress=progress,
        ).splits(name)
    train, test = load_train_test(name_or_folder, data_dir=data_dir, progress=progress)
    kept, held = stratified_split(train.labels, share=val_share, seed=seed)
    return Splits(name=name, train=train.select(kept), val=train.select(held), test=test)


def load_train_test(
    name_or_folder: str | Path, *, data_dir: Path | None = None, progress: Progress | None = None
) -> tuple[ImageSet, ImageSet]:
    """The training and test images of a data set that is published in these two parts; see `load_splits`.

    Raises:
        UserError: it is a set of photos; and whatever `load_splits` raises.
    """
    if is_photos(name_or_folder):
        raise UserError(f"{name_or_folder} is a folder of photos, not published in two parts: use load_splits.")
    entry = DATA.get(str(name_or_folder))
    folder = Path(name_or_folder) if entry is None else fetch(entry, data_dir=data_dir, progress=progress)
    return read_cifar10(folder) if is_cifar_folder(folder) else read_idx_folder(folder, entry)


def is_photos(name_or_folder: str | Path) -> bool:
    """Whether a data set, by name or folder, is one of image files, which are decoded before they are used.

    Raises:
        UserError: there is no such name or folder.
    """
    if name_or_folder in DATA:
        return data_entry(str(name_or_folder)).layout == "folder"
    folder = Path(name_or_folder)
    if folder.is_dir():
        return not (is_idx_folder(folder) or is_cifar_folder(folder))
    if folder.exists() or folder.name != str(name_or_folder):
        raise UserError(
            f"{folder} is no folder: give one with photos, with four IDX files or with CIFAR-10's files, "
            f"or one of: {', '.join(DATA)}."
        )
    raise unknown("data set", str(name_or_folder), DATA)
