"""Images that arrive together go through the network together.

A network takes little longer for a few images than for one: its weights come from the memory once for all of them, and
each layer is begun once. So images wait in a queue while the network is busy, and the next time it takes all there are.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Thread

import torch
from torch import Tensor

from convscope.web.answers import Refused


@dataclass(frozen=True)
class _Waiting:
    squares: Tensor
    """uint8 (n, C, S, S), all for one batch."""
    probabilities: Future[Tensor]
    """Will be float32 (n, classes)."""
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """A queue of images, and the thread that takes them from it in batches."""

    def __init__(
        self,
        answer: Callable[[Tensor], Tensor],
        *,
        most: int,
        patience: float,
        room: int,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Begin to wait for images.

        Args:
            answer: the network, uint8 (N, C, S, S) -> float32 (N, classes).
            most: images of a batch.
            patience: seconds that the first image of a batch waits for others, and only while others are on their way.
            room: images that may be on their way, waiting or under way at once.
            observe: is told the size of each batch.
        """
        self._answer = answer
        self._most = most
        self._patience = patience
        self._room = room
        self._observe = observe
        self._changed = Condition()
        self._queue: deque[_Waiting] = deque()
        self._images = 0  # in the queue
        self._coming = 0  # admitted, and not yet in the queue
        self._admitted = 0
        self._closed = False
        self._thread = Thread(target=self._run, name="network", daemon=True)
        self._thread.start()

    @property
    def admitted(self) -> int:
        """Images that somebody waits for."""
        return self._admitted

    @contextmanager
    def admit(self, count: int) -> Iterator[Callable[[Tensor], list[Future[Tensor]]]]:
        """Room for so many images while the block lasts.

        It gives a function to call once: it puts uint8 (n, C, S, S) into the queue, of which some may have turned out
        to be no images, and answers futures of probabilities (..., classes) for one part after the other.

        Raises:
            Refused: there is no room now.
        """
        coming = count
        with self._changed:
            if self._admitted + count > self._room:
                raise Refused("more images come at once than the network keeps up with: try again in a moment.", 503)
            self._admitted += count
            self._coming += count

        def put(squares: Tensor) -> list[Future[Tensor]]:
            nonlocal coming
            parts = [_Waiting(part, Future()) for part in torch.split(squares, self._most)] if len(squares) else []
            with self._changed:
                self._queue.extend(parts)
                self._images += len(squares)
                self._coming -= coming
                coming = 0
                self._changed.notify()
            return [part.probabilities for part in parts]

        try:
            yield put
        finally:
            with self._changed:
                self._admitted -= count
                self._coming -= coming
                self._changed.notify()

    def close(self) -> None:
        """Answer what is in the queue, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._collect():
            wanted = [part for part in batch if part.probabilities.set_running_or_notify_cancel()]
            if not wanted:
                continue
            try:
                squares = torch.cat([part.squares for part in wanted])
                self._observe(len(squares))
                answers = torch.split(self._answer(squares), [len(part.squares) for part in wanted])
            except Exception as error:  # those who wait for it are told, and the next batch may go well
                for part in wanted:
                    part.probabilities.set_exception(error)
            else:
                for part, answer in zip(wanted, answers, strict=True):
                    part.probabilities.set_result(answer)

    def _collect(self) -> list[_Waiting]:
        """What goes through the network next; nothing once there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return []
            latest = self._queue[0].since + self._patience
            while self._images < self._most and self._coming and (left := latest - time.monotonic()) > 0:
                self._changed.wait(left)
            batch = [self._queue.popleft()]
            size = len(batch[0].squares)
            while self._queue and size + len(self._queue[0].squares) <= self._most:
                batch.append(self._queue.popleft())
                size += len(batch[-1].squares)
            self._images -= size
            return batch
