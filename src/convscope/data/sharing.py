"""Which images are whose, where several processes train one network together."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The part of one process among several that divide everything."""

    index: int = 0
    """Of the process, from 0."""
    count: int = 1
    """Processes."""

    def of(self, size: int) -> slice:
        """Its places among `size` in a row.

        Each place belongs to one process, neighbours stay together, and no process has more than one place more than
        another. Process 0 always has as many as any; where there are fewer places than processes, some have none.
        """
        return slice(*(-(-number * size // self.count) for number in (self.index, self.index + 1)))


ALL = Share()
"""Of one process that is alone."""


@dataclass(frozen=True)
class Part:
    """Some of the images of a batch; what is drawn at random is drawn for the batch, so that nothing depends on who
    has which image.
    """

    size: int
    """Images in the batch."""
    rows: Tensor
    """int64 (P,): places in the batch of the images at hand."""

    @classmethod
    def all(cls, size: int) -> "Part":
        """A batch as a whole."""
        return cls(size, torch.arange(size))
