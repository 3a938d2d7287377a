"""Facts about a set of images, computed from the bytes: exact, and without a float copy of the whole set."""

import math

import torch
from torch import Tensor

from convscope.data.imageset import ImageSet

_CHUNK = 4096  # images counted at a time, so that scratch memory stays small


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of all images, for pixels in [0, 1].

    The standard deviation is the population's (divided by the number of pixels). Averaging the images' own
    standard deviations, a common shortcut, gives another and smaller number.

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        (mean of each channel, standard deviation of each channel).
    """
    statistics = [_mean_and_deviation(_histogram(images[:, channel])) for channel in range(images.shape[1])]
    return tuple(mean for mean, _ in statistics), tuple(deviation for _, deviation in statistics)


def border_brightness(images: Tensor) -> float:
    """Mean of the outermost ring of pixels of uint8 images (N, C, H, W), in [0, 1].

    Near 0 for pictures on a black ground, near 1 on a white one; tells a photo the wrong way round.
    """
    height, width = images.shape[-2:]
    ring = torch.ones(height, width, dtype=torch.bool, device=images.device)
    ring[1:-1, 1:-1] = False
    mean, _ = _mean_and_deviation(_histogram(images[:, :, ring]))
    return mean


def class_counts(image_set: ImageSet) -> list[int]:
    """The number of images of each class, in the order of `classes`."""
    return torch.bincount(image_set.labels, minlength=len(image_set.classes)).tolist()


def mean_image_per_class(image_set: ImageSet) -> Tensor:
    """The average image of each class: float32 (K, C, H, W) in [0, 1]; black for a class without images."""
    means = torch.zeros(len(image_set.classes), *image_set.images.shape[1:])
    for label in range(len(image_set.classes)):
        members = image_set.images[image_set.labels == label]
        if len(members):
            means[label] = members.sum(dim=0, dtype=torch.int64) / (255 * len(members))
    return means


def _histogram(values: Tensor) -> list[int]:
    """How often each of the 256 values of a byte occurs."""
    counts = torch.zeros(256, dtype=torch.int64)
    for first in range(0, len(values), _CHUNK):
        counts += torch.bincount(values[first : first + _CHUNK].flatten(), minlength=256).cpu()
    return counts.tolist()


def _mean_and_deviation(histogram: list[int]) -> tuple[float, float]:
    """From the counts of the 256 values, in whole numbers up to the last division."""
    count = sum(histogram)
    total = sum(times * value for value, times in enumerate(histogram))
    squares = sum(times * value * value for value, times in enumerate(histogram))
    # n^2 var = n sum(x^2) - sum(x)^2; in floating point this difference would cancel badly.
    return total / (255 * count), math.sqrt(count * squares - total * total) / (255 * count)
