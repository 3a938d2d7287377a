"""The policy: what is drawn for each image of a batch, and what is left alone."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data import Augmentation
from convscope.errors import UserError

EVERYTHING = Augmentation(flip=True, shift=3, rotation=20, cutout=4)
FILL = (-0.8, 0.3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int = 6, height: int = 9, width: int = 9) -> torch.Tensor:
    """Two channels, values in [-1, 1]."""
    return 2 * torch.rand(count, 2, height, width, generator=generator(99)) - 1


def test_nothing_is_done_by_default() -> None:  # R-B2
    images, labels = random_images(), torch.arange(6)
    augmentation, draws = Augmentation(), generator()
    assert augmentation.crop(images, 5, draws) is images
    assert augmentation.recolour(images, draws) is images
    assert augmentation(images, draws, fill=FILL) is images
    mixed, targets = augmentation.mix(images, labels, 6, draws)
    assert mixed is images and targets is labels
    assert torch.equal(draws.get_state(), generator().get_state())


def places(count: int, side: int = 64) -> torch.Tensor:
    """Two channels that tell each pixel's row and column, from 0.5 on."""
    line = (torch.arange(side) + 0.5).expand(side, side)
    return torch.stack([line.T, line]).expand(count, 2, side, side)


@settings(max_examples=20)
@given(least=st.floats(0.05, 0.99), seed=st.integers(0, 2**63))
def test_a_random_crop_lies_inside_and_keeps_area_and_proportions(least: float, seed: int) -> None:  # R-A12
    cropped = Augmentation(crop_scale=least).crop(places(200), 32, generator(seed))
    assert cropped.shape == (200, 2, 32, 32)
    # Beside the border, where half a pixel is missing, places grow evenly across the result.
    rows, columns = cropped[:, 0, :, 16], cropped[:, 1, 16]
    steps = torch.stack([rows[:, 20] - rows[:, 10], columns[:, 20] - columns[:, 10]], dim=1) / 10
    sides = 32 * steps  # (200, 2): height and width of the box, in pixels of the source
    middles = torch.stack([rows[:, 15:17].mean(dim=1), columns[:, 15:17].mean(dim=1)], dim=1)
    assert (middles - sides / 2).min() > -0.01 and (middles + sides / 2).max() < 64.01
    areas = sides.prod(dim=1) / 64**2
    assert least - 1e-3 < areas.min() and areas.max() < 1.001
    ratios = sides[:, 1] / sides[:, 0]
    assert ratios.min() > 0.749 and ratios.max() < 1.334


def test_random_crops_use_all_they_are_allowed() -> None:
    cropped = Augmentation(crop_scale=0.2).crop(places(4000), 32, generator())
    height, width = (32 * (cropped[:, k, 20, 20] - cropped[:, k, 10, 10]) / 10 for k in (0, 1))
    areas, ratios = height * width / 64**2, width / height
    # The area is uniform, and where any ratio fits its logarithm is so too.
    assert areas.min() < 0.21 and areas.max() > 0.99
    assert areas.mean().item() == pytest.approx(0.6, abs=0.01)
    free = ratios[areas < 0.75].log()
    assert free.abs().max() > 0.99 * math.log(4 / 3)
    assert free.mean().item() == pytest.approx(0, abs=0.01)
    assert free.std().item() == pytest.approx(2 * math.log(4 / 3) / math.sqrt(12), rel=0.03)
    middles = cropped[:, :, 15:17, 15:17].mean(dim=(2, 3))
    assert middles.mean(dim=0).tolist() == pytest.approx([32, 32], abs=0.3)
    assert middles.min() < 18 and middles.max() > 46


@settings(max_examples=40)
@given(
    strength=st.floats(0.01, 1), channels=st.sampled_from([1, 3]), seed=st.integers(0, 2**63), size=st.integers(4, 9)
)
def test_pixels_stay_pixels_and_the_seed_decides(strength: float, channels: int, seed: int, size: int) -> None:
    images = torch.randint(0, 256, (5, channels, 9, 9), dtype=torch.uint8, generator=generator(seed))
    before = images.clone()
    augmentation = Augmentation(crop_scale=1 - 0.9 * strength, jitter=strength)

    def change() -> torch.Tensor:
        draws = generator(seed)
        return augmentation.recolour(augmentation.crop(images, size, draws), draws)

    result = change()
    assert torch.equal(result, change())
    assert torch.equal(images, before)
    assert result.dtype == torch.float32 and result.shape == (5, channels, size, size)
    assert result.min() >= 0 and result.max() <= 255


def test_jitter_draws_three_factors_for_each_image_within_its_strength() -> None:
    # One row reddish, one grey, and no factor cuts anything off: all three can be read off again.
    image = torch.tensor([[100.0, 60.0], [70.0, 60.0], [55.0, 60.0]]).view(1, 3, 2, 1)
    luma = torch.tensor([0.299, 0.587, 0.114])
    result = Augmentation(jitter=0.3).recolour(image.expand(1000, -1, -1, -1), generator())
    grey, before = torch.einsum("nchw,c->nhw", result, luma), torch.einsum("nchw,c->nhw", image, luma)
    brightness = grey.mean(dim=(1, 2)) / before.mean()
    contrast = (grey[:, 0, 0] - grey[:, 1, 0]) / (before[0, 0, 0] - before[0, 1, 0]) / brightness
    saturation = (result[:, 0, 0, 0] - result[:, 2, 0, 0]) / 45 / brightness / contrast
    drawn = torch.stack([brightness, contrast, saturation])
    assert drawn.min() > 0.699 and drawn.max() < 1.301
    assert (drawn.min(dim=1).values < 0.71).all() and (drawn.max(dim=1).values > 1.29).all()
    assert torch.corrcoef(drawn).triu(1).abs().max() < 0.1


@settings(max_examples=60)
@given(
    mixup=st.one_of(st.just(0.0), st.floats(1e-6, 1e6)),
    cutmix=st.floats(1e-6, 1e6),
    seed=st.integers(0, 2**63),
    count=st.integers(1, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_labels_mix_with_the_images(
    mixup: float, cutmix: float, seed: int, count: int, height: int, width: int
) -> None:
    # Each image is 1 in a channel of its own and has a class of its own, so that it can be found again.
    images = torch.eye(count)[:, :, None, None].expand(count, count, height, width)
    augmentation = Augmentation(mixup=mixup, cutmix=cutmix)
    mixed, targets = augmentation.mix(images, torch.arange(count), count, generator(seed))
    assert mixed.shape == images.shape and targets.shape == (count, count)
    assert mixed.dtype == targets.dtype == torch.float32
    torch.testing.assert_close(mixed.mean(dim=(2, 3)), targets)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(count))
    assert targets.min() >= 0 and mixed.isfinite().all()
    again = augmentation.mix(images, torch.arange(count), count, generator(seed))
    assert torch.equal(again[0], mixed) and torch.equal(again[1], targets)


def test_each_batch_draws_mixup_or_cutmix() -> None:
    images, labels = torch.eye(2)[:, :, None, None].expand(2, 2, 8, 8), torch.arange(2)

    def blended(seed: int, **options: Any) -> bool:
        mixed, _ = Augmentation(**options).mix(images, labels, 2, generator(seed))
        return bool(((mixed > 0) & (mixed < 1)).any())

    assert all(blended(seed, mixup=1.0) for seed in range(50))
    assert not any(blended(seed, cutmix=1.0) for seed in range(50))
    assert 80 < sum(blended(seed, mixup=1.0, cutmix=1.0) for seed in range(200)) < 120


sides = st.integers(1, 11)
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
    "options",
    [
        {"shift": -1},
        {"cutout": -1},
        {"rotation": -1.0},
        {"rotation": 181.0},
        {"rotation": math.nan},
        {"crop_scale": 0.0},
        {"crop_scale": 1.1},
        {"crop_scale": math.nan},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": math.nan},
        {"mixup": -1.0},
        {"mixup": math.inf},
        {"cutmix": -1.0},
        {"cutmix": math.nan},
    ],
)
def test_impossible_values_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"use (0 for none|1 for no cropping)"):
        Augmentation(**options)
