"""Images on their way from their files to an engine: read by threads, ahead of use."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from convscope.errors import UserError

Given = TypeVar("Given")
Read = TypeVar("Read")

_TOGETHER = 16
"""Images that a thread reads in one go: handing over single ones of 28 pixels would cost as much as reading them."""
_AHEAD = 512
"""Images that may be read before they are used; what waits is small squares, not photos."""


class Block(NamedTuple):
    """Some images, as an engine takes them."""

    sources: list[str]
    """What they are called."""
    squares: Tensor
    """uint8 (N, channels, decode_size, decode_size)."""


def read_ahead(
    given: Iterable[Given], read: Callable[[Given], Read], *, ahead: int = _AHEAD
) -> Iterator[Read | UserError]:
    """Yield what `read` makes of each item, in their order, or the UserError that it raised instead.

    Threads, because Pillow decodes and scales without Python's lock; and never more than `ahead` items are read and
    not yet taken, so that it makes no difference to the memory how many there are.
    """

    def read_all(items: list[Given]) -> list[Read | UserError]:
        return [_read_or_refuse(read, item) for item in items]

    items = iter(given)
    chunks = iter(lambda: list(islice(items, _TOGETHER)), [])
    under_way: deque[Future[list[Read | UserError]]] = deque()
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="read")
    try:
        under_way.extend(pool.submit(read_all, chunk) for chunk in islice(chunks, max(1, ahead // _TOGETHER)))
        while under_way:
            results = under_way.popleft().result()
            under_way.extend(pool.submit(read_all, chunk) for chunk in islice(chunks, 1))
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C the images under way are the last


def _read_or_refuse(read: Callable[[Given], Read], item: Given) -> Read | UserError:
    try:
        return read(item)
    except UserError as error:
        return error


def batches(
    blocks: Iterable[Block | UserError], at_once: int, on_error: Callable[[UserError], None] | None
) -> Iterator[Block]:
    """Join blocks to such of `at_once` images or a few more; hand errors on to `on_error`, or raise them."""
    waiting: list[Block] = []
    count = 0
    for block in blocks:
        if isinstance(block, UserError):
            if on_error is None:
                raise block
            on_error(block)
            continue
        waiting.append(block)
        count += len(block.sources)
        if count >= at_once:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Block]) -> Block:
    return Block([source for block in blocks for source in block.sources], torch.cat([b.squares for b in blocks]))


def one_ahead(work: Callable[[Given], Read], given: Iterable[Given]) -> Iterator[Read]:
    """Yield what `work` makes of each item, while a thread is at the next one already."""
    under_way: Future[Read] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="answer") as pool:
        for item in given:
            before, under_way = under_way, pool.submit(work, item)
            if before is not None:
                yield before.result()
        if under_way is not None:
            yield under_way.result()
