"""Right solutions of the exercises on FashionMNIST and MNIST, and mistakes that must be recognised."""

import torch
from torch import Tensor


def nearest_mean(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    pixels, others = images.double().flatten(1), new.double().flatten(1)
    means = torch.stack([pixels[labels == label].mean(dim=0) for label in range(int(labels.max()) + 1)])
    return (others[:, None] - means).square().sum(dim=2).argmin(dim=1)


def shuffle_pixels(images: Tensor, order: Tensor) -> Tensor:
    return images.flatten(2)[:, :, order].view_as(images)


def times_the_errors(first: float, second: float) -> float:
    return (1 - first) / (1 - second)


def _means(images: Tensor, labels: Tensor) -> Tensor:
    pixels = images.double().flatten(1)
    return torch.stack([pixels[labels == label].mean(dim=0) for label in range(int(labels.max()) + 1)])


def _without_squares(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return (new.double().flatten(1)[:, None] - _means(images, labels)).sum(dim=2).argmin(dim=1)


def _square_of_the_sum(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return (new.double().flatten(1)[:, None] - _means(images, labels)).sum(dim=2).square().argmin(dim=1)


def _absolute(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return torch.cdist(new.double().flatten(1), _means(images, labels), p=1).argmin(dim=1)


def _nearest_image(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return labels[torch.cdist(new.double().flatten(1), images.double().flatten(1)).argmin(dim=1)]


def _mean_of_bytes(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return images.flatten(1).mean(dim=0)


def _farthest(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return (new.double().flatten(1)[:, None] - _means(images, labels)).square().sum(dim=2).argmax(dim=1)


def _by_product(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return (new.double().flatten(1) @ _means(images, labels).T).argmax(dim=1)


def _inverse(images: Tensor, order: Tensor) -> Tensor:
    shuffled = torch.empty_like(images).flatten(2)
    shuffled[:, :, order] = images.flatten(2)
    return shuffled.view_as(images)


def _in_place(images: Tensor, order: Tensor) -> Tensor:
    images.copy_(shuffle_pixels(images, order))
    return images


MISTAKES = [
    ("nearest_mean", _farthest, "smallest"),
    ("nearest_mean", _mean_of_bytes, "floats"),
    ("nearest_mean", _without_squares, "square"),
    ("nearest_mean", _square_of_the_sum, "before the sum"),
    ("nearest_mean", _absolute, "absolute"),
    ("nearest_mean", _nearest_image, "nearest images"),
    ("nearest_mean", _by_product, "product"),
    ("shuffle_pixels", _inverse, "inverse"),
    ("shuffle_pixels", lambda images, order: images.flatten(2)[:, :, order], "row"),
    ("shuffle_pixels", lambda images, order: images.flatten(1)[:, order], "channel"),
    ("shuffle_pixels", _in_place, "changed"),
    ("times_the_errors", lambda first, second: second / first, "accuracies"),
    ("times_the_errors", lambda first, second: (1 - second) / (1 - first), "round"),
    ("times_the_errors", lambda first, second: second - first, "difference"),
    ("times_the_errors", lambda first, second: (100 - first) / (100 - second), "percentages"),
    ("times_the_errors", lambda first, second: (1 - first) // (1 - second), "rounds down"),
]
