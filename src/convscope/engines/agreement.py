"""How well two engines agree about the same images, and how well is well enough to exchange them."""

from dataclasses import dataclass

from torch import Tensor

_MOST_OTHERS = 0.005
"""Share of images at most that another engine may give another class, for it to stand for the network itself."""
_MOST = 0.1
"""Difference at most between their probabilities of a class, in any image."""


@dataclass(frozen=True)
class Agreement:
    """What one engine says, against another."""

    images: int
    """That both looked at."""
    top1: float
    """Share of them that both give the same likeliest class."""
    largest_difference: float
    """Between their probabilities of a class, over all classes and images."""

    @classmethod
    def of(cls, logits: Tensor, expected: Tensor) -> "Agreement":
        """Compare logits float32 (N, num_classes) with those of the engine that counts as right."""
        top1 = (logits.argmax(dim=1) == expected.argmax(dim=1)).float().mean()
        difference = (logits.softmax(dim=1) - expected.softmax(dim=1)).abs().max()
        return cls(images=len(logits), top1=top1.item(), largest_difference=difference.item())

    @property
    def suffices(self) -> bool:
        """Whether nobody will mind which of the two answers; never where one says something that is no number."""
        # One is always pardoned: of few images, one that lies between two classes would be more than the share.
        pardoned = max(1.0, _MOST_OTHERS * self.images) + 0.01  # and what rounding makes of whole numbers
        return (1 - self.top1) * self.images <= pardoned and self.largest_difference <= _MOST
