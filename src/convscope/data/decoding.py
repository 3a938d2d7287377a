"""Image files of any kind, decoded to the uint8 pixels that the rest of the package works on."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from convscope.errors import UserError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""How the names of image files end, in lower case, where a folder is searched for them."""

_LONGEST = 1024
"""Pixels of the longer edge beyond which an image is reduced, so that a banner can be padded to a square."""


def read_image(image: str | Path | Image.Image, name: str | None = None) -> Tensor:
    """Decode an image of any size and mode to uint8: (1, H, W) if it is grey, else (3, H, W) as RGB.

    It is turned upright as its EXIF orientation says, laid on white where it is transparent, and reduced
    where its longer edge passes 1,024 pixels. Of an animation the first frame counts. Errors call the image
    `name`, by default its path.

    Raises:
        UserError: there is no such file, it is no image, it is damaged or cut short, or a decompression bomb.
    """
    name = name or str(image)
    if isinstance(image, Image.Image):
        with _one_sentence(name):
            return _to_pixels(image)
    if not Path(image).is_file():
        raise UserError(f"there is no image file {name}: check its name and folder.")
    with _one_sentence(name), Image.open(image) as opened:
        # A JPEG can be decoded at a half, a quarter or an eighth of its size, in a fraction of the time.
        opened.draft(None, (_LONGEST, _LONGEST))
        return _to_pixels(opened)


def pad_to_square(pixels: Tensor) -> Tensor:
    """Centre an image (C, H, W) in a square of its longer edge, filled with the median colour of its border.

    The median, because the thing shown may touch the border; the image's own colour, because any other would
    draw an edge that is not in the image, and hide whether the image is dark on light.
    """
    _, height, width = pixels.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    ground = torch.cat(edges, dim=1).median(dim=1).values  # (C,)
    square = ground[:, None, None].repeat(1, side, side)
    square[:, top : top + height, left : left + width] = pixels
    return square


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises about an image into one clear sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about odd metadata, which does not reach the pixels
            # Pillow only warns up to twice its limit of pixels; here the limit holds.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is no image: give a PNG, a JPEG or another image file.") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UserError(f"{name} has more than {limit} million pixels: give a smaller copy of it.") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{name} cannot be decoded ({reason}): the file is damaged, cut short or closed to you; "
            f"open it in an image viewer and save it again, or take another copy."
        ) from error


def _to_pixels(image: Image.Image) -> Tensor:
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        # White, because pages and viewers show cut-outs on white, and because FashionMNIST's makers took their
        # photographs on white and inverted them: a prediction that inverts repeats what they did.
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if grey else "RGB")
    image.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image))  # (H, W) or (H, W, 3)
    return pixels.reshape(image.height, image.width, -1).permute(2, 0, 1)


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
    scaled = np.nan_to_num(values / white, nan=0.0).clip(0.0, 1.0)
    return np.rint(scaled * 255.0).astype(np.uint8)
