from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import convscope.data
from convscope.catalog import data_entry
from convscope.data import ImageSet, class_counts, load_splits, load_train_test
from convscope.data.sources import locate
from convscope.errors import UserError

Folder = Callable[..., Path]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_loads_a_folder_of_ones_own(idx_folder: Folder, suffix: str) -> None:
    folder = idx_folder(suffix)
    train, test = load_train_test(folder)
    assert train.images.shape == (40, 1, 4, 4)
    assert test.images.shape == (20, 1, 4, 4)
    assert train.images[1, 0, 0].tolist() == [16, 17, 18, 19]
    assert train.labels.tolist() == [0, 1, 2, 3] * 10
    assert train.classes == test.classes == ("0", "1", "2", "3")


def test_classes_are_named_by_a_file(idx_folder: Folder) -> None:
    folder = idx_folder()
    (folder / "classes.txt").write_text("Socke\nSchürze\n\nHut \nRock\nno image has this\n", encoding="utf-8")
    train, _ = load_train_test(str(folder))
    assert train.classes == ("Socke", "Schürze", "Hut", "Rock", "no image has this")


@pytest.mark.parametrize(
    ("contents", "message"), [(b"one\ntwo\n", "names 2 classes.*up to 3"), (b"caf\xe9\n", "save it as UTF-8")]
)
def test_bad_class_names_are_refused(idx_folder: Folder, contents: bytes, message: str) -> None:
    folder = idx_folder()
    (folder / "classes.txt").write_bytes(contents)
    with pytest.raises(UserError, match=message):
        load_train_test(folder)


def test_validation_images_come_from_the_training_images_alone(idx_folder: Folder) -> None:  # R-F5
    folder = idx_folder()
    train, test = load_train_test(folder)
    splits = load_splits(folder, val_share=0.25, seed=3)
    assert splits.name == str(folder)
    assert sorted(class_counts(splits.val)) == [2, 2, 3, 3]
    both = torch.cat([*splits.train.pieces(100), *splits.val.pieces(100)]).flatten(1).tolist()
    assert sorted(both) == sorted(train.images.flatten(1).tolist())
    assert torch.equal(splits.test.images, test.images)


def pixels(image_set: ImageSet) -> torch.Tensor:
    return image_set.take(torch.arange(len(image_set)))


def test_the_split_is_fixed_by_its_seed(idx_folder: Folder) -> None:
    folder = idx_folder()
    first, again, other = (load_splits(folder, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(pixels(first.val), pixels(again.val))
    assert not torch.equal(pixels(first.val), pixels(other.val))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train_images": torch.zeros(39, 4, 4)}, "holds 39 images.*40 labels"),
        ({"t10k_images": torch.zeros(20, 5, 4)}, "4x4 but the test images 5x4"),
        ({"t10k_images": torch.zeros(20), "t10k_labels": torch.zeros(20, 4, 4)}, "swapped"),
    ],
)
def test_files_that_do_not_belong_together(idx_folder: Folder, replaced: dict[str, torch.Tensor], message: str) -> None:
    folder = idx_folder(**{part: elements.to(torch.uint8) for part, elements in replaced.items()})
    with pytest.raises(UserError, match=message):
        load_train_test(folder)


def test_a_missing_file_is_named(idx_folder: Folder) -> None:
    folder = idx_folder()
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="has no file t10k-labels-idx1-ubyte"):
        load_train_test(folder)


def test_unknown_names_and_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'fashion-mnist'"):
        load_train_test("fashion-mnits")
    with pytest.raises(UserError, match="is no folder"):
        load_train_test(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        load_train_test(str(tmp_path / "file"))


def test_a_named_set_with_a_foreign_file_names_it_and_leaves_it(idx_folder: Folder, tmp_path: Path) -> None:
    own = idx_folder()
    own.rename(tmp_path / "fashion-mnist")
    with pytest.raises(UserError, match="train-images-idx3-ubyte is not the published file"):
        load_train_test("fashion-mnist", data_dir=tmp_path)
    assert len(list((tmp_path / "fashion-mnist").iterdir())) == 4


def test_the_shipped_subset_is_what_the_catalogue_says() -> None:  # R-F8
    entry = data_entry("fashion-mnist-mini")
    train, test = load_train_test(entry.name)
    assert class_counts(train) == [entry.train_images // 10] * 10
    assert class_counts(test) == [entry.test_images // 10] * 10
    assert train.images.shape[1:] == (entry.in_channels, entry.input_size, entry.input_size)
    assert train.classes == entry.classes
    folder = locate(entry)
    assert folder is not None
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
    assert "Copyright (c) 2017 Zalando SE" in (folder / "NOTICE").read_text(encoding="utf-8")
    # No image is in it twice, or in both parts.
    images = torch.cat([train.images, test.images]).numpy()
    assert len({image.tobytes() for image in images}) == len(images)


def test_every_public_name_is_there() -> None:
    assert all(getattr(convscope.data, name) is not None for name in convscope.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = convscope.data.nothing
