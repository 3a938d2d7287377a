"""Images made square by products of matrices, against Pillow and PyTorch, which do it by their own code."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from convscope.data.decoding import Resize, read_square
from convscope.engines.square import ToSquare, resampling

RULES = get_args(Resize)
sides = st.integers(1, 120)


def draw(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """Noise, coarser or finer: (height, width) or (height, width, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 3 + 1, width // 3 + 1, channels)).astype(np.uint8)
    return (
        np.repeat(np.repeat(coarse, 3, axis=0), 3, axis=1)[:height, :width].squeeze(2)
        if channels == 1
        else (random.integers(0, 256, (height, width, 3)).astype(np.uint8))
    )


@given(sides, sides, st.sampled_from((1, 3)), st.integers(1, 70), st.sampled_from(RULES), st.integers(0, 99))
@example(1, 1, 1, 1, "pad", 0)
@example(1, 120, 3, 28, "pad", 0)
@example(120, 1, 3, 28, "crop", 0)
@example(3, 7, 1, 28, "squash", 0)
def test_every_rule_gives_what_training_gave(
    height: int, width: int, channels: int, size: int, rule: Resize, seed: int
) -> None:
    # R-F4
    pixels = draw(height, width, channels, seed)
    expected = read_square(Image.fromarray(pixels), size=size, resize=rule)
    images = torch.from_numpy(pixels).reshape(1, height, width, channels).permute(0, 3, 1, 2)
    square = ToSquare(size, rule)(images)
    assert square.shape == (1, channels, size, size)
    # Pillow rounds to whole levels after each of two products.
    assert (square[0] - expected.float()).abs().max() <= 1.01


@given(st.integers(1, 70), st.sampled_from(RULES), st.integers(0, 99))
def test_squares_of_the_right_size_stay_as_they_are(size: int, rule: Resize, seed: int) -> None:
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(ToSquare(size, rule)(images), images.float())


@given(st.integers(1, 200), st.integers(1, 200))
def test_resampling_is_pytorchs_antialiased_interpolation(length: int, size: int) -> None:
    rows = torch.rand(1, 1, 3, length, generator=torch.Generator().manual_seed(length))
    expected = F.interpolate(rows, size=(3, size), mode="bilinear", antialias=True)
    scale, start = torch.tensor(length / size), torch.tensor(0.0)
    matrix = resampling(length, torch.arange(size), start=start, scale=scale)
    torch.testing.assert_close(rows @ matrix.t(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_images_of_a_batch_do_not_touch_each_other(rule: Resize) -> None:
    images = torch.randint(0, 256, (3, 3, 20, 33), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    square = ToSquare(28, rule)
    torch.testing.assert_close(square(images), torch.cat([square(image[None]) for image in images]))


def test_a_border_has_the_median_colour_of_the_edge() -> None:
    images = torch.full((1, 1, 2, 4), 40, dtype=torch.uint8)
    images[0, 0, 0, 0] = 255
    square = ToSquare(4, "pad")(images)
    assert square[0, 0, 0].tolist() == square[0, 0, 3].tolist() == [40, 40, 40, 40]
    assert square[0, 0, 1:3].tolist() == images[0, 0].float().tolist()
