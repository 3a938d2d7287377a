"""Copies: what the hash forgives, what it does not, and which images end up together."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from convscope.doctor.data.duplicates import (
    PHOTOS,
    SHAPES,
    choose_limits,
    group_copies,
    hashes,
    identical,
    join,
    members,
    thumbnails,
)


def textures(count, side=64, seed=0):
    """Distinct smooth textures, uint8 (N, 3, S, S)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 10, 10, generator=generator) * 220 + 10
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    return smooth.round().to(torch.uint8)


def as_pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def recompressed(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file)


ALTERED = {
    "compressed": recompressed,
    "scaled": lambda image: image.resize((36, 36)).resize(image.size),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
}


def groups_of(images):
    small = thumbnails(images)
    return list(members(group_copies(small, torch.arange(len(small)))))


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_found(name):  # R-F2
    images = textures(20)
    altered = torch.stack([as_tensor(ALTERED[name](as_pillow(image))) for image in images])
    assert not (altered == images).flatten(start_dim=1).all(dim=1).any()
    assert groups_of(torch.cat([images, altered])) == [[index, index + 20] for index in range(20)]


def test_different_images_are_not_copies():
    assert groups_of(textures(600)) == []


def test_the_same_shape_in_another_pattern_is_no_copy():
    """Hashes see shapes, so they alone would take these for copies."""
    images = textures(1)[:, :1].repeat(8, 1, 1, 1) // 2
    images += torch.randint(0, 120, images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    bits = hashes(thumbnails(images))
    close = (63 - bits @ bits.T) / 2 <= SHAPES.bits
    assert close.sum() > 8  # more than each with itself
    assert groups_of(images) == []


def test_a_copy_that_is_cut_is_found_where_images_differ_in_many_ways():
    """And where all are of one shape it is not, for there others would be as close."""
    images = textures(200)
    cut = as_tensor(as_pillow(images[7]).crop((1, 1, 63, 63)).resize((64, 64)))[None]
    assert groups_of(torch.cat([images, cut])) == [[7, 200]]
    assert choose_limits(hashes(thumbnails(images))) == PHOTOS
    alike = torch.cat([images[:1].repeat(30, 1, 1, 1), images])
    assert choose_limits(hashes(thumbnails(alike))) == SHAPES
    assert [7 + 30, 230] not in groups_of(torch.cat([alike, cut]))


def test_flat_images_are_left_out():
    flat = torch.full((4, 3, 64, 64), 128, dtype=torch.uint8)
    flat[:, :, 5, 5] += torch.arange(4, dtype=torch.uint8)[:, None]
    assert groups_of(flat) == []


def test_identical_images_stay_together_without_a_look():
    same = identical(["a", "b", "a", "c", "b", "a"])
    assert same.tolist() == [0, 1, 0, 3, 1, 0]
    small = thumbnails(textures(6))  # which are not alike
    assert list(members(group_copies(small, same))) == [[0, 2, 5], [1, 4]]


def test_a_copy_far_away_is_found_and_progress_told():
    """Rows are compared in strips: copies may lie in two of them."""
    images = textures(700)
    images[699], images[300] = images[1], images[2]
    told = []
    groups = group_copies(thumbnails(images), torch.arange(700), lambda *what: told.append(what))
    assert list(members(groups)) == [[1, 699], [2, 300]]
    assert [done for _, done, _ in told] == [256 * 1024, 512 * 1024, 700 * 1024]
    assert {total for _, _, total in told} == {700 * 1024}


def test_many_frames_of_one_film_are_one_group():
    """All pairs are copies: found strip by strip, they must not be compared again and again."""
    frames = textures(1).to(torch.int16) + torch.randint(-2, 3, (900, 3, 64, 64), dtype=torch.int16)
    assert groups_of(frames.clamp(0, 255).to(torch.uint8)) == [list(range(900))]


def test_hash_bits():
    bits = hashes(thumbnails(textures(50)))
    assert bits.shape == (50, 63)
    assert set(bits.unique().tolist()) == {-1.0, 1.0}
    assert (bits.sum(dim=1) == -1).all()  # 31 of 63 lie above their median


def test_thumbnails_of_grey_images_smaller_than_they():
    images = torch.arange(28, dtype=torch.uint8).expand(2, 1, 28, 28)
    small = thumbnails(images)
    assert small.shape == (2, 32, 32)
    assert small[0, :, 0].unique().tolist() == [0] and small[0, :, -1].unique().tolist() == [27]


@given(count=st.integers(1, 30), data=st.data())
def test_join_gives_connected_components(count, data):
    index = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(index, index), max_size=40))
    groups = join(torch.arange(count), torch.tensor(pairs, dtype=torch.int64).view(-1, 2))
    expected = list(range(count))  # one pair after the other, everyone renamed
    for one, other in pairs:
        low, high = sorted((expected[one], expected[other]))
        expected = [low if name == high else name for name in expected]
    assert groups.tolist() == expected
