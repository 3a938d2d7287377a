import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convscope.data import ImageSet, Preprocessing
from convscope.data.preprocessing import Scaling
from convscope.errors import UserError


def random_set(channels: int = 1, height: int = 8, width: int = 8, count: int = 50) -> ImageSet:
    generator = torch.Generator().manual_seed(channels)
    images = torch.randint(20, 200, (count, channels, height, width), generator=generator, dtype=torch.uint8)
    return ImageSet(images, torch.zeros(count, dtype=torch.int64), ("only",))


def plain(size: int = 8, channels: int = 1) -> Preprocessing:
    """To [0, 1] and no further."""
    return Preprocessing(
        size=size,
        channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        border=0.0,
        decode_size=size,
        resize="pad",
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_standardised_training_images_have_mean_0_and_deviation_1(channels: int) -> None:  # R-B1
    train = random_set(channels)
    result = Preprocessing.for_training(train)(train.images)
    assert result.dtype == torch.float32
    assert result.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * channels, abs=1e-5)
    assert result.std(dim=(0, 2, 3), unbiased=False).tolist() == pytest.approx([1.0] * channels, abs=1e-5)


@pytest.mark.parametrize(("scaling", "least", "most"), [("unit", 0.0, 1.0), ("signed", -1.0, 1.0)])
def test_fixed_ranges(scaling: Scaling, least: float, most: float) -> None:  # R-B1
    preprocessing = Preprocessing.for_training(random_set(), scaling)
    extremes = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    black, grey, white = preprocessing(extremes)[:, 0, 0, 0].tolist()
    assert (black, white) == pytest.approx((least, most))
    assert grey == pytest.approx(least + 0.2 * (most - least))


@settings(max_examples=40)
@given(value=st.integers(0, 255), mean=st.floats(0, 1), std=st.floats(0.05, 2))
def test_normalises_as_the_formula_says(value: int, mean: float, std: float) -> None:
    preprocessing = Preprocessing(size=2, channels=1, mean=(mean,), std=(std,), border=0.0, decode_size=2, resize="pad")
    result = preprocessing(torch.full((1, 1, 2, 2), value, dtype=torch.uint8))
    assert result.flatten().tolist() == pytest.approx([(value / 255 - mean) / std] * 4, abs=1e-5)
    assert preprocessing.black == pytest.approx((-mean / std,))


def test_grey_is_repeated_and_normalised_by_each_channel() -> None:
    train = random_set()
    preprocessing = Preprocessing.for_training(train, channels=3)
    result = preprocessing(train.images)
    assert result.shape == (50, 3, 8, 8)
    assert preprocessing.mean == (preprocessing.mean[0],) * 3
    assert torch.equal(result[:, 0], result[:, 2])


def test_colour_becomes_grey_as_pillow_does_it() -> None:
    train = random_set(channels=3)
    result = plain()(train.images) * 255
    for ours, image in zip(result, train.images, strict=True):
        pillow = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        np.testing.assert_allclose(ours[0].numpy(), pillow, atol=1)
    standardised = Preprocessing.for_training(train, channels=1)(train.images)
    assert standardised.mean() == pytest.approx(0, abs=0.01)
    assert standardised.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 20), (40, 40, 9), (30, 12, 16)])
def test_resizes_as_pillow_does_it(height: int, width: int, size: int) -> None:  # R-E4
    images = random_set(height=height, width=width, count=3).images
    result = plain(size)(images) * 255
    for ours, image in zip(result, images, strict=True):
        pillow = Image.fromarray(image[0].numpy()).resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(ours[0].numpy(), np.asarray(pillow), atol=1.01)


def test_the_size_is_that_of_the_images_unless_given() -> None:
    assert Preprocessing.for_training(random_set()).size == 8
    assert Preprocessing.for_training(random_set(), size=5).size == 5
    assert Preprocessing.for_training(random_set(height=4), size=5).size == 5
    with pytest.raises(UserError, match="4x8, not square"):
        Preprocessing.for_training(random_set(height=4))


def test_the_border_is_measured_on_the_training_images() -> None:
    train = random_set()
    train.images[:, :, [0, -1]] = 255
    train.images[:, :, :, [0, -1]] = 255
    assert Preprocessing.for_training(train).border == 1.0


def test_what_cannot_be_done_is_said() -> None:
    flat = ImageSet(torch.full((3, 1, 4, 4), 7, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), ("only",))
    with pytest.raises(UserError, match="cannot be standardised"):
        Preprocessing.for_training(flat)
    with pytest.raises(UserError, match="did you mean 'signed'"):
        Preprocessing.for_training(random_set(), "signd")
    for channels in (1, 3):
        with pytest.raises(UserError, match=f"from 2 channels to {channels}"):
            Preprocessing.for_training(random_set(channels=2), channels=channels)
        with pytest.raises(UserError, match=f"from 2 channels to {channels}"):
            plain(channels=channels)(random_set(channels=2).images)


def test_comes_back_from_json_the_same() -> None:
    preprocessing = Preprocessing.for_training(random_set(channels=3), size=12)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": 3}, "did you mean 'size'"),
        ({"size": "28"}, "'size' is '28'"),
        ({"size": 28.0}, "'size' is 28.0"),
        ({"channels": True}, "'channels' is True"),
        ({"size": 0}, "at least 1"),
        ({"mean": 0.5}, "'mean' is 0.5"),
        ({"mean": ["0.5"]}, "'mean' is"),
        ({"mean": [0.5, 0.5]}, "2 means and 1 standard deviations"),
        ({"mean": [float("nan")]}, "must be finite"),
        ({"std": [0.0]}, "every std positive"),
        ({"border": None}, "'border' is"),
        ({"border": 10**400}, "'border' has a number beyond all that a float can hold"),
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Preprocessing.from_dict(plain().to_dict() | change)


def test_an_incomplete_record_is_refused() -> None:
    values = plain().to_dict()
    del values["std"]
    with pytest.raises(UserError, match="lacks 'std'"):
        Preprocessing.from_dict(values)
