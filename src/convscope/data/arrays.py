"""Many images in one file of NumPy's: what a program hands over that has decoded them already."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from convscope.data.decoding import Resize, read_square
from convscope.errors import UserError

SUFFIX = ".npy"
"""How the name of such a file ends."""


def is_array(image: object) -> bool:
    """Whether what was given for an image is the name of such a file."""
    return isinstance(image, str | Path) and Path(image).suffix.lower() == SUFFIX


@dataclass(frozen=True, eq=False)
class ImageArray:
    """Images of one size, which stay in their file until they are read."""

    path: Path
    pixels: NDArray[np.uint8]
    """(N, H, W, 1 or 3)."""

    @classmethod
    def open(cls, path: Path) -> "ImageArray":
        """Look at an .npy file of uint8 (N, H, W) or (N, H, W, C), with 1 or 3 channels.

        Raises:
            UserError: there is no such file, or it holds something else.
        """
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise UserError(f"there is no file {path}: check its name and folder.") from error
        except Exception as error:  # a damaged head makes NumPy's reader stumble in a dozen ways
            raise UserError(f"{path} cannot be read as an array ({error}): write it by numpy.save.") from error
        if array.ndim == 3:
            array = array[..., None]
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape:
            raise UserError(
                f"{path} holds {array.dtype} in the shape {array.shape}, which are no images: give uint8 in the shape "
                f"(images, height, width), or for colour (images, height, width, 3)."
            )
        return cls(path, array)

    def __len__(self) -> int:
        return len(self.pixels)

    def squares(self, start: int, stop: int, *, size: int, resize: Resize) -> Tensor:
        """Some of the images as `decoding.read_square` gives them: uint8 (stop - start, 1 or 3, size, size)."""
        pixels = self.pixels[start:stop]
        if pixels.shape[1:3] == (size, size):
            return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
        if pixels.shape[3] == 1:
            pixels = pixels[..., 0]
        images = (Image.fromarray(np.array(image)) for image in pixels)
        return torch.stack([read_square(image, str(self.path), size=size, resize=resize) for image in images])
