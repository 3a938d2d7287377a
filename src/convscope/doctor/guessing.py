"""The loss of a network that knows nothing of the images."""

import math
from collections.abc import Sequence


def guessing_loss(class_counts: Sequence[int], label_smoothing: float = 0.0) -> float:
    """The least cross-entropy of an answer that is the same for every image: log(classes) where all are as frequent.

    That answer is the average target, and its loss is the average target's entropy.
    """
    total, classes = sum(class_counts), len(class_counts)
    targets = [(1 - label_smoothing) * count / total + label_smoothing / classes for count in class_counts]
    return -sum(target * math.log(target) for target in targets if target)
