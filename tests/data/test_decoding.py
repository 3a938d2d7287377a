"""Image files of every mode, orientation and state of health, made from a real image of a shoe."""

import os
import threading
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from convscope.data.datasets import load_train_test
from convscope.data.decoding import SUFFIXES, Resize, Undecodable, quiet_pillow, read_square
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


def read_whole(image: str | Path | Image.Image, *, size: int = 28) -> Tensor:
    """A square of its own size, where no way of making a square changes a pixel."""
    cropped, *others = (read_square(image, size=size, resize=resize) for resize in get_args(Resize))
    assert all(torch.equal(cropped, other) for other in others)
    return cropped


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_of_a_png_gives_the_same_pixels(mode: str, shoe: Image.Image, tmp_path: Path) -> None:
    path = saved(shoe.convert(mode), tmp_path / "shoe.png")
    assert mode_of(path) == mode
    pixels = read_whole(path)
    assert pixels.dtype == torch.uint8
    assert pixels.shape == ((1, 28, 28) if mode in ("L", "LA") else (3, 28, 28))
    assert torch.equal(pixels, grey(shoe).expand_as(pixels))


def test_black_and_white(shoe: Image.Image, tmp_path: Path) -> None:
    pixels = read_whole(saved(shoe.convert("1"), tmp_path / "shoe.png"))
    assert torch.equal(pixels, grey(shoe.convert("1")))
    assert set(pixels.unique().tolist()) == {0, 255}


def test_print_colours(shoe: Image.Image, tmp_path: Path) -> None:
    pixels = read_whole(saved(shoe.convert("RGB").convert("CMYK"), tmp_path / "shoe.tif"))
    assert (pixels.int() - grey(shoe).int()).abs().max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_and_not_clipped(suffix: str, shoe: Image.Image, tmp_path: Path) -> None:
    deep = Image.fromarray(np.array(shoe).astype(np.uint16) * 257)
    path = saved(deep, tmp_path / f"shoe.{suffix}")
    assert mode_of(path).startswith("I")
    assert torch.equal(read_whole(path), grey(shoe))


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 257.0])
def test_floats_are_scaled_by_the_white_they_imply(scale: float, shoe: Image.Image, tmp_path: Path) -> None:
    values = np.array(shoe).astype(np.float32)
    values[0, 0] = 255  # so that the image reaches white
    path = saved(Image.fromarray((values * np.float32(scale)).astype(np.float32)), tmp_path / "shoe.tif")
    assert mode_of(path) == "F"
    expected = grey(shoe)
    expected[0, 0, 0] = 255
    assert torch.equal(read_whole(path), expected)


def test_floats_that_are_no_numbers_become_black() -> None:
    values = np.array([[np.nan, 1.0], [-3.0, 0.5]], dtype=np.float32)
    assert read_whole(Image.fromarray(values), size=2).tolist() == [[[0, 255], [0, 128]]]


def test_32_bits_brighter_than_any_usual_white() -> None:
    values = np.array([[0, 100_000], [200_000, 50_000]], dtype=np.int32)
    assert read_whole(Image.fromarray(values), size=2).tolist() == [[[0, 128], [255, 64]]]


def test_transparent_parts_lie_on_white(shoe: Image.Image, tmp_path: Path) -> None:
    cut_out = shoe.convert("LA")
    cut_out.putalpha(shoe.point(lambda value: 255 if value else 0))
    expected = torch.where(grey(shoe) == 0, 255, grey(shoe))
    for mode in ("LA", "RGBA"):
        pixels = read_whole(saved(cut_out.convert(mode), tmp_path / f"{mode}.png"))
        assert torch.equal(pixels, expected.expand_as(pixels))
    # A palette with one transparent colour, as GIF and small PNG files have it.
    palette = saved(shoe.convert("P"), tmp_path / "P.png", transparency=0)
    assert mode_of(palette) == "P"
    pixels = read_whole(palette)
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
    pixels = read_square(saved(stored, tmp_path / f"shoe.{suffix}", exif=exif), size=28, resize="pad")
    difference = (pixels[:, 4:24].int() - grey(upright).int()).abs().float().mean()
    assert difference == 0 if suffix == "png" else difference < 6  # JPEG loses a little


@pytest.mark.parametrize("resize", get_args(Resize))
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("side", [40, 97, 100])
def test_photos_become_squares(resize: Resize, turned: bool, side: int, shoe: Image.Image, tmp_path: Path) -> None:
    # R-C5: a wide photo of a shoe whose left and right thirds are other pictures: black and white.
    wide = Image.new("L", (1200, 400), "black")
    wide.paste("white", (800, 0, 1200, 400))
    wide.paste(shoe.resize((400, 400), Image.Resampling.BILINEAR), (400, 0))
    photo = wide.transpose(Image.Transpose.ROTATE_90) if turned else wide
    from_png = read_square(saved(photo, tmp_path / "photo.png"), size=side, resize=resize)
    from_jpeg = read_square(saved(photo, tmp_path / "photo.jpg", quality=95), size=side, resize=resize)
    assert from_png.shape == from_jpeg.shape == (1, side, side)
    assert (from_png.int() - from_jpeg.int()).abs().float().mean() < 3  # JPEG's shortcut shows the same picture
    pixels = from_png[0].rot90(-1) if turned else from_png[0]
    middle = shoe.resize((side, side), Image.Resampling.BILINEAR)
    if resize == "crop":
        assert (pixels.int() - grey(middle)[0].int()).abs().float().mean() < 3
    elif resize == "squash":
        third = side // 3
        assert pixels[:, : third - 2].max() == 0
        assert pixels[:, -third + 2 :].min() == 255
        assert pixels[:, third + 2 : -third - 2].float().std() > 30
    else:
        third = side // 3
        assert pixels[: third - 2].unique().numel() == 1
        assert torch.equal(pixels[: third - 2], pixels[-third + 2 :])
        assert pixels[third + 2 : -third - 2, : third - 2].max() == 0
        assert pixels[third + 2 : -third - 2, -third + 2 :].min() == 255


def test_scaling_down_is_antialiased() -> None:
    stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat(512)
    photo = Image.fromarray(stripes.expand(1024, -1).contiguous().numpy())
    for resize in get_args(Resize):
        assert (read_square(photo, size=32, resize=resize).float() - 127.5).abs().max() < 3


def test_a_jpeg_is_decoded_no_larger_than_it_has_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("RGB", (1600, 1200)), tmp_path / "photo.jpg")
    sizes = []
    resized = Image.Image.resize

    def record(image: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        sizes.append(image.size)
        return resized(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", record)
    for size, resize in ((150, "crop"), (151, "crop"), (200, "pad"), (201, "pad"), (600, "squash"), (601, "squash")):
        read_square(path, size=size, resize=resize)
    assert sizes == [(200, 150), (400, 300), (200, 150), (400, 300), (800, 600), (1600, 1200)]


def test_a_banner_thinner_than_a_pixel() -> None:
    for resize in get_args(Resize):
        assert read_square(Image.new("RGB", (5000, 2)), size=16, resize=resize).shape == (3, 16, 16)


def test_a_pillow_image_is_read_like_its_file(shoe: Image.Image, tmp_path: Path) -> None:
    before = shoe.copy()
    assert torch.equal(read_whole(shoe), grey(shoe))
    assert shoe == before
    path = saved(shoe.resize((2000, 100)), tmp_path / "long.png")
    with Image.open(path) as opened:
        assert torch.equal(read_square(opened, size=50, resize="pad"), read_square(path, size=50, resize="pad"))
        assert opened.size == (2000, 100)


def test_the_first_frame_of_an_animation_counts(shoe: Image.Image, tmp_path: Path) -> None:
    for suffix in ("gif", "webp", "png", "tif"):
        options = {"lossless": True} if suffix == "webp" else {}
        frames = {"save_all": True, "append_images": [Image.new("L", shoe.size, "white")]}
        pixels = read_whole(saved(shoe, tmp_path / f"shoe.{suffix}", **frames, **options))
        assert torch.equal(pixels, grey(shoe).expand_as(pixels))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_kind_of_file(suffix: str, shoe: Image.Image, tmp_path: Path) -> None:
    colour = suffix == ".ppm"
    pixels = read_whole(saved(shoe.convert("RGB" if colour else "L"), tmp_path / f"shoe{suffix}"))
    difference = (pixels.int() - grey(shoe).int()).abs().float().mean()
    assert difference < 6 if suffix in (".jpg", ".jpeg", ".webp") else difference == 0


@pytest.mark.parametrize("content", [b"", b"no image\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "shirt.png"
    path.write_bytes(content)
    with pytest.raises(Undecodable, match=r"shirt\.png (is no image|cannot be decoded)") as info:
        read_whole(path)
    assert f"shirt.png {info.value.reason}: " in str(info.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp"])
def test_damaged_files_are_refused_in_one_sentence(suffix: str, shoe: Image.Image, tmp_path: Path) -> None:
    path = saved(shoe.resize((200, 200)), tmp_path / f"shoe.{suffix}")
    whole = path.read_bytes()
    refused = 0
    for length in range(0, len(whole) - len(whole) // 4, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"shoe\.{suffix} (is no image|cannot be decoded).*[.]$") as info:
            read_whole(path)
        assert "\n" not in str(info.value)
        refused += 1
    assert refused > 20


def test_decompression_bombs_are_refused(shoe: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("1", (2000, 1500)), tmp_path / "bomb.png")
    for limit in (2_000_000, 1_000_000):  # Pillow itself would warn at the first and refuse at the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UserError, match=rf"bomb\.png has more than {limit // 10**6} million pixels"):
            read_whole(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.png", tmp_path):
        with pytest.raises(UserError, match=f"there is no image file {path}"):
            read_whole(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes among its files")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="there is no image file"):
        read_whole(tmp_path / "pipe.png")


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]), data=st.data())
def test_padding_centres_the_image_on_a_colour_of_its_border(
    height: int, width: int, channels: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (channels, height, width), dtype=torch.uint8, generator=generator)
    side = max(height, width)
    square = read_square(pillow(image), size=side, resize="pad")
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
    square = read_square(pillow(image), size=10, resize="pad")
    assert square[0, :, :3].unique().tolist() == [250]
    assert square[0, :, -3:].unique().tolist() == [250]


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_a_crop_is_the_middle(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cropped = read_square(pillow(image), size=side, resize="crop").int()
    # Where as many pixels are cut off on both sides, these are copies; else the mean of two neighbours.
    middle = image[:, top : top + side, left : left + side].int()
    beside = image[:, height - side - top :, width - side - left :][:, :side, :side].int()
    assert ((cropped - (middle + beside) / 2).abs() <= 1).all()


def pillow(image: Tensor) -> Image.Image:
    """Of uint8 (1, H, W) or (3, H, W)."""
    return Image.fromarray(
        image.permute(1, 2, 0).squeeze(2).numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
    )


def test_warnings_are_heard_again_when_the_last_thread_has_decoded() -> None:
    before = warnings.filters[:]
    inside, outside = threading.Event(), threading.Event()

    def decode() -> None:
        with quiet_pillow():
            inside.set()
            outside.wait(10)

    thread = threading.Thread(target=decode)
    with quiet_pillow():
        thread.start()
        inside.wait(10)
    warnings.warn("nobody hears it", UserWarning, stacklevel=1)  # which would fail the test
    outside.set()
    thread.join()
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)
