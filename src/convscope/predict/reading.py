"""Images on their way from their files to an engine: in batches, one of which is prepared while another is answered."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from convscope.errors import UserError

Given = TypeVar("Given")
Read = TypeVar("Read")


class Block(NamedTuple):
    """Some images, as an engine takes them."""

    sources: list[str]
    """What they are called."""
    squares: Tensor
    """uint8 (N, channels, decode_size, decode_size)."""


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
    if len(blocks) == 1:
        return blocks[0]
    sources = [source for block in blocks for source in block.sources]
    return Block(sources, torch.from_numpy(np.concatenate([block.squares.numpy() for block in blocks])))


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
