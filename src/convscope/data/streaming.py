"""Reading batches ahead from a file of pixels that is larger than the memory.

Images drawn one by one from all over a file cost a visit to the disk each. So they are read in blocks of neighbours,
many blocks make a group, and batches are drawn from a group that lies in memory, while threads read the next one. The
order of the blocks is random, and so is that of the images within a group.

How this differs from a shuffle of the whole set: images that are neighbours in the file always come within the same
group, hundreds or thousands of images long, so a batch is drawn from the group's images instead of from all. Decoded
photos lie in the file in an order that has nothing to do with their classes, so each group is a fair sample of the set
all the same.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import torch
from torch import Tensor

from convscope.data.imageset import ImageSet

BLOCK_BYTES = 1 << 22
"""Pixels read in one go: enough that the disk's way to them is short against the reading."""
GROUP_BYTES = 1 << 27
"""Pixels in memory to draw batches from; there are two groups, one in use and one that is being read."""
WORKERS = 4
"""Threads that read. They mostly wait for the disk, so there may be more of them than cores."""


def block_order(count: int, *, block: int, group: int, generator: torch.Generator) -> Tensor:
    """A random order of `count` images that can be read in blocks: int64 (count,).

    Args:
        count: images in the set.
        block: images that lie side by side in the file and in one group of the order.
        group: images of the order that are shuffled together.
        generator: decides the order.
    """
    blocks = torch.split(torch.arange(count), block)
    mixed = torch.cat([blocks[index] for index in torch.randperm(len(blocks), generator=generator).tolist()])
    groups = [part[torch.randperm(len(part), generator=generator)] for part in torch.split(mixed, group)]
    return torch.cat(groups)


def read_ahead(
    image_set: ImageSet, batches: Sequence[Tensor], *, block: int, group: int, pinned: bool = False
) -> Iterator[Tensor]:
    """The pixels uint8 (B, C, H, W) of each batch of indices int64 (B,), read by threads before they are asked for.

    Args:
        image_set: the images, which lie in a file.
        batches: indices in the set, in the order in which they are wanted.
        block: images that a thread reads at a time.
        group: batches that are read together, while those of the group before are in use.
        pinned: give the pixels in memory that a GPU copies from by itself, see `transfers.send`.
    """
    groups = [batches[first : first + group] for first in range(0, len(batches), group)]
    most = max((sum(map(len, batches)) for batches in groups), default=0)
    # Room for two groups, used in turn. A tensor made in inference mode, as evaluation has it, could not be written to
    # by threads, which do not.
    with torch.inference_mode(False):
        rooms = torch.empty(2, most, *image_set.shape, dtype=torch.uint8)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="read-ahead") as pool:
        numbered = (_Group(image_set, part, rooms[number % 2], block, pool) for number, part in enumerate(groups))
        ahead = next(numbered, None)
        try:
            while ahead is not None:
                current, ahead = ahead, next(numbered, None)
                yield from current.batches(pinned)
        finally:
            if ahead is not None:  # the caller went away in the middle of the epoch
                ahead.cancel()


class _Group:
    """Batches on their way from the file into `room`, where they lie in the order of the file: disks read forwards."""

    def __init__(
        self, image_set: ImageSet, batches: Sequence[Tensor], room: Tensor, block: int, pool: Executor
    ) -> None:
        indices = torch.cat(tuple(batches))
        rows, order = (indices if image_set.rows is None else image_set.rows[indices]).sort()
        self._places = torch.split(order.argsort(), [len(batch) for batch in batches])
        self._room = room[: len(rows)]
        self._parts = [
            pool.submit(torch.index_select, image_set.images, 0, chosen, out=here)
            for chosen, here in zip(torch.split(rows, block), torch.split(self._room, block), strict=True)
        ]

    def batches(self, pinned: bool) -> Iterator[Tensor]:
        """The pixels of each batch, uint8 (B, C, H, W), once all of the group are there."""
        for part in self._parts:
            part.result()
        for places in self._places:
            pixels = torch.empty(len(places), *self._room.shape[1:], dtype=torch.uint8, pin_memory=pinned)
            yield torch.index_select(self._room, 0, places, out=pixels)

    def cancel(self) -> None:
        """Leave unread what no thread has begun to read."""
        for part in self._parts:
            part.cancel()
