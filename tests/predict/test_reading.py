"""Images in batches, one of which is prepared while another is answered."""

import threading

import pytest
import torch

from convscope.errors import UserError
from convscope.predict.reading import Block, batches, one_ahead


def block(*numbers: int) -> Block:
    return Block([str(number) for number in numbers], torch.tensor(numbers, dtype=torch.uint8)[:, None, None, None])


def test_batches_hold_all_images_in_order() -> None:
    blocks = [block(0), block(1, 2), UserError("3: give another."), block(4, 5, 6), block(7), block(8)]
    errors: list[UserError] = []
    joined = list(batches(blocks, 3, errors.append))
    assert [batch.sources for batch in joined] == [["0", "1", "2"], ["4", "5", "6"], ["7", "8"]]
    assert [batch.squares.flatten().tolist() for batch in joined] == [[0, 1, 2], [4, 5, 6], [7, 8]]
    assert errors == blocks[2:3]
    with pytest.raises(UserError, match="3: give another"):
        list(batches(blocks, 3, None))
    assert list(batches([], 3, None)) == []


def test_the_next_item_is_worked_on_while_the_last_is_used() -> None:
    begun = threading.Semaphore(0)

    def work(number: int) -> int:
        begun.release()
        return number * number

    results = one_ahead(work, range(4))
    assert next(results) == 0
    assert begun.acquire(timeout=10) and begun.acquire(timeout=10), "the second was not begun"
    assert list(results) == [1, 4, 9]
    assert list(one_ahead(work, [])) == []
