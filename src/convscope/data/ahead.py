"""Image files read by threads, ahead of use."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock
from typing import TypeVar

from convscope.data.decoding import quiet_pillow

Given = TypeVar("Given")
Read = TypeVar("Read")

_SMALL = 1 << 13
"""Bytes of a file up to which one thread reads more such files than two, which wait for each other."""
_TOGETHER = 16
"""Small files that a thread reads in one go: handing over single ones would cost as much as reading them."""
_AHEAD = 512
"""Files that may be read before they are used; what waits is small squares, not photos."""


def read_files(
    given: Iterable[Given], read: Callable[[Given], Read], *, size: Callable[[Given], int], ahead: int = _AHEAD
) -> Generator[Read, None, None]:
    """Yield what `read` makes of each item, in their order, and raise what it raises.

    Threads, because Pillow decodes and scales photos without Python's lock; on those of 180 pixels two threads took a
    fifth longer than two processes, and they start at once, in any script. A small file is mostly work for Python, so
    these are read by one thread at a time. Never more than about `ahead` items are read and not yet taken, so that it
    makes no difference to the memory how many there are.

    Args:
        given: the items.
        read: reads the file of an item.
        size: bytes of that file, which tell small ones from others.
        ahead: items that may be read before they are taken.
    """
    small_ones = Lock()

    def read_all(items: list[Given]) -> list[Read]:
        with small_ones if len(items) > 1 else nullcontext(), quiet_pillow():
            return [read(item) for item in items]

    chunks = _chunks(given, size)
    under_way: deque[Future[list[Read]]] = deque()
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="read")
    waiting = 0
    try:
        while True:
            while waiting < ahead and (chunk := next(chunks, None)) is not None:
                under_way.append(pool.submit(read_all, chunk))
                waiting += len(chunk)
            if not under_way:
                return
            results = under_way.popleft().result()
            waiting -= len(results)
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C the files under way are the last


def _chunks(given: Iterable[Given], size: Callable[[Given], int]) -> Iterator[list[Given]]:
    """The items in their order, some small ones together and the others alone."""
    small: list[Given] = []
    for item in given:
        is_small = size(item) <= _SMALL
        if is_small:
            small.append(item)
        if small and (not is_small or len(small) == _TOGETHER):
            yield small
            small = []
        if not is_small:
            yield [item]
    if small:
        yield small
