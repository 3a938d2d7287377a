"""The page of the data doctor: each finding in words, in numbers and in pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from convscope.report.page import write_page
from convscope.report.pictures import address, picture_of

if TYPE_CHECKING:  # for their names alone
    from torch import Tensor

    from convscope.doctor.data import DataReport

LARGEST = 128
"""Longer edge of an embedded picture in pixels; larger images are reduced to it."""
_LOSSLESS = 64
"""Longer edge up to which a picture is embedded without loss: in small images each pixel can be seen."""


def write_data_page(path: Path, report: "DataReport") -> Path:
    """Write the page on a data set to `path` and return that.

    Raises:
        ConvscopeError: the page cannot be written.
    """
    return write_page(path, template="data.html", report=report, picture=picture)


def picture(pixels: "Tensor") -> str:
    """The address of a picture that holds it in itself, of an image uint8 (1 or 3, H, W)."""
    image = picture_of(pixels.numpy())
    image.thumbnail((LARGEST, LARGEST))
    return address(image, "PNG" if max(image.size) <= _LOSSLESS else "JPEG", quality=85)
