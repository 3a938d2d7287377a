"""The network that knows nothing of the images: its loss, and what makes it learn."""

import math
from collections.abc import Iterator, Sequence

from convscope.catalog import MODELS
from convscope.config import Config


def guessing_loss(class_counts: Sequence[int], label_smoothing: float = 0.0) -> float:
    """The least cross-entropy of an answer that is the same for every image: log(classes) where all are as frequent.

    That answer is the average target, and its loss is the average target's entropy.
    """
    total, classes = sum(class_counts), len(class_counts)
    targets = [(1 - label_smoothing) * count / total + label_smoothing / classes for count in class_counts]
    return -sum(target * math.log(target) for target in targets if target)


def ways_out(config: Config) -> Iterator[str]:
    """What lets a network learn that gives all images the same answer, most promising first."""
    if f"{config.model}_bn" in MODELS:
        yield f"the network {config.model}_bn, whose norms keep the gradients alive"
    if config.optimizer == "sgd":
        # Where gradients nearly vanish sgd's steps do so too, and a smaller rate makes them smaller still.
        yield "--optimizer adamw --lr 0.0005, whose steps do not shrink with the gradients"
    yield f"a smaller learning rate, --lr {config.lr / 10:g}"
    if not config.warmup_epochs and config.schedule != "one-cycle":  # which warms up by itself
        yield "a warm-up, --warmup-epochs 1"
