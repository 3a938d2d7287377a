"""Image files of any kind, decoded to the uint8 pixels that the rest of the package works on."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import IO, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from convscope.errors import UserError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""How the names of image files end, in lower case, where a folder is searched for them."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of what is read, whatever the file is called. Pillow knows many more, and starts a program for one."""

_LARGE = 1 << 24
_ONE_AT_A_TIME = Lock()
"""For images of more than so many pixels: a small file of 90 million takes a gigabyte while it is decoded."""

Resize = Literal["crop", "squash", "pad"]
"""How a photo becomes a square: its middle cut out, both sides scaled each by itself, or a border put round it."""


class Undecodable(UserError):
    """A file gives no pixels; `reason` says why, in a few words that follow its name."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name} {reason}: {remedy}.")
        self.reason = reason


def read_square(image: str | Path | Image.Image, name: str | None = None, *, size: int, resize: Resize) -> Tensor:
    """Decode an image of any size and mode to a square of uint8: (1, size, size) if it is grey, else (3, size, size).

    This is the one way from a photo to pixels, in training as in prediction. The image is turned upright as its EXIF
    orientation says, laid on white where it is transparent, and scaled with antialiasing; of an animation the first
    frame counts. Errors call it `name`, by default its path.

    Args:
        image: a path, or a Pillow image, which is left as it is.
        name: what errors call the image; its path by default.
        size: side of the square in pixels.
        resize: "crop" scales the shorter side to `size` and keeps the middle; "squash" scales both sides to it;
            "pad" scales the longer side to it and fills up the rest with the median colour of the image's border.

    Raises:
        UserError: there is no such file; as `Undecodable`, it is no image, damaged, cut short, or a decompression bomb.
    """
    name = name or str(image)
    if isinstance(image, Image.Image):
        with quiet_pillow(), undecodable(name):
            return _to_square(image, size, resize)
    if not Path(image).is_file():  # nor a pipe, at which reading would wait without end
        raise UserError(f"there is no image file {name}: check its name and folder.")
    with quiet_pillow(), undecodable(name), open_image(image) as opened:
        return decode_square(opened, size=size, resize=resize)


def open_image(file: str | Path | IO[bytes]) -> Image.Image:
    """Open an image file of a kind that we read, without decoding it; raises whatever Pillow does."""
    return Image.open(file, formats=_FORMATS)


def decode_square(opened: Image.Image, *, size: int, resize: Resize) -> Tensor:
    """Decode a file that Pillow has just opened, as `read_square` does; raises whatever Pillow does.

    A JPEG is decoded at a half, a quarter or an eighth of its size where that still covers the square, in a fraction
    of the time; antialiased scaling does the rest.
    """
    # Pillow itself only warns up to twice its limit.
    if Image.MAX_IMAGE_PIXELS is not None and opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    opened.draft(None, _fitted(opened.width, opened.height, size, resize))
    with _ONE_AT_A_TIME if opened.width * opened.height > _LARGE else nullcontext():
        return _to_square(opened, size, resize)


class _Quiet:
    """Ignores warnings while at least one thread is within it: they are a matter of the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads = 0
        self._ignored = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._threads == 0:
                self._ignored.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            self._threads += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                self._ignored.close()


_QUIET = _Quiet()


def quiet_pillow() -> AbstractContextManager[None]:
    """Ignore Pillow's warnings, in any thread: they are about odd metadata, which does not reach the pixels."""
    return _QUIET


@contextmanager
def undecodable(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises about an image into `Undecodable`, one clear sentence."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise Undecodable(name, "is no image", "give a PNG, a JPEG or another image file") from error
    except Image.DecompressionBombError as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise Undecodable(name, f"has more than {limit} million pixels", "give a smaller copy of it") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise Undecodable(
            name,
            f"cannot be decoded ({str(error) or type(error).__name__})",
            "the file is damaged, cut short or closed to you; open it in an image viewer and save it again, "
            "or take another copy",
        ) from error


def _to_square(image: Image.Image, size: int, resize: Resize) -> Tensor:
    image = _upright_on_white(image)
    width, height = image.size
    if resize == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        # Cutting and scaling in one go spares the parts that are cut off; halves of pixels are weighed, not rounded.
        middle = (left, top, left + side, top + side)
        return _to_tensor(image.resize((size, size), Image.Resampling.BILINEAR, box=middle))
    scaled = image.resize(_fitted(width, height, size, resize), Image.Resampling.BILINEAR)
    return _pad(_to_tensor(scaled))


def _fitted(width: int, height: int, size: int, resize: Resize) -> tuple[int, int]:
    """Width and height of the whole image once its shorter side, longer side, or both have `size` pixels."""
    if resize == "squash":
        return size, size
    side = min(width, height) if resize == "crop" else max(width, height)
    return max(1, round(width * size / side)), max(1, round(height * size / side))


def _upright_on_white(image: Image.Image) -> Image.Image:
    """The image, or a copy of it, in mode L or RGB."""
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # else Pillow would copy it
        image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        # White, because pages and viewers show cut-outs on white, and because FashionMNIST's makers took their
        # photographs on white and inverted them: a prediction that inverts repeats what they did.
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _to_tensor(image: Image.Image) -> Tensor:
    """uint8 (1, H, W) of mode L, (3, H, W) of RGB."""
    pixels = torch.from_numpy(np.array(image))  # (H, W) or (H, W, 3)
    return pixels.reshape(image.height, image.width, -1).permute(2, 0, 1)


def _pad(pixels: Tensor) -> Tensor:
    """Centre an image (C, H, W) in a square of its longer edge, filled with the median colour of its border.

    The median, because the thing shown may touch the border; the image's own colour, because any other would
    draw an edge that is not in the image, and hide whether the image is dark on light.
    """
    _, height, width = pixels.shape
    if height == width:
        return pixels
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    ground = torch.cat(edges, dim=1).median(dim=1).values  # (C,)
    square = ground[:, None, None].repeat(1, side, side)
    square[:, top : top + height, left : left + width] = pixels
    return square


def _to_eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale 16-bit, 32-bit or floating-point pixels to uint8.

    Only 16 bits say by themselves what white is. For the others it is the least of the usual whites (1 for
    floats, 255, 65535) that no pixel exceeds, or else the brightest pixel.
    """
    brightest = float(np.nanmax(values))
    if values.dtype.itemsize == 2:
        white = 65535.0
    else:
        usual = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        white = next((white for white in usual if brightest <= white), brightest)
    scaled = values.astype(np.float32)  # a copy, and from here on the only one
    scaled /= np.float32(white)
    np.clip(np.nan_to_num(scaled, copy=False, nan=0.0), 0.0, 1.0, out=scaled)
    scaled *= 255.0
    return np.rint(scaled, out=scaled).astype(np.uint8)
