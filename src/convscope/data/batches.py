"""Batches of a data set: no worker processes, no per-image Python."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from convscope.data.augment import Augmentation
from convscope.data.imageset import ImageSet
from convscope.data.onepass import OnePass
from convscope.data.preprocessing import Preprocessing
from convscope.data.sharing import ALL, Part, Share
from convscope.data.streaming import BLOCK_BYTES, GROUP_BYTES, block_order, read_ahead
from convscope.data.transfers import send
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
        streamed: read the pixels from their file ahead of use, for sets that do not fit into the memory; their order is
            then random in blocks, as `streaming` explains.
        share: of this process, where several train together: its part of each batch of a training set, or a run of
            neighbours of a set to evaluate.

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
        streamed: bool = False,
        share: Share = ALL,
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
        if not streamed and torch.device(device).type != "cpu":
            pixels = torch.empty(len(image_set), *image_set.shape, dtype=torch.uint8, device=device)
            for piece, place in zip(image_set.pieces(batch_size), torch.split(pixels, batch_size), strict=True):
                place.copy_(piece)
            image_set = ImageSet(pixels, image_set.labels, image_set.classes)
        self.image_set = image_set
        self.labels = image_set.labels.to(device)
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.augmentation = augmentation
        self.streamed = streamed
        self.share = share
        # Of a streamed set: images in a block of the file, and batches in a group.
        image_bytes = math.prod(image_set.shape)
        self._block = max(1, BLOCK_BYTES // image_bytes)
        self._group = max(1, GROUP_BYTES // (image_bytes * batch_size))

    @property
    def samples(self) -> int:
        """Images in an epoch."""
        return len(self.labels)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.samples // self.batch_size)

    def size(self, step: int) -> int:
        """Images of the batch at a step, from 0, in all processes together."""
        return min(self.batch_size, self.samples - step * self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step `start` on: float32 (B, channels, size, size) and int64 (B,).

        Where images are mixed, their labels are the shares of the classes, float32 (B, num_classes).

        A batch depends on (shuffle_seed, epoch, step) alone, so an epoch resumed in its middle goes on with
        the same bits, whatever else has drawn random numbers meanwhile. Nor does it depend on how many processes share
        it: each has some of its images, as one process alone would have them.
        """
        device = self.labels.device
        batches = torch.split(self._order(epoch), self.batch_size)
        parts = [self._part(len(batch)) for batch in batches]
        order = torch.cat([batch[part.rows] for batch, part in zip(batches, parts, strict=True)])
        # Where the images are on the device, so is their order, all of it at once.
        order = order if self.streamed else send(order, device)
        mine = torch.split(order, [len(part.rows) for part in parts])[start:]
        augmentation = self.augmentation or Augmentation()
        one_pass = None if self.streamed else OnePass.of(self.image_set, self.preprocessing, augmentation)
        # It gathers the pixels itself.
        sources, prepare = (self._pixels(mine), self._prepare) if one_pass is None else (mine, one_pass)
        for step, (chosen, part, source) in enumerate(zip(mine, parts[start:], sources, strict=True), start):
            generator = torch.Generator()
            if self.shuffle_seed is not None:
                generator.manual_seed(derive_seed(self.shuffle_seed, epoch, step))
            images, labels = prepare(source, generator, part), self.labels[send(chosen, device)]
            images, labels = augmentation.mix(images, labels, len(self.image_set.classes), generator)
            images, labels = images[self._neighbours :], labels[self._neighbours :]
            yield images.contiguous(memory_format=torch.channels_last), labels

    def _order(self, epoch: int) -> Tensor:
        """int64 (N,): the epoch's order of the images; of a set to evaluate those of this process."""
        if self.shuffle_seed is None:
            return torch.arange(self.samples)[self.share.of(self.samples)]
        generator = torch.Generator().manual_seed(derive_seed(self.shuffle_seed, epoch))
        if self.streamed:
            group = self._group * self.batch_size
            return block_order(self.samples, block=self._block, group=group, generator=generator)
        return torch.randperm(self.samples, generator=generator)

    @property
    def _neighbours(self) -> int:
        """How many images it needs in front of its own: mixing makes each image out of it and the one before it."""
        shared = self.shuffle_seed is not None and self.share.count > 1
        return int(shared and self.augmentation is not None and self.augmentation.mixes)

    def _part(self, size: int) -> Part:
        """Which images of a batch of `size` it needs."""
        own = slice(0, size) if self.shuffle_seed is None else self.share.of(size)
        return Part(size, torch.arange(own.start - self._neighbours, own.stop) % size)

    def _pixels(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """The bytes of each batch, uint8 (B, C, H, W)."""
        if self.streamed:
            pinned = self.labels.device.type == "cuda"
            return read_ahead(self.image_set, batches, block=self._block, group=self._group, pinned=pinned)
        return map(self.image_set.take, batches)

    def _prepare(self, pixels: Tensor, generator: torch.Generator, part: Part) -> Tensor:
        """Augment and normalise a batch, or this process's part of it: uint8 (B, C, H, W) to float32."""
        augmentation, preprocessing = self.augmentation or Augmentation(), self.preprocessing
        images = augmentation.crop(send(pixels, self.labels.device), preprocessing.size, generator, part=part)
        images = augmentation.recolour(images, generator, part=part)
        return augmentation(preprocessing(images), generator, fill=preprocessing.black, part=part)


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
