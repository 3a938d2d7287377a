import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convscope.catalog import data_entry
from convscope.data import ImageSet, border_brightness, channel_statistics, load_train_test, locate
from convscope.data.statistics import class_counts, mean_image_per_class


def unlabelled(images: torch.Tensor) -> ImageSet:
    return ImageSet(images, torch.zeros(len(images), dtype=torch.int64), ("a",))


some_images = hnp.arrays("uint8", hnp.array_shapes(min_dims=4, max_dims=4, max_side=6))


@settings(max_examples=60)
@given(images=some_images)
def test_channel_statistics_are_those_of_all_pixels(images: np.ndarray) -> None:  # R-C7, R-B1
    mean, std = channel_statistics(unlabelled(torch.from_numpy(images)))
    pixels = images.astype(np.float64) / 255
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), abs=1e-12)
    # The oracle cancels where all pixels are nearly alike; ours is exact.
    assert std == pytest.approx(pixels.std(axis=(0, 2, 3)), abs=1e-8)


def test_statistics_count_every_piece_of_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr("convscope.data.statistics._SCRATCH", 100_000)
    images = torch.randint(256, (10_001, 3, 4, 4), generator=generator, dtype=torch.uint8)
    images[9_000:] = 255  # the end differs from the beginning
    mean, std = channel_statistics(unlabelled(images))
    pixels = images.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), abs=1e-12)
    assert std == pytest.approx(pixels.std(axis=(0, 2, 3)), abs=1e-12)


def test_the_published_figures_of_fashion_mnist() -> None:
    if locate(data_entry("fashion-mnist")) is None:
        pytest.skip("FashionMNIST is not on this machine: convscope data fetch fashion-mnist")
    train, _ = load_train_test("fashion-mnist")
    mean, std = channel_statistics(train)
    assert (round(mean[0], 4), round(std[0], 4)) == (0.2860, 0.3530)


@settings(max_examples=40)
@given(images=some_images)
def test_border_brightness_is_the_mean_of_the_outermost_ring(images: np.ndarray) -> None:
    height, width = images.shape[2:]
    ring = [
        images[..., row, column]
        for row in range(height)
        for column in range(width)
        if row in (0, height - 1) or column in (0, width - 1)
    ]
    assert border_brightness(unlabelled(torch.from_numpy(images))) == pytest.approx(np.mean(ring) / 255)


def labelled(images: np.ndarray, labels: list[int]) -> ImageSet:
    return ImageSet(torch.from_numpy(images), torch.tensor(labels), ("a", "b", "c", "d"))


@settings(max_examples=40)
@given(data=st.data(), images=some_images)
def test_means_and_counts_of_the_classes(data: st.DataObject, images: np.ndarray) -> None:
    labels = data.draw(st.lists(st.integers(0, 2), min_size=len(images), max_size=len(images)))
    image_set = labelled(images, labels)
    means = mean_image_per_class(image_set)
    assert means.shape == (4, *images.shape[1:])
    assert class_counts(image_set) == [labels.count(k) for k in range(4)]
    for k in set(labels):
        expected = images[np.array(labels) == k].astype(np.float64).mean(axis=0) / 255
        np.testing.assert_allclose(means[k].numpy(), expected, atol=1e-6)
    assert not means[3].any()  # no image has this class
