"""Image files of every mode, orientation and state of health, made from a real image of a shoe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from convscope.data.datasets import load_train_test
from convscope.data.decoding import pad_to_square, read_image
from convscope.errors import UserError


@pytest.fixture(scope="module")
def shoe() -> Image.Image:
    """An ankle boot, 28x28 grey: neither symmetric nor square in what it shows."""
    _, test = load_train_test("fashion-mnist-mini")
    index = int(torch.nonzero(test.labels == test.classes.index("Ankle boot"))[0])
    return Image.fromarray(test.images[index, 0].numpy())


def grey(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("L")))[None]


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_of_a_png_gives_the_same_pixels(mode: str, shoe: Image.Image, tmp_path: Path) -> None:
    path = saved(shoe.convert(mode), tmp_path / "shoe.png")
    assert mode_of(path) == mode
    pixels = read_image(path)
    assert pixels.dtype == torch.uint8
    assert pixels.shape == ((1, 28, 28) if mode in ("L", "LA") else (3, 28, 28))
    assert torch.equal(pixels, grey(shoe).expand_as(pixels))


def test_black_and_white(shoe: Image.Image, tmp_path: Path) -> None:
    pixels = read_image(saved(shoe.convert("1"), tmp_path / "shoe.png"))
    assert torch.equal(pixels, grey(shoe.convert("1")))
    assert set(pixels.unique().tolist()) == {0, 255}


def test_print_colours(shoe: Image.Image, tmp_path: Path) -> None:
    pixels = read_image(saved(shoe.convert("RGB").convert("CMYK"), tmp_path / "shoe.tif"))
    assert (pixels.int() - grey(shoe).int()).abs().max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_and_not_clipped(suffix: str, shoe: Image.Image, tmp_path: Path) -> None:
    deep = Image.fromarray(np.array(shoe).astype(np.uint16) * 257)
    path = saved(deep, tmp_path / f"shoe.{suffix}")
    assert mode_of(path).startswith("I")
    assert torch.equal(read_image(path), grey(shoe))


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 257.0])
def test_floats_are_scaled_by_the_white_they_imply(scale: float, shoe: Image.Image, tmp_path: Path) -> None:
    values = np.array(shoe).astype(np.float32)
    values[0, 0] = 255  # so that the image reaches white
    path = saved(Image.fromarray((values * np.float32(scale)).astype(np.float32)), tmp_path / "shoe.tif")
    assert mode_of(path) == "F"
    expected = grey(shoe)
    expected[0, 0, 0] = 255
    assert torch.equal(read_image(path), expected)


def test_floats_that_are_no_numbers_become_black() -> None:
    values = np.array([[np.nan, 1.0], [-3.0, 0.5]], dtype=np.float32)
    assert read_image(Image.fromarray(values)).tolist() == [[[0, 255], [0, 128]]]


def test_32_bits_brighter_than_any_usual_white() -> None:
    values = np.array([[0, 100_000], [200_000, 50_000]], dtype=np.int32)
    assert read_image(Image.fromarray(values)).tolist() == [[[0, 128], [255, 64]]]


def test_transparent_parts_lie_on_white(shoe: Image.Image, tmp_path: Path) -> None:
    cut_out = shoe.convert("LA")
    cut_out.putalpha(shoe.point(lambda value: 255 if value else 0))
    expected = torch.where(grey(shoe) == 0, 255, grey(shoe))
    for mode in ("LA", "RGBA"):
        pixels = read_image(saved(cut_out.convert(mode), tmp_path / f"{mode}.png"))
        assert torch.equal(pixels, expected.expand_as(pixels))
    # A palette with one transparent colour, as GIF and small PNG files have it.
    palette = saved(shoe.convert("P"), tmp_path / "P.png", transparency=0)
    assert mode_of(palette) == "P"
    pixels = read_image(palette)
    assert torch.equal(pixels, expected.expand_as(pixels))


# Orientation: how the camera stored an upright scene; EXIF 2.3, table 4.6.5.
STORED = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_images_are_turned_upright(orientation: int, suffix: str, shoe: Image.Image, tmp_path: Path) -> None:
    upright = shoe.crop((0, 0, 28, 20))  # wider than high, so that turning it changes its shape
    stored = upright
    for turn in STORED[orientation]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_image(saved(stored, tmp_path / f"shoe.{suffix}", exif=exif))
    assert pixels.shape == (1, 20, 28)
    difference = (pixels.int() - grey(upright).int()).abs().float().mean()
    assert difference == 0 if suffix == "png" else difference < 6  # JPEG loses a little


def test_large_photos_are_reduced_and_keep_their_shape(shoe: Image.Image, tmp_path: Path) -> None:
    photo = shoe.resize((3000, 1500), Image.Resampling.NEAREST)
    from_png = read_image(saved(photo, tmp_path / "photo.png"))
    from_jpeg = read_image(saved(photo, tmp_path / "photo.jpg", quality=95))
    assert from_png.shape == from_jpeg.shape == (1, 512, 1024)
    assert (from_png.int() - from_jpeg.int()).abs().float().mean() < 6


def test_a_pillow_image_is_read_like_its_file(shoe: Image.Image, tmp_path: Path) -> None:
    before = shoe.copy()
    assert torch.equal(read_image(shoe), grey(shoe))
    assert shoe == before
    path = saved(shoe.resize((2000, 100)), tmp_path / "long.png")
    with Image.open(path) as opened:
        assert torch.equal(read_image(opened), read_image(path))
        assert opened.size == (2000, 100)


@pytest.mark.parametrize("content", [b"", b"no image\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "shirt.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"shirt\.png (is no image|cannot be decoded)"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp"])
def test_damaged_files_are_refused_in_one_sentence(suffix: str, shoe: Image.Image, tmp_path: Path) -> None:
    path = saved(shoe.resize((200, 200)), tmp_path / f"shoe.{suffix}")
    whole = path.read_bytes()
    refused = 0
    for length in range(0, len(whole) - len(whole) // 4, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"shoe\.{suffix} (is no image|cannot be decoded).*[.]$") as info:
            read_image(path)
        assert "\n" not in str(info.value)
        refused += 1
    assert refused > 20


def test_decompression_bombs_are_refused(shoe: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("1", (2000, 1500)), tmp_path / "bomb.png")
    for limit in (2_000_000, 1_000_000):  # Pillow itself would warn at the first and refuse at the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UserError, match=rf"bomb\.png has more than {limit // 10**6} million pixels"):
            read_image(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.png", tmp_path):
        with pytest.raises(UserError, match=f"there is no image file {path}"):
            read_image(path)


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]), data=st.data())
def test_padding_centres_the_image_on_a_colour_of_its_border(
    height: int, width: int, channels: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (channels, height, width), dtype=torch.uint8, generator=generator)
    square = pad_to_square(image)
    side = max(height, width)
    assert square.shape == (channels, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    assert torch.equal(square[:, top : top + height, left : left + width], image)
    outside = torch.ones(side, side, dtype=torch.bool)
    outside[top : top + height, left : left + width] = False
    for channel in range(channels):
        colours = square[channel, outside].unique().tolist()
        assert len(colours) <= 1
        assert set(colours) <= set(image[channel].unique().tolist())


def test_padding_continues_the_ground_even_where_the_thing_touches_the_border() -> None:
    image = torch.full((1, 10, 4), 250, dtype=torch.uint8)
    image[:, :, 1:3] = 20  # a dark bar from top to bottom on light ground
    square = pad_to_square(image)
    assert square[0, :, :3].unique().tolist() == [250]
    assert square[0, :, -3:].unique().tolist() == [250]
