"""Facts about a set of images, computed from the bytes: exact, and without a float copy of the whole set."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.data.imageset import ImageSet

_SCRATCH = 1 << 24
"""Bytes looked at together, so that little memory is needed beside the images'."""


@dataclass(frozen=True)
class Statistics:
    """What a network has to know of the images it is trained on, to be given others in the same way."""

    mean: tuple[float, ...]
    """Of each channel, for pixels in [0, 1]."""
    std: tuple[float, ...]
    """Of each channel, likewise."""
    border: float
    """Brightness of the outermost pixels, in [0, 1]."""

    @classmethod
    def of(cls, image_set: ImageSet) -> "Statistics":
        """Look at all images of a set."""
        mean, std = channel_statistics(image_set)
        return cls(mean, std, border_brightness(image_set))


def channel_statistics(image_set: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of all images, for pixels in [0, 1].

    The standard deviation is the population's (divided by the number of pixels). Averaging the images' own
    standard deviations, a common shortcut, gives another and smaller number.

    Returns:
        (mean of each channel, standard deviation of each channel).
    """
    return statistics_of(image_set.pieces(_at_once(image_set)))


def statistics_of(pieces: Iterable[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `channel_statistics` gives, of images uint8 (N, C, H, W) that come in pieces."""
    histograms = sum(_histograms(images) for images in pieces)
    assert isinstance(histograms, Tensor), "no images"
    statistics = [_mean_and_deviation(histogram) for histogram in histograms.tolist()]
    return tuple(mean for mean, _ in statistics), tuple(deviation for _, deviation in statistics)


def border_brightness(image_set: ImageSet) -> float:
    """Mean of the outermost ring of pixels of all images, in [0, 1].

    Near 0 for pictures on a black ground, near 1 on a white one; tells a photo the wrong way round.
    """
    total = count = 0
    for images in image_set.pieces(_at_once(image_set)):
        ring = _ring(images)
        total, count = total + int(ring.sum()), count + ring.numel()
    return total / (255 * count)


def borders(images: Tensor) -> Tensor:
    """The same of each of the images uint8 (N, C, H, W): float64 (N,)."""
    ring = _ring(images)
    return ring.sum(dim=1).double() / (255 * ring.shape[1])


def _ring(images: Tensor) -> Tensor:
    """The outermost pixels of images (N, C, H, W), with all channels: (N, R)."""
    # Each edge by itself: to choose pixels by a mask takes three times as long. The bottom is none of a single row.
    middle = images[:, :, 1:-1]
    edges = (images[:, :, :1], images[:, :, 1:][:, :, -1:], middle[..., :1], middle[..., 1:][..., -1:])
    return torch.cat([edge.flatten(1) for edge in edges], dim=1)


def class_counts(image_set: ImageSet) -> list[int]:
    """The number of images of each class, in the order of `classes`."""
    return torch.bincount(image_set.labels, minlength=len(image_set.classes)).tolist()


def mean_image_per_class(image_set: ImageSet) -> Tensor:
    """The average image of each class: float32 (K, C, H, W) in [0, 1]; black for a class without images."""
    sums = torch.zeros(len(image_set.classes), *image_set.shape, dtype=torch.int64)
    size = _at_once(image_set)
    for images, labels in zip(image_set.pieces(size), torch.split(image_set.labels, size), strict=True):
        for label in set(labels.tolist()):
            sums[label] += images[labels == label].sum(dim=0, dtype=torch.int64)
    counts = torch.tensor(class_counts(image_set)).clamp(min=1)
    return sums / (255 * counts[:, None, None, None])


def _histograms(images: Tensor) -> Tensor:
    """How often each of the 256 values of a byte occurs in each channel: int64 (C, 256)."""
    return torch.stack([torch.bincount(values.flatten(), minlength=256) for values in images.unbind(dim=1)])


def _at_once(image_set: ImageSet) -> int:
    """How many images are looked at together."""
    return max(1, _SCRATCH // math.prod(image_set.shape))


def _mean_and_deviation(histogram: list[int]) -> tuple[float, float]:
    """From the counts of the 256 values, in whole numbers up to the last division."""
    count = sum(histogram)
    total = sum(times * value for value, times in enumerate(histogram))
    squares = sum(times * value * value for value, times in enumerate(histogram))
    # n^2 var = n sum(x^2) - sum(x)^2; in floating point this difference would cancel badly.
    return total / (255 * count), math.sqrt(count * squares - total * total) / (255 * count)
