"""Reading ahead: in order, with errors in their places, and never far ahead."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convscope.errors import UserError
from convscope.predict.reading import Block, batches, one_ahead, read_ahead


def read(number: int) -> int:
    if number % 7 == 3:
        raise UserError(f"{number} cannot be read: give another.")
    if number % 5 == 0:
        time.sleep(0.001)  # so that others overtake it
    return number


@given(count=st.integers(0, 120), ahead=st.integers(1, 60))
def test_order_and_errors(count: int, ahead: int) -> None:
    results = list(read_ahead(range(count), read, ahead=ahead))
    assert len(results) == count
    for number, result in enumerate(results):
        if number % 7 == 3:
            assert isinstance(result, UserError)
            assert str(result).startswith(f"{number} cannot")
        else:
            assert result == number


def test_however_many_there_are_only_some_are_read_ahead() -> None:
    asked = 0
    before = set(threading.enumerate())

    def endless() -> Iterator[int]:
        nonlocal asked
        while True:
            asked += 1
            yield 7 * asked

    results = read_ahead(endless(), read, ahead=64)
    for taken in range(1, 400):
        next(results)
        assert asked <= taken + 64 + 2 * 16
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


def test_other_exceptions_come_through_and_the_threads_end() -> None:
    before = set(threading.enumerate())

    def fail(number: int) -> int:
        raise ValueError("a mistake in the program")

    with pytest.raises(ValueError, match="a mistake"):
        list(read_ahead(range(100), fail))
    assert set(threading.enumerate()) <= before


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
