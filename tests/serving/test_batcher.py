"""Batches: who asks together is answered together, each with its own answer, and a full queue says so.  R-F4"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from convscope.serving.batcher import Batcher
from convscope.web.answers import Refused

FOREVER = 3600.0


class Network:
    """Doubles its images, once it is let, and remembers how many there were at a time."""

    def __init__(self) -> None:
        self.open, self.busy = Event(), Event()
        self.open.set()
        self.sizes: list[int] = []

    def __call__(self, squares: Tensor) -> Tensor:
        self.sizes.append(len(squares))
        self.busy.set()
        assert self.open.wait(60)
        if (squares == 255).any():
            raise RuntimeError("a surprise")
        return squares.flatten(1).float() * 2


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def make(network: Network) -> Iterator[Callable[..., Batcher]]:
    """Makes a batcher, closed at the end of the test."""
    with ExitStack() as stack:

        def run(*, most: int = 8, patience: float = FOREVER, room: int = 100) -> Batcher:
            batcher = Batcher(network, most=most, patience=patience, room=room)
            stack.callback(batcher.close)
            stack.callback(network.open.set)
            return batcher

        yield run


def squares(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)


def answers(futures: list[Future[Tensor]]) -> list[float]:
    return [value for future in futures for value in future.result(timeout=60).flatten().tolist()]


def put(batcher: Batcher, *values: int) -> list[Future[Tensor]]:
    with batcher.admit(len(values)) as into_the_queue:
        return into_the_queue(squares(*values))


def test_one_alone_does_not_wait(make: Callable[..., Batcher]) -> None:
    assert answers(put(make(), 3)) == [6.0]


def test_what_waits_goes_together(make: Callable[..., Batcher], network: Network) -> None:
    batcher = make()
    network.open.clear()
    first = put(batcher, 0)
    assert network.busy.wait(60)
    others = [put(batcher, value) for value in range(1, 6)]
    network.open.set()
    assert answers(first) == [0.0]
    assert [answers(other) for other in others] == [[2.0 * value] for value in range(1, 6)]
    assert network.sizes == [1, 5]


def test_those_on_their_way_are_waited_for(make: Callable[..., Batcher], network: Network) -> None:
    batcher = make()
    with batcher.admit(1) as late:
        early = put(batcher, 1)
        with pytest.raises(TimeoutError):
            early[0].result(timeout=0.05)
        others = late(squares(2))
    assert answers(early) + answers(others) == [2.0, 4.0]
    assert network.sizes == [2]


def test_but_not_without_end(make: Callable[..., Batcher], network: Network) -> None:
    batcher = make(patience=0.01)
    with batcher.admit(1):
        assert answers(put(batcher, 1)) == [2.0]
    assert network.sizes == [1]


def test_one_that_turns_out_to_be_no_image_is_waited_for_no_longer(make: Callable[..., Batcher]) -> None:
    batcher = make()
    with batcher.admit(1) as late:
        early = put(batcher, 1)
        assert late(squares()) == []
        assert answers(early) == [2.0]
    with batcher.admit(1):
        early = put(batcher, 1)
    assert answers(early) == [2.0]


def test_a_batch_that_is_full_waits_for_nobody(make: Callable[..., Batcher], network: Network) -> None:
    batcher = make(most=2)
    with batcher.admit(1):
        assert answers(put(batcher, 1, 2)) == [2.0, 4.0]
    assert network.sizes == [2]


def test_what_is_too_much_for_one_batch_goes_in_parts(make: Callable[..., Batcher], network: Network) -> None:
    assert answers(put(make(most=3), *range(8))) == [2.0 * value for value in range(8)]
    assert network.sizes == [3, 3, 2]


def test_a_full_queue_refuses_and_recovers(make: Callable[..., Batcher], network: Network) -> None:
    batcher = make(room=3)
    with batcher.admit(2) as into_the_queue:
        with pytest.raises(Refused, match="try again") as refusal, batcher.admit(2):
            pytest.fail("there was room")
        assert refusal.value.status == 503
        assert batcher.admitted == 2
        both = into_the_queue(squares(4, 5))
        assert answers(put(batcher, 1)) == [2.0]
        assert answers(both) == [8.0, 10.0]
    assert batcher.admitted == 0
    assert answers(put(batcher, 1, 2, 3)) == [2.0, 4.0, 6.0]


def test_a_network_that_fails_fails_those_alone_who_were_in_the_batch(make: Callable[..., Batcher]) -> None:
    batcher = make(most=1)
    bad, good = put(batcher, 255), put(batcher, 1)
    with pytest.raises(RuntimeError, match="a surprise"):
        bad[0].result(timeout=60)
    assert answers(good) == [2.0]


def test_who_has_gone_is_not_computed_for(make: Callable[..., Batcher], network: Network) -> None:
    batcher = make()
    network.open.clear()
    put(batcher, 0)
    assert network.busy.wait(60)
    gone, still_there = put(batcher, 1), put(batcher, 2)
    assert gone[0].cancel()
    network.open.set()
    assert answers(still_there) == [4.0]
    assert network.sizes == [1, 1]


def test_the_end_answers_what_is_in_the_queue(network: Network) -> None:
    batcher = Batcher(network, most=2, patience=FOREVER, room=10)
    network.open.clear()
    waiting = [put(batcher, value) for value in range(5)]
    network.open.set()
    batcher.close()
    assert [answers(each) for each in waiting] == [[2.0 * value] for value in range(5)]


@given(
    requests=st.lists(st.lists(st.integers(0, 254), max_size=12), min_size=1, max_size=20),
    most=st.integers(1, 9),
    threads=st.integers(1, 8),
)
def test_everybody_gets_the_own_answer(requests: list[list[int]], most: int, threads: int) -> None:
    network = Network()
    batcher = Batcher(network, most=most, patience=0.001, room=1000)
    with ThreadPoolExecutor(threads) as pool:
        said = list(pool.map(lambda values: answers(put(batcher, *values)), requests))
    batcher.close()
    assert said == [[2.0 * value for value in values] for values in requests]
    assert sum(network.sizes) == sum(map(len, requests)) and max(network.sizes, default=0) <= most
    assert batcher.admitted == 0
