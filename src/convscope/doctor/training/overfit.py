"""Whether a network can learn a few images by heart: what cannot do even that has a fault that no data will mend."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat

import torch
from torch import Tensor

from convscope.data import Batches, ImageSet
from convscope.doctor.findings import Finding
from convscope.doctor.training.depth import without_dropout
from convscope.doctor.training.rate_search import without_decay
from convscope.downloads import Progress
from convscope.training.freezing import Freezing
from convscope.training.loss import CrossEntropy
from convscope.training.lr_finder import Trial

IMAGES, STEPS = 32, 100
BY_HEART = 0.1
"""Share of the loss of guessing below which the images are known by heart."""
HALF_WAY = 0.5
"""Share of it above which they will not be."""


def few_images(train: Batches, count: int = IMAGES) -> tuple[Tensor, Tensor]:
    """`count` training images, as even over the classes as can be and not augmented, as the network takes them."""
    rows = _of_all_classes(train.image_set, count)
    images = train.preprocessing(train.image_set.take(rows).to(train.labels.device))
    return images.contiguous(memory_format=torch.channels_last), train.labels[rows.to(train.labels.device)]


def _of_all_classes(image_set: ImageSet, count: int) -> Tensor:
    """The first images of each class in turn, int64 (at most count,): of class 0 the first, of class 1, ..."""
    labels = image_set.labels
    order = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels, minlength=len(image_set.classes))
    place = torch.empty_like(labels)  # of each image within its class
    place[order] = torch.arange(len(labels)) - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return torch.argsort(place * len(image_set.classes) + labels)[:count]


def overfit(
    trial: Trial, batch: tuple[Tensor, Tensor], *, lr: float, guessing: float, progress: Progress | None = None
) -> Iterator[float]:
    """Train on one batch alone; tell the loss before each step, until it is low.

    All stages learn; there is neither dropout nor weight decay nor label smoothing.
    """
    without_dropout(trial.model)
    plain = replace(without_decay(trial), criterion=CrossEntropy(), freezing=Freezing())
    for step, loss in enumerate(plain.steps(repeat(batch, STEPS), repeat(lr)), start=1):
        yield loss
        known = loss < BY_HEART * guessing
        if progress:
            progress("learning one batch", STEPS if known else step, STEPS)
        if known:
            return


def learnt(losses: Sequence[float], guessing: float) -> bool:
    """Whether the images were learnt by heart, or were about to be."""
    return losses[-1] <= HALF_WAY * guessing


def find_too_little(losses: Sequence[float], images: int, lr: float, guessing: float) -> Iterator[Finding]:
    """Whether it did not succeed, given the losses of the steps."""
    if not learnt(losses, guessing):
        yield Finding(
            kind="cannot learn one batch",
            severity="severe",
            what=f"after {len(losses)} steps on the same {images} images at a learning rate of {lr:.2g} the loss is "
            f"{losses[-1]:.3g}; that of guessing is {guessing:.3g}.",
            why="A network that can learn anything learns so few images by heart. Where it cannot, something is wrong "
            "between the image and the loss, or the same image comes with several labels.",
            remedy="Look at the layers that hardly move or hardly vary, and at the images with `convscope doctor "
            "data`.",
        )
