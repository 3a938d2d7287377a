"""What a training minimises: cross-entropy of the logits, and of auxiliary classifiers where a network has them."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from convscope.models.layers import WithAuxiliary

AUXILIARY_WEIGHT = 0.3
"""Of each auxiliary classifier's loss (Szegedy et al., arXiv 1409.4842, §5)."""


class Loss(NamedTuple):
    """How wrong a network was on some images."""

    logits: Tensor
    """What it answered (N, num_classes), without auxiliary classifiers."""
    main: Tensor
    """Mean loss of `logits`, 0-d: the one that is recorded, because it can be compared with the validation loss."""
    total: Tensor
    """What is minimised, 0-d: `main` and the weighted losses of the auxiliary classifiers."""


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy over images, in float32 whatever arithmetic the network computes in.

    Labels are int64 (N,), or float (N, num_classes) where images are made of several classes: the share of each.
    """

    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes (Szegedy et al., arXiv 1512.00567, §7)."""

    def __call__(self, output: Tensor | WithAuxiliary, labels: Tensor) -> Loss:
        """Compare a network's output in training with the labels."""
        logits, auxiliary = output if isinstance(output, WithAuxiliary) else (output, ())
        main = total = self._of(logits, labels)
        for other in auxiliary:
            total = total + AUXILIARY_WEIGHT * self._of(other, labels)
        return Loss(logits, main, total)

    def _of(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)


def main_classes(labels: Tensor) -> Tensor:
    """The class int64 (N,) that has the largest share in each image; labels int64 (N,) are that already."""
    return labels.argmax(dim=1) if labels.is_floating_point() else labels
