"""Reasons to doubt what a network says of an image that is unlike those it was trained on."""

import torch
from torch import Tensor

from convscope.data.statistics import borders

# When an image looks like the negative of the training images. With FashionMNIST's border of 0.05 this flags
# none of its 70,000 images, and all but 2 of them once they are inverted.
_FAR = 0.5
"""Least distance of the image's border from that of the training images, in [0, 1]."""
_NEARER = 0.25
"""How much nearer to it the border of the inverted image has to be."""


def doubts(squares: Tensor, training_border: float, *, exchanged: bool) -> list[str | None]:
    """Compare images uint8 (N, C, S, S) with those of the training; None for one that nothing speaks against.

    `exchanged` says whether the user had light and dark exchanged.
    """
    pixels = squares.flatten(1).numpy()
    empty = torch.from_numpy(pixels.min(axis=1) == pixels.max(axis=1))
    reasons: list[str | None] = [None] * len(squares)
    suspicious = (empty | _inverted(squares, training_border)).nonzero().flatten()
    for index in suspicious.tolist():  # mostly none
        reasons[index] = _EMPTY if empty[index] else _exchange(training_border, exchanged)
    return reasons


def inverted(pixels: Tensor, training_border: float) -> bool:
    """Whether an image uint8 (C, H, W) looks like the negative of the training images."""
    return bool(_inverted(pixels[None], training_border))


def _inverted(images: Tensor, training_border: float) -> Tensor:
    """bool (N,)."""
    border = borders(images)
    distance, inverted_distance = (border - training_border).abs(), (1 - border - training_border).abs()
    return torch.logical_and(distance > _FAR, distance - inverted_distance > _NEARER)


_EMPTY = "the image has the same brightness everywhere, so there is nothing in it to recognise."


def _exchange(training_border: float, exchanged: bool) -> str:
    training = "light on dark" if training_border < 0.5 else "dark on light"
    remedy = "leave --invert out" if exchanged else "--invert exchanges light and dark"
    return f"the training images are {training}, and here it is the other way round: {remedy}."
