from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data import Augmentation
from convscope.data.augment import cut_out, flip, rotate_and_shift, shift
from convscope.errors import UserError

EVERYTHING = Augmentation(flip=True, shift=3, rotation=20, cutout=4)
FILL = (-0.8, 0.3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int = 6, height: int = 9, width: int = 9) -> torch.Tensor:
    """Two channels, values in [-1, 1]."""
    return 2 * torch.rand(count, 2, height, width, generator=generator(99)) - 1


def test_nothing_is_done_by_default() -> None:  # R-B2
    images = random_images()
    assert Augmentation()(images, generator(), fill=FILL) is images


sides = st.integers(1, 11)


@settings(max_examples=40)
@given(height=sides, width=sides, most=st.integers(0, 12), seed=st.integers(0, 1000))
def test_a_shift_moves_whole_pixels(height: int, width: int, most: int, seed: int) -> None:  # R-B2
    images = random_images(4, height, width)
    offsets = torch.randint(-most, most + 1, (4, 2), generator=generator(seed))
    result = shift(images, offsets, most, FILL)
    for image, moved, (down, right) in zip(images, result, offsets.tolist(), strict=True):
        expected = torch.tensor(FILL).view(2, 1, 1).repeat(1, height, width)
        for row in range(max(0, down), min(height, height + down)):
            for column in range(max(0, right), min(width, width + right)):
                expected[:, row, column] = image[:, row - down, column - right]
        assert torch.equal(moved, expected)


@settings(max_examples=40)
@given(height=sides, width=sides, seed=st.integers(0, 1000))
def test_a_shift_equals_resampling_without_rotation(height: int, width: int, seed: int) -> None:
    images = random_images(4, height, width)
    offsets = torch.randint(-3, 4, (4, 2), generator=generator(seed))
    resampled = rotate_and_shift(images, torch.zeros(4), offsets, FILL)
    torch.testing.assert_close(resampled, shift(images, offsets, 3, FILL), atol=1e-4, rtol=0)


def test_quarter_turns_are_anticlockwise_about_the_centre() -> None:
    images = random_images(4)
    degrees = torch.tensor([90.0, 180.0, -90.0, 360.0])
    result = rotate_and_shift(images, degrees, torch.zeros(4, 2, dtype=torch.int64), FILL)
    for image, turned, quarters in zip(images, result, (1, 2, -1, 0), strict=True):
        torch.testing.assert_close(turned, image.rot90(quarters, (1, 2)), atol=1e-4, rtol=0)


def test_a_rotated_image_is_moved_afterwards() -> None:
    images = random_images(1)
    turned = images.rot90(1, (2, 3))
    result = rotate_and_shift(images, torch.tensor([90.0]), torch.tensor([[2, -1]]), FILL)
    torch.testing.assert_close(result, shift(turned, torch.tensor([[2, -1]]), 2, FILL), atol=1e-4, rtol=0)


def test_a_rotation_does_not_stretch_what_is_not_square() -> None:
    images = torch.zeros(1, 1, 5, 11)
    images[:, :, 2, 3:8] = 1  # a bar in the middle, five pixels long
    result = rotate_and_shift(images, torch.tensor([90.0]), torch.tensor([[0, 0]]), (0.0,))
    expected = torch.zeros(1, 1, 5, 11)
    expected[:, :, :, 5] = 1
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_a_flip_of_a_flip_is_the_image() -> None:  # R-B2
    images = random_images()
    chosen = torch.tensor([True, False] * 3)
    once = flip(images, chosen)
    assert torch.equal(once[0], images[0].flip(2))
    assert torch.equal(once[1], images[1])
    assert torch.equal(flip(once, chosen), images)


@settings(max_examples=40)
@given(row=st.integers(0, 8), column=st.integers(0, 6), side=st.integers(1, 12))
def test_cutout_sets_a_square_to_the_mean(row: int, column: int, side: int) -> None:
    images = random_images(2, 9, 7) + 2  # without zeros
    result = cut_out(images, torch.tensor([row, 4]), torch.tensor([column, 3]), side)
    expected = images[0].clone()
    top, left = row - side // 2, column - side // 2
    expected[:, max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 0
    assert torch.equal(result[0], expected)
    assert (result[1] == 0).any()


augmentations = st.builds(
    Augmentation,
    flip=st.booleans(),
    shift=st.integers(0, 12),
    rotation=st.floats(0, 180),
    cutout=st.integers(0, 12),
)


@settings(max_examples=60)
@given(augmentation=augmentations, seed=st.integers(0, 2**63), height=sides, width=sides)
def test_the_seed_decides_and_no_value_leaves_the_range(
    augmentation: Augmentation, seed: int, height: int, width: int
) -> None:
    images = random_images(5, height, width)
    before = images.clone()
    state = torch.get_rng_state()
    first = augmentation(images, generator(seed), fill=FILL)
    again = augmentation(images, generator(seed), fill=FILL)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    assert first.min() >= -1 - 1e-5
    assert first.max() <= 1 + 1e-5


def test_each_image_draws_its_own_numbers() -> None:
    alike = random_images(1).expand(64, -1, -1, -1)
    for options in ({"flip": True}, {"shift": 2}, {"rotation": 20.0}, {"cutout": 4}):
        chosen: dict[str, Any] = options
        results = Augmentation(**chosen)(alike, generator(), fill=FILL).numpy()
        different = len({image.tobytes() for image in results})
        assert different == 2 if "flip" in options else different > 10


def test_draws_cover_what_is_allowed_and_no_more() -> None:
    # One bright pixel in the middle tells how far each image was moved.
    images = torch.zeros(2000, 1, 9, 9)
    images[:, :, 4, 4] = 1
    moved = Augmentation(shift=2)(images, generator(), fill=(0.0,)).flatten(1).argmax(dim=1)
    places = {(place // 9 - 4, place % 9 - 4) for place in moved.tolist()}
    assert places == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    # A pixel right of the centre tells the angle.
    images = torch.zeros(500, 1, 41, 41)
    images[:, :, 20, 38] = 1
    turned = Augmentation(rotation=30)(images, generator(), fill=(0.0,)).squeeze(1).numpy()
    rows, columns = np.arange(41)[:, None] - 20, np.arange(41)[None, :] - 20
    angles = np.degrees(np.arctan2(-(turned * rows).sum(axis=(1, 2)), (turned * columns).sum(axis=(1, 2))))
    assert -30.5 < angles.min() < -28
    assert 28 < angles.max() < 30.5


def test_what_a_rotation_uncovers_is_black() -> None:
    black = torch.tensor(FILL).view(1, 2, 1, 1).expand(8, 2, 9, 9)
    result = Augmentation(rotation=45, shift=3)(black, generator(), fill=FILL)
    torch.testing.assert_close(result, black)


def test_everything_together_keeps_colour_layout_and_type() -> None:
    images = random_images().double().contiguous(memory_format=torch.channels_last)
    result = EVERYTHING(images, generator(), fill=FILL)
    assert result.dtype == torch.float64
    torch.testing.assert_close(result, EVERYTHING(images.contiguous(), generator(), fill=FILL), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    "options", [{"shift": -1}, {"cutout": -1}, {"rotation": -1.0}, {"rotation": 181.0}, {"rotation": float("nan")}]
)
def test_impossible_values_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="use 0 for none"):
        Augmentation(**options)
