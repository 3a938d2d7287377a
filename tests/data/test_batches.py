from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data import Augmentation, Batches, ImageSet, Preprocessing
from convscope.data.batches import derive_seed
from convscope.errors import UserError

EVERYTHING = Augmentation(flip=True, shift=1, rotation=10, cutout=2)


def numbered(count: int, channels: int = 1) -> ImageSet:
    """Images whose pixels, and labels, say which image it is."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, channels, 6, 6).clone()
    return ImageSet(images, torch.arange(count), tuple(str(k) for k in range(count)))


def unit(channels: int = 1) -> Preprocessing:
    return Preprocessing(
        size=6,
        channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        border=0.0,
        decode_size=6,
        resize="pad",
    )


counts = st.integers(1, 200)


@settings(max_examples=50)
@given(count=counts, data=st.data(), seed=st.none() | st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**6))
def test_each_image_comes_once_an_epoch_with_its_label(
    count: int, data: st.DataObject, seed: int | None, epoch: int
) -> None:  # R-A1
    batch_size = data.draw(st.integers(1, count))
    batches = Batches(numbered(count), unit(), batch_size=batch_size, shuffle_seed=seed)
    parts = list(batches.epoch(epoch))
    assert len(parts) == len(batches)
    assert batches.samples == count
    assert all(len(labels) == batch_size for _, labels in parts[:-1])
    labels = torch.cat([labels for _, labels in parts])
    assert sorted(labels.tolist()) == list(range(count))
    images = torch.cat([images for images, _ in parts])
    assert (images[:, 0, 0, 0] * 255).round().to(torch.int64).tolist() == labels.tolist()
    if seed is None:
        assert labels.tolist() == list(range(count))


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 100))
def test_an_epoch_resumed_at_any_step_has_the_same_bits(data: st.DataObject, seed: int, epoch: int) -> None:  # R-F6
    train = numbered(50)
    options = {"batch_size": 8, "shuffle_seed": seed, "augmentation": EVERYTHING}
    whole = list(Batches(train, unit(), **options).epoch(epoch))
    start = data.draw(st.integers(0, len(whole)))
    torch.rand(3)  # what else draws random numbers has no influence
    rest = list(Batches(train, unit(), **options).epoch(epoch, start=start))
    assert len(rest) == len(whole) - start
    for (images, labels), (images_again, labels_again) in zip(whole[start:], rest, strict=True):
        assert torch.equal(images, images_again)
        assert torch.equal(labels, labels_again)


def test_every_kind_of_augmentation_reaches_the_batch() -> None:  # R-A5, R-B2
    def first(**options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (8, 3, 6, 6), generator=generator, dtype=torch.uint8)
        train = ImageSet(pixels, torch.arange(8), tuple("abcdefgh"))
        batches = Batches(train, unit(3), batch_size=8, shuffle_seed=0, augmentation=Augmentation(**options))
        return next(iter(batches.epoch(0)))

    plain, labels = first()
    kinds = ("flip", "shift", "rotation", "cutout", "crop_scale", "jitter", "mixup", "cutmix")
    strengths = (True, 2, 30.0, 3, 0.3, 0.5, 1.0, 1.0)
    for kind, strength in zip(kinds, strengths, strict=True):
        images, targets = first(**{kind: strength})
        assert images.shape == plain.shape
        assert not torch.equal(images, plain), kind
        if kind in ("mixup", "cutmix"):
            assert targets.shape == (8, 8)
            assert torch.allclose(targets.sum(dim=1), torch.ones(8))
        else:
            assert torch.equal(targets, labels)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(Batches(numbered(20), unit(), batch_size=8, shuffle_seed=1, augmentation=EVERYTHING).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_epochs_and_steps_differ() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = Batches(numbered(64), unit(), batch_size=64, shuffle_seed=seed)
        return next(batches.epoch(epoch))[1].tolist()

    orders = {tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    # Equal images: only the augmentation can tell one step from the next.
    alike = ImageSet(numbered(2).images[1:].repeat(32, 1, 1, 1), torch.zeros(32, dtype=torch.int64), ("only",))
    alike.images[:, :, 2, 3] = 255
    batches = Batches(alike, unit(), batch_size=16, shuffle_seed=0, augmentation=EVERYTHING)
    (first, _), (second, _) = batches.epoch(0)
    assert not torch.equal(first, second)


def test_neutral_augmentation_changes_nothing() -> None:
    bare, neutral = (
        Batches(numbered(20), unit(), batch_size=20, shuffle_seed=5, augmentation=augmentation)
        for augmentation in (None, Augmentation())
    )
    assert torch.equal(next(bare.epoch(0))[0], next(neutral.epoch(0))[0])


def test_colour_comes_channels_last() -> None:
    images, _ = next(Batches(numbered(4, channels=3), unit(3), batch_size=4).epoch(0))
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_uncovered_pixels_are_black() -> None:
    white = ImageSet(torch.full((64, 1, 6, 6), 255, dtype=torch.uint8), torch.zeros(64, dtype=torch.int64), ("w",))
    preprocessing = Preprocessing(size=6, channels=1, mean=(0.5,), std=(0.25,), border=1.0, decode_size=6, resize="pad")
    batches = Batches(white, preprocessing, batch_size=64, shuffle_seed=0, augmentation=Augmentation(shift=3))
    images, _ = next(batches.epoch(0))
    assert set(images.flatten().tolist()) == {-2.0, 2.0}


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(UserError, match="batch size 21 is more than the 20 training images"):
        Batches(numbered(20), unit(), batch_size=21, shuffle_seed=0)
    with pytest.raises(UserError, match="must be at least 1"):
        Batches(numbered(20), unit(), batch_size=0)
    with pytest.raises(UserError, match="shuffle seed"):
        Batches(numbered(20), unit(), batch_size=2, augmentation=EVERYTHING)
    # A set to evaluate may be smaller than a batch.
    assert len(Batches(numbered(20), unit(), batch_size=64)) == 1


def test_seeds_are_mixed_by_splitmix64() -> None:
    # The first number of the published generator from state 0.
    assert derive_seed(0) == 0xE220A8397B1DCDAF
    assert derive_seed(1, 2) != derive_seed(2, 1)
    assert derive_seed(1, 0) != derive_seed(1)
    seeds = {derive_seed(seed, epoch, step) for seed in range(20) for epoch in range(20) for step in range(20)}
    assert len(seeds) == 8000
