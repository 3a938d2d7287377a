"""Two images in one, and what of each."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data.mixing import cutmix, draw_share, mixup


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, height: int = 8, width: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Images filled with their number, and a class for each."""
    numbers = torch.arange(count, dtype=torch.float32)
    return numbers.view(-1, 1, 1, 1).expand(count, 3, height, width), torch.eye(count)


@settings(max_examples=30)
@given(share=st.floats(0, 1))
def test_mixup_is_a_weighted_mean_of_neighbours(share: float) -> None:
    images = torch.randn(5, 3, 4, 4, generator=generator())
    mixed, targets = mixup(images, torch.eye(5), share)
    for index in range(5):
        torch.testing.assert_close(mixed[index], share * images[index] + (1 - share) * images[index - 1])
        torch.testing.assert_close(targets[index], share * torch.eye(5)[index] + (1 - share) * torch.eye(5)[index - 1])


@settings(max_examples=60)
@given(share=st.floats(0, 1), row=st.integers(0, 7), column=st.integers(0, 9))
def test_cutmix_pastes_a_box_and_counts_its_pixels(share: float, row: int, column: int) -> None:
    images, classes = numbered(4)
    mixed, targets = cutmix(images, classes, share, centre=(row, column))
    tall, wide = round(8 * math.sqrt(1 - share)), round(10 * math.sqrt(1 - share))
    for index in range(4):
        expected = images[index].clone()
        for i in range(8):
            for j in range(10):
                if 0 <= i - (row - tall // 2) < tall and 0 <= j - (column - wide // 2) < wide:
                    expected[:, i, j] = images[index - 1, :, i, j]
        assert torch.equal(mixed[index], expected)
        own = (expected[0] == index).float().mean()
        torch.testing.assert_close(targets[index, index], own)
        torch.testing.assert_close(targets[index, index - 1], 1 - own)
    assert torch.equal(images, numbered(4)[0])


def test_an_image_by_itself_stays_whole() -> None:
    image, target = numbered(1)
    for mixed, targets in (mixup(image, target, 0.3), cutmix(image, target, 0.3, centre=(2, 3))):
        assert torch.equal(mixed, image) and torch.equal(targets, target)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    draws = generator()
    shares = torch.tensor([draw_share(alpha, draws) for _ in range(4000)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)  # of Beta(alpha, alpha)


def test_the_generator_decides_the_share() -> None:
    assert draw_share(0.5, generator(3)) == draw_share(0.5, generator(3)) != draw_share(0.5, generator(4))
