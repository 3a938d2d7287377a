"""The images of a data set."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.errors import UserError


# Tensors compare element by element, so sets of images do not compare at all (eq=False).
@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels, as bytes: a quarter of the memory of floats, and exactly what was published.

    Several sets may share one tensor of images, which may lie in a file that is mapped into memory: a set is a list of
    places in it, and choosing among its images copies none.

    Raises:
        UserError: shapes, types or labels do not fit together.
    """

    images: Tensor
    """uint8 (M, C, H, W), where the pixels are; 0 is black, 255 white."""
    labels: Tensor
    """int64 (N,); the index of each image's class in `classes`."""
    classes: tuple[str, ...]
    rows: Tensor | None = None
    """int64 (N,); where in `images` the set's images are; all of `images`, one after the other, when None."""

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise UserError(
                f"images are {_describe(self.images)}, but must be uint8 of shape (N, C, H, W): convert them first."
            )
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            raise UserError(
                f"labels are {_describe(self.labels)}, but must be int64 of shape (N,): convert them first."
            )
        count = len(self.images if self.rows is None else self.rows)
        if count != len(self.labels):
            raise UserError(f"there are {count} images but {len(self.labels)} labels: give one label for each image.")
        if count == 0:
            raise UserError("the set has no images: give at least one.")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise UserError(
                f"labels run from {low} to {high}, but the names of {len(self.classes)} classes allow only "
                f"0 to {len(self.classes) - 1}: correct the labels or name every class."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def places(self, indices: Tensor) -> Tensor:
        """Where in `images` the images at `indices` are, both int64 (B,)."""
        return indices if self.rows is None else self.rows[indices]

    def take(self, indices: Tensor) -> Tensor:
        """The pixels of the images at `indices`, int64 (B,) counted in this set: uint8 (B, C, H, W)."""
        # index_select copies whole images; indexing with [] goes pixel by pixel and takes several times as long.
        return self.images.index_select(0, self.places(indices).to(self.images.device))

    def select(self, indices: Tensor) -> "ImageSet":
        """The set of the images at `indices`, int64 (B,), in that order; no pixel is copied."""
        return ImageSet(self.images, self.labels[indices], self.classes, self.places(indices))

    def pieces(self, size: int) -> Iterator[Tensor]:
        """All images in order, `size` at a time: uint8 (at most size, C, H, W)."""
        for first in range(0, len(self), size):
            last = min(first + size, len(self))
            yield self.images[first:last] if self.rows is None else self.take(torch.arange(first, last))


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
