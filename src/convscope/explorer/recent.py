"""A memory of limited size."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps what was used last, for several threads at once."""

    def __init__(self, limit: int, size: Callable[[T], int] = lambda _: 1) -> None:
        """Keep values whose sizes sum to `limit` at most; but always the newest one."""
        self._limit, self._size = limit, size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, key: Hashable) -> T:
        """The value, which counts as used now; KeyError if it is not, or no longer, there."""
        with self._lock:
            self._values.move_to_end(key)
            return self._values[key]

    def __setitem__(self, key: Hashable, value: T) -> None:
        """Keep a value, and forget the ones that were not used for longest, as many as must be."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            total = sum(map(self._size, self._values.values()))
            while total > self._limit and len(self._values) > 1:
                _, forgotten = self._values.popitem(last=False)
                total -= self._size(forgotten)

    def __len__(self) -> int:
        with self._lock:
            return len(self._values)
