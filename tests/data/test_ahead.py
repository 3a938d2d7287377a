"""Reading ahead: in order, never far ahead, and small files by one thread at a time."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.data.ahead import read_files

SMALL, LARGE = 1 << 10, 1 << 20


def read(number: int) -> str:
    if number % 5 == 0:
        time.sleep(0.001)  # so that others overtake it
    return str(number)


@given(sizes=st.lists(st.sampled_from([0, SMALL, LARGE]), max_size=120), ahead=st.integers(1, 60))
def test_all_come_in_their_order(sizes: list[int], ahead: int) -> None:
    results = read_files(range(len(sizes)), read, size=lambda number: sizes[number], ahead=ahead)
    assert list(results) == [str(number) for number in range(len(sizes))]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_however_many_there_are_only_some_are_read_ahead(size: int) -> None:
    asked = 0
    before = set(threading.enumerate())

    def endless() -> Iterator[int]:
        nonlocal asked
        while True:
            asked += 1
            yield asked

    results = read_files(endless(), read, size=lambda number: size, ahead=64)
    for taken in range(1, 400):
        next(results)
        assert asked <= taken + 64 + 2 * 16
    results.close()
    assert set(threading.enumerate()) <= before


def test_small_files_are_read_one_at_a_time_and_large_ones_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    reading, both = threading.Lock(), threading.Barrier(2, timeout=10)

    def alone(number: int) -> None:
        assert reading.acquire(blocking=False), "two threads read small files"
        time.sleep(0.001)
        reading.release()

    list(read_files(range(64), alone, size=lambda number: SMALL))
    list(read_files(range(4), lambda number: both.wait(), size=lambda number: LARGE))


def test_exceptions_come_through_and_the_threads_end() -> None:
    before = set(threading.enumerate())

    def fail(number: int) -> int:
        raise ValueError("a mistake in the program")

    with pytest.raises(ValueError, match="a mistake"):
        list(read_files(range(100), fail, size=lambda number: LARGE))
    assert set(threading.enumerate()) <= before
