"""Batches of a data set that lies on the device as a whole: no worker processes, no per-image Python."""

from collections.abc import Iterator

import torch
from torch import Tensor

from convscope.data.augment import Augmentation
from convscope.data.imageset import ImageSet
from convscope.data.preprocessing import Preprocessing
from convscope.errors import UserError

_MASK = (1 << 64) - 1


class Batches:
    """A set of images as the network takes them, a batch at a time.

    The images stay bytes on the device; only the batch under way is turned into floats. A training set has a
    `shuffle_seed`; a set to evaluate has none and comes in its own order.

    Args:
        batch_size: images in a batch; the last batch of an epoch takes what is left.
        shuffle_seed: decides everything random, together with the epoch and the step; None for the set's order.
        augmentation: what to do to the images at random; needs a `shuffle_seed`.

    Raises:
        UserError: the batch size is below 1, or more than a training set has.
    """

    def __init__(
        self,
        image_set: ImageSet,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        device: torch.device | str = "cpu",
        shuffle_seed: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"the batch size is {batch_size}, but must be at least 1: try 128.")
        if shuffle_seed is not None and batch_size > len(image_set):
            raise UserError(
                f"the batch size {batch_size} is more than the {len(image_set)} training images: "
                f"choose {len(image_set)} or less."
            )
        if augmentation is not None and shuffle_seed is None:
            raise UserError("augmentation draws its numbers from the shuffle seed: give one, or no augmentation.")
        self.images = image_set.images.to(device)
        self.labels = image_set.labels.to(device)
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.augmentation = augmentation

    @property
    def samples(self) -> int:
        """Images in an epoch."""
        return len(self.labels)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.samples // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step `start` on: float32 (B, channels, size, size) and int64 (B,).

        A batch depends on (shuffle_seed, epoch, step) alone, so an epoch resumed in its middle goes on with
        the same bits, whatever else has drawn random numbers meanwhile.
        """
        order = self._order(epoch)
        for step in range(start, len(self)):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            # index_select copies whole images; indexing with [] goes pixel by pixel and takes ten times as long.
            images = self.preprocessing(self.images.index_select(0, chosen))
            if self.augmentation is not None and self.shuffle_seed is not None:
                generator = torch.Generator().manual_seed(derive_seed(self.shuffle_seed, epoch, step))
                images = self.augmentation(images, generator, fill=self.preprocessing.black)
            yield images.contiguous(memory_format=torch.channels_last), self.labels[chosen]

    def _order(self, epoch: int) -> Tensor:
        """int64 (N,): the epoch's order of the images."""
        if self.shuffle_seed is None:
            return torch.arange(self.samples, device=self.images.device)
        generator = torch.Generator().manual_seed(derive_seed(self.shuffle_seed, epoch))
        return torch.randperm(self.samples, generator=generator).to(self.images.device)


def derive_seed(seed: int, *parts: int) -> int:
    """A seed of 64 bits from several whole numbers.

    Neighbouring seeds, epochs and steps must not give related streams, and (1, 2) not the same one as (2, 1);
    so each number goes through SplitMix64's mixing (Steele, Lea, Flood: Fast splittable pseudorandom number
    generators, OOPSLA 2014) before the next is added.
    """
    state = _mix(seed)
    for part in parts:
        state = _mix(state + part)
    return state


def _mix(number: int) -> int:
    """A one-to-one scrambling of 64 bits: every bit of the result depends on all bits of the number."""
    state = (number + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)
