"""Occlusion: what of a class's probability is lost when a part of the image is covered.

Matthew Zeiler, Rob Fergus, Visualizing and understanding convolutional networks, ECCV 2014, arXiv 1311.2901, §4.2. No
gradient and no layer: the network is only asked, so this serves every network and says what it says in plain units.
"""

from itertools import product

import torch
from torch import Tensor, nn

from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.interpret.activations import evaluating
from convscope.interpret.classes import choose_classes


def occlusion(
    model: nn.Module,
    inputs: Tensor,
    *,
    classes: Tensor | None = None,
    patch: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> Tensor:
    """By how much covering each pixel lowers the probability of the classes.

    A square slides over the image; a pixel gets the mean of all squares that cover it.

    Args:
        model: any network; it is the same afterwards.
        inputs: images as the network takes them, (N, C, H, W).
        classes: int64 (N,), the class to explain for each image; those predicted when None.
        patch: side of the square in pixels; a quarter of the image's shorter side when None.
        stride: pixels from one place of the square to the next; half of `patch` when None.
        fill: what the square is filled with, after normalising. 0 is the mean of the training images where they were
            standardised, a middle grey where they were brought to [-1, 1], black where to [0, 1].
        batch_size: covered images that go through the network together, at least one of each image. More take more
            memory and are not faster.
        progress: is told of the squares tried.

    Returns:
        float32 (N, H, W), from -1 to 1: 0.3 where covering takes the probability from, say, 0.9 to 0.6; below 0 where
        it helps.

    Raises:
        UserError: the square is larger than the image, or moves further than it is wide.
    """
    count, _, height, width = inputs.shape
    side = min(height, width)
    patch = max(1, side // 4) if patch is None else patch
    stride = max(1, patch // 2) if stride is None else stride
    if not 1 <= stride <= patch <= side:
        raise UserError(
            f"a square of {patch} pixels that moves by {stride} cannot cover an image of {side} pixels: give a patch "
            f"from 1 to {side} and a stride from 1 to the patch."
        )
    places = list(product(_starts(height, patch, stride), _starts(width, patch, stride)))
    together = max(1, batch_size // count)  # places tried at once
    falls = inputs.new_zeros(count, height, width)
    covers = inputs.new_zeros(height, width)
    with torch.no_grad(), evaluating(model):
        logits = model(inputs)
        chosen = choose_classes(logits, classes)  # (N, 1)
        before = logits.softmax(dim=1).gather(1, chosen)  # (N, 1)
        for start in range(0, len(places), together):
            some = places[start : start + together]
            covered = inputs.repeat(len(some), 1, 1, 1, 1)  # (places, N, C, H, W)
            for images, (top, left) in zip(covered, some, strict=True):
                images[..., top : top + patch, left : left + patch] = fill
            after = model(covered.flatten(0, 1)).softmax(dim=1).view(len(some), count, -1)
            for probabilities, (top, left) in zip(after, some, strict=True):
                fall = before - probabilities.gather(1, chosen)  # (N, 1)
                falls[:, top : top + patch, left : left + patch] += fall[:, :, None]
                covers[top : top + patch, left : left + patch] += 1
            if progress:
                progress("covering parts of the image", start + len(some), len(places))
    return falls / covers


def _starts(length: int, patch: int, stride: int) -> list[int]:
    """Where squares begin along an axis: every `stride` pixels, and the last one at the very end."""
    return [*range(0, length - patch, stride), length - patch]
