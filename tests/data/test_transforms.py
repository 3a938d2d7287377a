"""Changes of images, each beside a plain statement of what it should give."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data.transforms import crop, cut_out, flip, jitter, rotate_and_shift, shift

FILL = (-0.8, 0.3)
LUMA = torch.tensor([0.299, 0.587, 0.114])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int = 6, height: int = 9, width: int = 9) -> torch.Tensor:
    """Two channels, values in [-1, 1]."""
    return 2 * torch.rand(count, 2, height, width, generator=generator(99)) - 1


def photos(count: int = 4, channels: int = 3, height: int = 9, width: int = 7, seed: int = 0) -> torch.Tensor:
    """Noise, uint8."""
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator(seed))


WHOLE = torch.tensor([0.0, 0.0, 1.0, 1.0])


@settings(max_examples=30)
@given(height=st.integers(1, 12), width=st.integers(1, 12), size=st.integers(6, 20))
def test_a_crop_of_the_whole_image_is_a_plain_resize(height: int, width: int, size: int) -> None:
    images = photos(2, 3, height, width)
    expected = F.interpolate(images.float(), size=(size, size), mode="bilinear", align_corners=False)
    torch.testing.assert_close(crop(images, WHOLE.expand(2, 4), size), expected, atol=0.01, rtol=0)


def test_a_crop_of_the_whole_image_at_its_own_size_leaves_it() -> None:
    images = photos(2, 3, 128, 128)
    torch.testing.assert_close(crop(images, WHOLE.expand(2, 4), 128), images.float(), atol=0.02, rtol=0)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), size=st.integers(5, 9))
def test_every_pixel_of_a_crop_comes_from_its_place_in_the_box(seed: int, size: int) -> None:  # R-A12
    images = photos(3, 1, 9, 7, seed)
    shares = torch.rand(3, 4, generator=generator(seed))
    height, width = 0.1 + 0.9 * shares[:, 2], 0.1 + 0.9 * shares[:, 3]
    boxes = torch.stack([shares[:, 0] * (1 - height), shares[:, 1] * (1 - width), height, width], dim=1)
    result = crop(images, boxes, size)
    assert images.min() - 0.01 <= result.min() and result.max() <= images.max() + 0.01
    for image, box, got in zip(images, boxes, result, strict=True):
        top, left, tall, wide = (box * torch.tensor([9, 7, 9, 7])).tolist()
        for row in range(size):
            for column in range(size):
                # Pixel centres lie at one half; at the border the outermost pixel goes on.
                y = min(max(top + (row + 0.5) / size * tall - 0.5, 0), 8)
                x = min(max(left + (column + 0.5) / size * wide - 0.5, 0), 6)
                above, before = min(int(y), 7), min(int(x), 5)
                corners = image[0, above : above + 2, before : before + 2].double().numpy()
                expected = np.array([above + 1 - y, y - above]) @ corners @ np.array([before + 1 - x, x - before])
                assert got[0, row, column].item() == pytest.approx(expected, abs=0.01)


def test_fine_stripes_do_not_become_coarse_ones() -> None:
    # Every eighth place lies between two black pixels.
    stripes = torch.tensor([0, 255, 255, 0], dtype=torch.uint8).repeat(16).expand(1, 1, 64, 64)
    inside = crop(stripes, WHOLE.unsqueeze(0), 8)[..., 1:-1, 1:-1]
    assert (inside - 127.5).abs().max() < 5


factors = st.floats(0, 2)


@settings(max_examples=60)
@given(brightness=factors, contrast=factors, saturation=factors, seed=st.integers(0, 1000))
def test_jitter_is_three_steps_in_one(brightness: float, contrast: float, saturation: float, seed: int) -> None:
    images = photos(2, seed=seed)
    # The first image is left as it is, so that a mixture of the two would show.
    result = jitter(images, *(torch.tensor([1.0, factor]) for factor in (brightness, contrast, saturation)))
    torch.testing.assert_close(result[0], images[0].float(), atol=1e-3, rtol=0)
    changed = images[1].double()
    grey = torch.einsum("chw,c->hw", changed, LUMA.double())
    changed = grey + saturation * (changed - grey)
    mean_grey = torch.einsum("chw,c->hw", changed, LUMA.double()).mean()
    changed = brightness * (mean_grey + contrast * (changed - mean_grey))
    torch.testing.assert_close(result[1].double(), changed.clamp(0, 255), atol=1e-2, rtol=0)
    assert result.min() >= 0 and result.max() <= 255


@settings(max_examples=30)
@given(brightness=factors, contrast=factors, saturation=factors)
def test_jitter_keeps_grey_images_grey(brightness: float, contrast: float, saturation: float) -> None:
    grey = photos(2, channels=1)
    chosen = [torch.full((2,), factor) for factor in (brightness, contrast, saturation)]
    result = jitter(grey.expand(-1, 3, -1, -1), *chosen)
    torch.testing.assert_close(result, jitter(grey, *chosen).expand(-1, 3, -1, -1), atol=1e-2, rtol=0)


def test_the_ends_of_jitter() -> None:
    images = photos(1)
    one, none = torch.ones(1), torch.zeros(1)
    grey = (images * LUMA.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    assert jitter(images, none, one, one).max() == 0
    torch.testing.assert_close(jitter(images, one, none, one), grey.mean().expand(images.shape))
    torch.testing.assert_close(jitter(images, one, one, none), grey.expand(images.shape))


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
