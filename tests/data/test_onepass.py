"""The batches of the compiled kernels are those of PyTorch's operators, to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convscope.data import Augmentation, Batches, ImageSet, Preprocessing
from convscope.data.onepass import OnePass
from convscope.data.sharing import Part, Share
from convscope.kernels import build


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    if not build.load():
        pytest.skip(f"compiled kernels are off: {build.obstacle()}")


def random_set(count: int, channels: int, height: int, width: int | None = None) -> ImageSet:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(256, (count, channels, height, width or height), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 3, ("a", "b", "c"))


def preprocessing_of(size: int, channels: int, **replaced: Any) -> Preprocessing:
    mean, std = (0.0, 0.3, 0.47)[:channels], (0.35, 0.2, 1.0)[:channels]
    values = {"size": size, "channels": channels, "mean": mean, "std": std, "decode_size": size}
    return Preprocessing(**(values | {"border": 0.0, "resize": "pad"} | replaced))


def one_pass_of(image_set: ImageSet, preprocessing: Preprocessing, **options: Any) -> OnePass:
    one_pass = OnePass.of(image_set, preprocessing, Augmentation(**options))
    assert one_pass is not None
    return one_pass


def epoch_of(compiled: bool, *arguments: Any, start: int, **keywords: Any) -> list[tuple[Tensor, Tensor]]:
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(build, "is_loaded", lambda: False)
        return list(Batches(*arguments, **keywords).epoch(3, start))


def assert_same_bits(images: Tensor, expected: Tensor) -> None:
    assert images.dtype == expected.dtype and images.shape == expected.shape
    # Of no images, or images of one pixel, the strides say nothing.
    assert images.stride() == expected.stride() or len(images) == 0 or images.shape[2] == 1
    assert torch.equal(images.view(torch.int32), expected.view(torch.int32))


augmentations = st.builds(
    Augmentation,
    flip=st.booleans(),
    shift=st.integers(0, 9),
    cutout=st.integers(0, 20),
    mixup=st.sampled_from((0.0, 0.3)),
    cutmix=st.sampled_from((0.0, 1.0)),
)


@settings(max_examples=150)
@given(
    data=st.data(),
    augmentation=augmentations,
    count=st.integers(1, 40),
    channels=st.sampled_from(((1, 1), (3, 3), (1, 3), (2, 2))),
    size=st.integers(1, 12),
    seed=st.none() | st.integers(0, 2**64 - 1),
)
def test_batches_have_the_same_bits(
    data: st.DataObject,
    augmentation: Augmentation,
    count: int,
    channels: tuple[int, int],
    size: int,
    seed: int | None,
) -> None:
    image_set = random_set(count, channels[0], size)
    if data.draw(st.booleans(), label="some"):
        image_set = image_set.select(torch.randperm(count)[: data.draw(st.integers(1, count), label="chosen")])
    keywords: dict[str, Any] = {
        "batch_size": data.draw(st.integers(1, len(image_set)), label="batch_size"),
        "shuffle_seed": seed,
        "augmentation": None if seed is None else augmentation,
        "share": data.draw(st.sampled_from((Share(), Share(0, 2), Share(2, 3))), label="share"),
        "start": data.draw(st.integers(0, 2), label="start"),
    }
    preprocessing = preprocessing_of(size, channels[1])
    one_pass_of(image_set, preprocessing)
    batches, expected = (epoch_of(compiled, image_set, preprocessing, **keywords) for compiled in (True, False))
    assert len(batches) == len(expected)
    for (images, labels), (images_expected, labels_expected) in zip(batches, expected, strict=True):
        assert_same_bits(images, images_expected)
        assert torch.equal(labels, labels_expected)


def test_nothing_depends_on_the_number_of_threads() -> None:
    image_set = random_set(150, 3, 32)
    batches = Batches(
        image_set,
        preprocessing_of(32, 3),
        batch_size=150,
        shuffle_seed=0,
        augmentation=Augmentation(flip=True, shift=4, cutout=8),
    )
    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            made.append(next(batches.epoch(0))[0])
    finally:
        torch.set_num_threads(before)
    for images in made[1:]:
        assert_same_bits(images, made[0])


def test_blends_have_the_same_bits() -> None:
    # PyTorch gives zeros at the end of a tensor another sign where a share is 1, so the order of the values matters.
    for size in (2, 3):
        arguments = random_set(40, 3, size), preprocessing_of(size, 3)
        keywords = {"batch_size": 2, "shuffle_seed": 0, "augmentation": Augmentation(cutout=2, mixup=0.01), "start": 0}
        batches, expected = (epoch_of(compiled, *arguments, **keywords) for compiled in (True, False))
        for (images, _), (images_expected, _) in zip(batches, expected, strict=True):
            assert_same_bits(images, images_expected)


def test_pixels_may_lie_in_a_file(tmp_path: Path) -> None:
    image_set = random_set(20, 1, 6)
    image_set.images.numpy().tofile(tmp_path / "pixels")
    pixels = torch.from_numpy(np.memmap(tmp_path / "pixels", mode="c", shape=(20, 1, 6, 6)))
    mapped = ImageSet(pixels, image_set.labels, image_set.classes)
    preprocessing = preprocessing_of(6, 1)
    (images, _), (expected, _) = (
        next(Batches(each, preprocessing, batch_size=20, shuffle_seed=0).epoch(0)) for each in (mapped, image_set)
    )
    assert_same_bits(images, expected)


@pytest.mark.parametrize(
    "options", [{"rotation": 5.0}, {"jitter": 0.1}, {"crop_scale": 0.5}], ids=lambda options: next(iter(options))
)
def test_what_is_more_than_moving_pixels_goes_the_plain_way(options: dict[str, float]) -> None:
    assert OnePass.of(random_set(3, 3, 6), preprocessing_of(6, 3), Augmentation(**options)) is None


def test_images_to_be_resized_or_made_grey_go_the_plain_way() -> None:
    plain = Augmentation()
    assert OnePass.of(random_set(3, 3, 6), preprocessing_of(7, 3), plain) is None
    assert OnePass.of(random_set(3, 1, 6, 7), preprocessing_of(6, 1), plain) is None
    assert OnePass.of(random_set(3, 3, 6), preprocessing_of(6, 1), plain) is None


def test_scattered_pixels_go_the_plain_way() -> None:
    image_set = random_set(3, 3, 6)
    scattered = ImageSet(image_set.images.permute(0, 1, 3, 2), image_set.labels, image_set.classes)
    assert OnePass.of(scattered, preprocessing_of(6, 3), Augmentation()) is None


def test_without_loaded_kernels_none_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "is_loaded", lambda: False)
    monkeypatch.setattr(build, "load", lambda: pytest.fail("a batch is no reason to build"))
    assert OnePass.of(random_set(3, 3, 6), preprocessing_of(6, 3), Augmentation()) is None
    next(Batches(random_set(3, 3, 6), preprocessing_of(6, 3), batch_size=3).epoch(0))


def test_a_batch_without_images_has_a_shape() -> None:
    one_pass = one_pass_of(random_set(3, 3, 6), preprocessing_of(6, 3), flip=True, shift=1, cutout=2)
    none = torch.empty(0, dtype=torch.int64)
    images = one_pass(none, torch.Generator(), Part(2, none))
    assert images.shape == (0, 3, 6, 6) and images.dtype == torch.float32


@pytest.mark.parametrize("index", [-1, 3, 2**62])
def test_images_that_are_not_there_are_an_error(index: int) -> None:
    one_pass = one_pass_of(random_set(3, 1, 6), preprocessing_of(6, 1))
    with pytest.raises(IndexError, match="there are 3 images"):
        one_pass(torch.tensor([0, index]), torch.Generator(), Part.all(2))


def arguments(**replaced: Any) -> tuple[Any, ...]:
    values = {
        "pixels": torch.zeros(5, 3, 4, 4, dtype=torch.uint8),
        "rows": torch.tensor([4, 0]),
        "table": torch.rand(3, 256),
        "fill": torch.zeros(3),
        "mirrored": torch.tensor([True, False]),
        "offsets": torch.tensor([[1, -1], [90, 0]]),
        "centres": torch.tensor([[0, 0], [3, 1]]),
        "side": 2,
    }
    return tuple((values | replaced).values())


@pytest.mark.parametrize(
    ("replaced", "complaint"),
    [
        ({"pixels": torch.zeros(5, 3, 4, 4)}, "pixels must be dense uint8"),
        ({"pixels": torch.zeros(5, 4, 4, 3, dtype=torch.uint8).permute(0, 3, 1, 2)}, "pixels must be dense uint8"),
        ({"pixels": torch.zeros(5, 2, 4, 4, dtype=torch.uint8)}, "of 2 channels do not become 3 channels"),
        ({"rows": torch.tensor([[4], [0]])}, "rows"),
        ({"rows": torch.tensor([4.0, 0.0])}, "rows must be"),
        ({"table": torch.rand(3, 255)}, "table must be"),
        ({"fill": torch.zeros(2)}, "fill must be"),
        ({"mirrored": torch.tensor([1, 0])}, "mirrored must be"),
        ({"offsets": torch.tensor([1, -1])}, "offsets must be"),
        ({"centres": torch.tensor([[0, 0]])}, "centres must be"),
        ({"side": -1}, "cannot be negative"),
    ],
)
def test_what_does_not_fit_together_is_an_error(replaced: dict[str, Any], complaint: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=complaint):
        torch.ops.convscope.batch(*arguments(**replaced))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_operator_keeps_the_rules_of_the_library(channels: int) -> None:
    pixels = torch.zeros(5, 1, 4, 4, dtype=torch.uint8)
    given = arguments(pixels=pixels, table=torch.rand(channels, 256), fill=torch.zeros(channels))
    torch.library.opcheck(torch.ops.convscope.batch.default, given, test_utils=("test_schema", "test_faketensor"))
