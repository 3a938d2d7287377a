"""Training images made of two, and targets that say how much of each: mixup and CutMix.

Each image's partner is the one before it in the batch, which is as good as one drawn at random, because a training
batch is in random order already; and no image is its own partner, unless it is alone. One share, and one box, serves
the batch, as in the listings of both papers.
"""

import math

import numpy as np
import torch
from torch import Tensor


def draw_share(alpha: float, generator: torch.Generator) -> float:
    """The share in [0, 1] that images keep of themselves, from Beta(alpha, alpha): near 0 or 1 where alpha is small.

    PyTorch's beta distribution takes no generator; NumPy's does, and is given a seed drawn from this one.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))


def mixup(images: Tensor, targets: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Lay each image's partner over it, weighted by 1 - share.

    Zhang, Cisse, Dauphin and Lopez-Paz: mixup: Beyond empirical risk minimization (arXiv 1710.09412), §2.

    Args:
        images: float (N, C, H, W).
        targets: float (N, num_classes), which are mixed like the images.
        share: weight of the image itself, in [0, 1].
    """
    return torch.lerp(images.roll(1, 0), images, share), torch.lerp(targets.roll(1, 0), targets, share)


def cutmix(images: Tensor, targets: Tensor, share: float, centre: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Paste a box of each image's partner into the same place of it.

    Yun, Han, Oh, Chun, Choe and Yoo: CutMix: Regularization strategy to train strong classifiers with localizable
    features (arXiv 1905.04899), §3.1: the box has the image's proportions and 1 - share of its area.

    Args:
        images: (N, C, H, W).
        targets: float (N, num_classes), mixed by the area that was pasted: less where the box passes the border.
        share: area of the image itself, in [0, 1].
        centre: row and column of the box's middle.
    """
    height, width = images.shape[-2:]
    rows, columns = (
        _segment(middle, round(side * math.sqrt(1 - share)), side)
        for middle, side in zip(centre, (height, width), strict=True)
    )
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[:, :, rows, columns].roll(1, 0)
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return mixed, torch.lerp(targets, targets.roll(1, 0), pasted)


def _segment(middle: int, length: int, side: int) -> slice:
    """The part of a segment around `middle` that lies within [0, side)."""
    start = middle - length // 2
    return slice(max(start, 0), min(start + length, side))
