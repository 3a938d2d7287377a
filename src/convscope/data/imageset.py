"""The images of a data set in memory, and their division into training, validation and test."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.errors import UserError


# Tensors compare element by element, so sets of images do not compare at all (eq=False).
@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels, as bytes: a quarter of the memory of floats, and exactly what was published.

    Raises:
        UserError: shapes, types or labels do not fit together.
    """

    images: Tensor
    """uint8 (N, C, H, W); 0 is black, 255 white."""
    labels: Tensor
    """int64 (N,); the index of the image's class in `classes`."""
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise UserError(
                f"images are {_describe(self.images)}, but must be uint8 of shape (N, C, H, W): convert them first."
            )
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            raise UserError(
                f"labels are {_describe(self.labels)}, but must be int64 of shape (N,): convert them first."
            )
        if len(self.images) != len(self.labels):
            raise UserError(
                f"there are {len(self.images)} images but {len(self.labels)} labels: give one label for each image."
            )
        if len(self.images) == 0:
            raise UserError("the set has no images: give at least one.")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise UserError(
                f"labels run from {low} to {high}, but the names of {len(self.classes)} classes allow only "
                f"0 to {len(self.classes) - 1}: correct the labels or name every class."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> "ImageSet":
        """The images at `indices`, int64 (M,), in that order."""
        # index_select copies whole images; indexing with [] goes pixel by pixel and takes several times as long.
        return ImageSet(self.images.index_select(0, indices), self.labels[indices], self.classes)


@dataclass(frozen=True, eq=False)
class Splits:
    """One data set in the three parts that an honest experiment needs."""

    name: str
    train: ImageSet
    """What the weights are fitted to."""
    val: ImageSet
    """Cut from the published training images; every choice is made on it."""
    test: ImageSet
    """Read once, by the final evaluation."""


def stratified_split(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Cut `share` of the images off at random, the same share of every class.

    The held-out part has round(N * share) images. A class whose share is not a whole number of images gets
    the one above or below it (largest remainder first), so no class is off by as much as one image.

    Args:
        labels: int64 (N,), from 0 on.
        share: held-out part of the whole, between 0 and 1.
        seed: the same seed gives the same split; PyTorch's global generator is neither read nor moved.

    Returns:
        the indices kept and the indices held out, int64, each in ascending order.

    Raises:
        UserError: the share is not between 0 and 1, or leaves one part without images.
    """
    if not 0 < share < 1:
        raise UserError(f"the held-out share is {share}, but must lie between 0 and 1: try 0.1.")
    total = round(len(labels) * share)
    if total in (0, len(labels)):
        raise UserError(
            f"a share of {share} of {len(labels)} images leaves nothing {'held out' if total == 0 else 'kept'}: "
            "choose another share or use more images."
        )
    generator = torch.Generator().manual_seed(seed)
    # NumPy, because these operations are too short to be worth waking PyTorch's threads for.
    classes = labels.numpy()
    held = np.zeros(len(classes), dtype=np.bool_)
    for label, quota in enumerate(_largest_remainder(np.bincount(classes).tolist(), share, total)):
        members = np.flatnonzero(classes == label)
        held[members[torch.randperm(len(members), generator=generator)[:quota].numpy()]] = True
    return torch.from_numpy(np.flatnonzero(~held)), torch.from_numpy(np.flatnonzero(held))


def _largest_remainder(counts: list[int], share: float, total: int) -> list[int]:
    """Whole numbers that sum to `total`, each less than 1 from its `count * share` (Hamilton's method)."""
    quotas = [int(count * share) for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda k: quotas[k] - counts[k] * share)
    for k in by_remainder[: total - sum(quotas)]:
        quotas[k] += 1
    return quotas


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
