"""Whether labels have anything to do with the images."""

import torch
from torch import Tensor
from torch.nn import functional as F

from convscope.training.evaluate import Loader
from convscope.training.loss import main_classes

IMAGES = 2048
"""Enough to tell classes whose average images hardly differ; a few hundredths of a second's work."""
GRID = 4
"""Images are compared by the mean brightness of this many fields along each axis."""


def class_difference(batches: Loader, classes: int) -> float:
    """How much images differ from class to class, against what images of one class make one expect.

    The variance of the classes' means over that within the classes, each by its degrees of freedom (Fisher's F), for
    all fields of the images together: 1 on average where labels are random, and growing with the number of images
    where they are not. At most IMAGES of `batches` are looked at.
    """
    fields, labels, seen = [], [], 0
    for images, targets in batches.epoch(1):
        fields.append(F.adaptive_avg_pool2d(images, GRID).flatten(1))
        labels.append(main_classes(targets))
        seen += len(images)
        if seen >= IMAGES:
            break
    return f_ratio(torch.cat(fields).double(), torch.cat(labels), classes)


def f_ratio(values: Tensor, labels: Tensor, classes: int) -> float:
    """Fisher's F of float64 (N, fields) grouped by int64 (N,); fields count by how much they vary."""
    members = F.one_hot(labels, classes).to(values.dtype)  # (N, classes)
    counts = members.sum(dim=0)
    means = members.T @ values / counts.clamp(min=1)[:, None]  # (classes, fields)
    present = int((counts > 0).sum())
    between = (counts[:, None] * (means - values.mean(dim=0)) ** 2).sum() / max(1, present - 1)
    within = ((values - means[labels]) ** 2).sum() / max(1, len(values) - present)
    return (between / within.clamp(min=torch.finfo(values.dtype).tiny)).item()
