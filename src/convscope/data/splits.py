"""The division of a data set into training, validation and test."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.data.decoding import Resize
from convscope.data.imageset import ImageSet
from convscope.data.statistics import Statistics
from convscope.errors import UserError


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used."""

    path: str
    """Inside the data set's folder."""
    reason: str
    """In a few words."""


@dataclass(frozen=True, eq=False)
class Splits:
    """One data set in the three parts that an honest experiment needs."""

    name: str
    train: ImageSet
    """What the weights are fitted to."""
    val: ImageSet
    """Held out of the training images; every choice is made on it."""
    test: ImageSet
    """Read once, by the final evaluation."""
    statistics: Statistics | None = None
    """Of the training images, where they are known already."""
    resize: Resize = "pad"
    """How a photo becomes a square like these images. Published sets of small images show a whole thing: their makers
    fitted its longer edge and filled up the rest. Squashed, trousers are as wide as a bag."""
    skipped: tuple[Skipped, ...] = ()
    """Files in the data set's folder that are in none of them."""


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
