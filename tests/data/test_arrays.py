"""Images in files of NumPy's."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.data.arrays import ImageArray, is_array
from convscope.data.decoding import read_square
from convscope.errors import UserError


def saved(folder: Path, array: Any) -> Path:
    np.save(folder / "images.npy", array)
    return folder / "images.npy"


def test_what_is_an_array() -> None:
    assert is_array("a/images.npy")
    assert is_array(Path("IMAGES.NPY"))
    assert not is_array("images.png")
    assert not is_array(Image.new("L", (3, 3)))


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 8, 8, 1), (5, 8, 8, 3)])
def test_squares_of_the_right_size_are_taken_as_they_are(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    array = ImageArray.open(saved(tmp_path, pixels))
    assert len(array) == 5
    squares = array.squares(1, 4, size=8, resize="pad")
    expected = torch.from_numpy(pixels[1:4].reshape(3, 8, 8, -1)).permute(0, 3, 1, 2)
    assert torch.equal(squares, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_others_are_resized_like_files(channels: int, resize: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 15, channels), dtype=np.uint8)
    array = ImageArray.open(saved(tmp_path, pixels))
    squares = array.squares(0, 2, size=8, resize=resize)
    for square, image in zip(squares, pixels, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        assert torch.equal(square, read_square(picture, size=8, resize=resize))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 8, 8), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((3, 3, 8, 8), np.uint8),  # channels first
        np.zeros((0, 8, 8), np.uint8),
        np.zeros((3, 0, 8), np.uint8),
        np.array("text"),
    ],
)
def test_what_are_no_images(array: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which are no images: give uint8"):
        ImageArray.open(saved(tmp_path, array))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        ImageArray.open(tmp_path / "missing.npy")
    whole = saved(tmp_path, np.zeros((4, 8, 8), np.uint8)).read_bytes()
    for content in (b"", b"no array", whole[:100], whole[:-1]):
        (tmp_path / "images.npy").write_bytes(content)
        with pytest.raises(UserError, match=r"images\.npy cannot be read as an array"):
            ImageArray.open(tmp_path / "images.npy")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "images.npy").write_bytes(file.getvalue())
    with pytest.raises(UserError, match="cannot be read as an array"):
        ImageArray.open(tmp_path / "images.npy")
