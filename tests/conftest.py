"""What several tests need: a small slice of real FashionMNIST, and how properties are searched."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from convscope.data import ImageSet, Splits, load_splits, load_train_test, stratified_split, write_idx

# A busy machine is no fault of the code. Continuous integration tries the same examples each time, people new ones.
settings.register_profile(
    "convscope", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("convscope")


def part(image_set: ImageSet, share: float) -> ImageSet:
    """A stratified part of a set."""
    return image_set.select(stratified_split(image_set.labels, share=share, seed=1)[1])


@pytest.fixture(scope="session")
def fashion_slice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four IDX files: 600 images to train and 200 to test, cut from the set that Convscope ships."""
    folder = tmp_path_factory.mktemp("data") / "fashion-slice"
    folder.mkdir()
    train, test = load_train_test("fashion-mnist-mini")
    for prefix, image_set in (("train", part(train, 0.06)), ("t10k", part(test, 0.1))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", image_set.images[:, 0])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", image_set.labels.to(torch.uint8))
    (folder / "classes.txt").write_text("\n".join(train.classes), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def fashion_splits(fashion_slice: Path) -> Splits:
    """The slice, loaded: 540 images to train, 60 to validate, 200 to test."""
    return load_splits(fashion_slice)
